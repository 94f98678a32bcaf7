# %% [markdown]
# # 7. Pictures into others: pix2pix, CycleGAN, StarGAN
#
# Trains one of the three and turns a picture with it. `pix2pix` learns from aligned pairs, `cyclegan` from two sets without pairs, `stargan` from labels.

# %% include consent

# %% include install

# %% include place

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job
DRIVE = False  # @param {type: 'boolean'}
SYSTEM = 'stargan'  # @param ['pix2pix', 'cyclegan', 'stargan']
DATA = {}  # {'data.source': FOLDER}, of cyclegan {'data.a': ..., 'data.b': ...}; {}: rendered ones
MINUTES = 15  # @param {type: 'number'}
STEPS = None  # of training instead of MINUTES
VARIANT = None  # laptop, gpu, paper or smoke; None: what suits the machine
PICTURE = ''  # to be turned; '' for a rendered head
TO = {'smile': 1}  # of stargan: the labels asked for

# %% include device

# %% include drive

# %%
CHANGES = DATA

# %% include variant

# %% include training

# %% include train

# %% [markdown]
# ## Translate

# %%
from dfjax.apps.translate import translate
from dfjax.data.media.image import write_image
from dfjax.data.render import animate, random_identity, render
from dfjax.inference.run import load_run

picture = given(PICTURE, 'The picture to be turned:')
if not picture:
    picture = str(work / 'head.png')
    write_image(picture, render(random_identity(77), animate(77, 1), 256).image[0])
out = work / f'{SYSTEM}.png'
translate(load_run(run), picture, out, to=TO if SYSTEM == 'stargan' else None, force=True)
for shown in (picture, out):
    display(Image(str(shown)))

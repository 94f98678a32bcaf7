# %% [markdown]
# # 4. Edits: a smile, glasses, a transition
#
# Trains a variational autoencoder on pictures of faces with labels, finds the direction of each label among its codes, and moves pictures along it.

# %% include consent

# %% include install

# %% include place

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job
DRIVE = False  # @param {type: 'boolean'}
DATA = ''  # a folder of pictures, see docs/pages/data.md; '' for rendered heads, which have labels
MINUTES = 15  # @param {type: 'number'}
STEPS = None  # of training instead of MINUTES
VARIANT = None  # laptop, gpu, paper or smoke; None: what suits the machine
PICTURE = ''  # to be edited; '' for a rendered head
VECTOR = {'smile': 1.5}  # how far along which labels

# %% include device

# %% include drive

# %%
SYSTEM = 'vae'
CHANGES = {'data.source': DATA} if DATA else {}

# %% include variant

# %% include training

# %% include train

# %% [markdown]
# ## Edit
#
# Which labels there are, how well each is told apart (0.5 not at all, 1 always), and an edit.

# %%
from dfjax.apps.edit import edit, list_vectors
from dfjax.apps.morph import morph
from dfjax.data.media.image import write_image
from dfjax.data.render import animate, random_identity, render
from dfjax.inference.run import load_run

trained = load_run(run)
picture = given(PICTURE, 'The picture to be edited:')
if not picture:
    picture = str(work / 'head.png')
    write_image(picture, render(random_identity(77), animate(77, 1), 256).image[0])
display({name: told['auc'] for name, told in list_vectors(run).items() if name != 'source'})
whole = not PICTURE  # a rendered head is like those that it was trained on
edit(trained, VECTOR, picture, work / 'edited.png', whole=whole, force=True)
display(Image(str(work / 'edited.png')))

# %% [markdown]
# ## A transition

# %%
end = f'{picture}@' + ','.join(f'{name}={amount}' for name, amount in VECTOR.items())
morph(trained, [picture, end], work / 'morph.gif', frames=12, loop=True, whole=whole, force=True)
display(Image(str(work / 'morph.gif')))

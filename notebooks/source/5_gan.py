# %% [markdown]
# # 5. Pictures from noise: a GAN
#
# Trains a generative adversarial network on pictures and draws new ones.

# %% include consent

# %% include install

# %% include place

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job
DRIVE = False  # @param {type: 'boolean'}
DATA = ''  # a folder of pictures, see docs/pages/data.md; '' for rendered heads
MINUTES = 15  # @param {type: 'number'}
STEPS = None  # of training instead of MINUTES
VARIANT = None  # laptop, gpu, paper or smoke; None: what suits the machine
COUNT = 16  # pictures to make

# %% include device

# %% include drive

# %%
SYSTEM = 'gan'
CHANGES = {'data.source': DATA} if DATA else {}

# %% include variant

# %% include training

# %% include train

# %% [markdown]
# ## Make pictures

# %%
from dfjax.apps.sample import sample
from dfjax.inference.run import load_run

sample(load_run(run), COUNT, work / 'sheet.png', truncation=0.8, force=True)
display(Image(str(work / 'sheet.png')))

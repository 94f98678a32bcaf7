# %% [markdown]
# # 8. Style
#
# Repaints a picture in the style of another, without training; then trains a net that does so at once, also for videos.

# %% include consent

# %% include install

# %% include place

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job
DRIVE = False  # @param {type: 'boolean'}
PICTURE = ''  # '' for a rendered head
SIZE = 256  # longer side of what is painted
STYLE = 'pattern:strokes'  # a picture, or pattern:strokes, mosaic or hatching
DATA = ''  # a folder of pictures, see docs/pages/data.md; '' for rendered heads
MINUTES = 15  # @param {type: 'number'}
STEPS = None  # of training instead of MINUTES
VARIANT = None  # laptop, gpu, paper or smoke; None: what suits the machine

# %% include device

# %% include drive

# %%
from IPython.display import Image, display

from dfjax.apps.stylize import stylize
from dfjax.data.media.image import write_image
from dfjax.data.render import animate, random_identity, render

picture = given(PICTURE, 'The picture to be painted:')
if not picture:
    picture = str(work / 'head.png')
    write_image(picture, render(random_identity(77), animate(77, 1), 256).image[0])
stylize(picture, STYLE, work / 'painted.png', size=SIZE, force=True)
display(Image(str(work / 'painted.png')))

# %%
SYSTEM = 'style'
CHANGES = {'style': STYLE} | ({'data.source': DATA} if DATA else {})

# %% include variant

# %% include training

# %% include train

# %%
from dfjax.apps.stylize import stylize_by_run

stylize_by_run(run, picture, work / 'at_once.png', force=True)
display(Image(str(work / 'at_once.png')))

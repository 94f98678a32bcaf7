# %% [markdown]
# # dfjax: everything in one notebook
#
# Puts the face of one person into a video of another: upload, look, train, convert, compare, save. For the steps one by one there are `1_preprocess`, `2_train` and `3_generate`.

# %% include consent

# %% include install

# %% include place

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job
DRIVE = False  # @param {type: 'boolean'}
VIDEO = ''  # the video whose face is replaced; '' uploads one in Colab, and else renders one
FACE = ''  # a video or a picture of the person put in; likewise
MINUTES = 10  # @param {type: 'number'}
STEPS = None  # of training instead of MINUTES; 0 for none
VARIANT = None  # laptop, gpu or smoke; None: what suits the machine
FRAMES = {'a': 96, 'b': 240}  # of the rendered videos

# %% include device

# %% include drive

# %% include variant

# %%
from dfjax.apps.demo import render_videos

video, face = given(VIDEO, 'The video whose face is replaced:'), given(FACE, 'The person put in:')
if not (video and face):
    if not (work / 'face.mp4').is_file():
        render_videos(work, FRAMES)
    video, face = str(work / 'video.mp4'), str(work / 'face.mp4')

# %% [markdown]
# ## Swap
#
# Finds the faces of both, trains, and writes the video. While it trains, the losses and the newest preview are shown. Interrupt it and run it again: it goes on where it was.

# %%
import dfjax

out = work / 'swap.mp4'
how_long = {'steps': STEPS} if STEPS is not None else {'minutes': MINUTES}
with dfjax.watching(f'{out}.run'):
    report = dfjax.swap([face], video, out, config=named('faceswap'), force=True, **how_long)
report

# %% [markdown]
# ## Look, and measure

# %%
from IPython.display import Video, display

from dfjax.evaluation.swap import evaluate

display(Video(str(out), embed=True, html_attributes='controls loop'))
evaluate(out, video, face, every=8)

# %% [markdown]
# ## Keep it

# %%
if 'google.colab' in sys.modules:
    from google.colab import files

    files.download(str(out))
print(out.resolve())

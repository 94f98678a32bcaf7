# %% [markdown]
# # 3. The video
#
# Puts the trained face into the video, shows it, and measures it. Needs `1_preprocess` and `2_train` in the same folder.
#
# Swap the face of nobody who has not agreed to it: ask **both** people shown, and say what the video is for. Whatever is written carries content credentials that say it is AI-generated.

# %% include install

# %% [markdown]
# ## Settings

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job, the same in all three notebooks
OUT = 'swap.mp4'  # written into WORK, replacing an earlier one
COLOUR = 'reinhard'  # colours from the frame: none, reinhard or mkl
SHOWN = 6  # moments in the comparison
EVERY = 4  # the identity is measured in every so many frames

# %%
import json
from pathlib import Path

from dfjax.apps.convert import convert
from dfjax.data.faces.analyse import load_analysis
from dfjax.inference.settings import Settings

work = Path(WORK)
inputs = json.loads((work / 'inputs.json').read_text())
out = work / OUT
found = load_analysis(work / 'into.jsonl')
report = convert(work / 'run', inputs['video'], out, analysis=found, settings=Settings(colour=COLOUR), force=True)
report

# %% [markdown]
# ## Look at it
#
# Above the input, below the swap.

# %%
import numpy as np
from IPython.display import Image, Video, display

from dfjax.data.media.image import write_image
from dfjax.data.media.video import read_frames

moments = np.linspace(0, report['frames'] - 1, min(SHOWN, report['frames'])).astype(int)
rows = [np.concatenate([rgb for n, _, rgb in read_frames(path) if n in moments], 1) for path in (inputs['video'], out)]
comparison = work / 'comparison.jpg'
write_image(comparison, np.concatenate(rows))
display(Image(str(comparison), width=1200))
display(Video(str(out), embed=True, html_attributes='controls loop'))

# %% [markdown]
# ## Measure it
#
# *transfer*: 0.5 is half-way between the two people, higher is better. *expression*: how well eyes and mouth follow the input, at most 1. *detail*: crispness against the person's own video, 1 is equal. For the rendered people the true swap is known, and `psnr` and `ssim` compare with it.

# %%
from dfjax.evaluation.swap import evaluate

truth = (work / 'truth.mp4', work / 'mask.mp4') if inputs['demo'] else (None, None)
figures = evaluate(out, inputs['video'], inputs['face'], *truth, every=EVERY)
figures

# %% [markdown]
# ## What the file says of itself
#
# Anybody can read this with `dfjax verify`. To keep the video: `from google.colab import files; files.download(str(out))`.

# %%
from dfjax.data.media.credentials import read_credentials

read_credentials(out)

# %% [markdown]
# # 2. Training
#
# Trains a face swap on the two face sets that `1_preprocess` made. Stop it when you like: run again, it goes on from its newest checkpoint.
#
# Swap the face of nobody who has not agreed to it: ask **both** people shown, and say what the video is for. Whatever is written carries content credentials that say it is AI-generated.

# %% include install

# %% [markdown]
# ## Settings
#
# A GPU or TPU (*Runtime, Change runtime type*) trains the larger net of the variant `gpu`; without one, `laptop` gives a first result in minutes. All keys of a config and their defaults are in `configs/faceswap.py` and `dfjax/systems/faceswap.py`.

# %% tags=parameters
WORK = 'dfjax-work'  # the folder of this job, the same in all three notebooks
MINUTES = 10  # of training
STEPS = None  # of training instead of MINUTES
VARIANT = None  # laptop, gpu, paper or smoke; None: what suits the machine
OVERRIDES = {}  # of config keys, for example {'batch_size': 16}

# %%
import json
from pathlib import Path

import jax

from dfjax.config import build, load_config
from dfjax.data.batches import make_data
from dfjax.training.timed import steps_for
from dfjax.training.workdir import read_config

work = Path(WORK)
run = work / 'run'
print(jax.device_count(), 'x', jax.devices()[0].device_kind)
going_on = (run / 'config.json').is_file()
if going_on:
    cfg = read_config(run)
else:
    face_type = json.loads((work / 'inputs.json').read_text())['face_type']
    sets = {'data.a': str(work / 'faces_a'), 'data.b': str(work / 'faces_b'), 'data.face_type': face_type}
    cfg = load_config(f'faceswap:{VARIANT or ("laptop" if jax.default_backend() == "cpu" else "gpu")}')
    cfg = build(cfg, sets | OVERRIDES)
data = make_data(cfg, 'faces_ab')
if STEPS or not going_on:
    with cfg.unlocked():  # the learning rate falls to nothing at the last step, so their number is set first
        cfg.steps = STEPS or steps_for(cfg, data, 60 * MINUTES)
print(cfg.steps, 'steps, pictures of', cfg.data.size, 'px')

# %% [markdown]
# ## Train
#
# Below are the losses and the newest preview, anew every few seconds. TensorBoard shows more of them, from a cell above this one: `%load_ext tensorboard`, `%tensorboard --logdir dfjax-work/run/tb`.

# %%
from dfjax.apps.inline import watching
from dfjax.training.loop import train

with watching(run):
    state = train(cfg, run, data=data, deadline=None if STEPS else 60 * MINUTES)
rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
for row in rows[:: max(1, len(rows) // 10)]:
    print(f'step {row["step"]:>7}  loss {row["total"]:.4f}  {row["examples_per_second"]:.0f} pictures/s')

# %% [markdown]
# ## What it has learned
#
# The first and the newest preview, one example a row; the column *a as b* is the swap.

# %%
from IPython.display import Image, display

previews = sorted((run / 'previews').glob('*.jpg'))
for preview in dict.fromkeys([previews[0], previews[-1]]):
    print(preview.stem)
    display(Image(str(preview)))

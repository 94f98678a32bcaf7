# %% name install
import glob
import importlib.util
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # else XLA says of each program that it keeps that it was kept

REPOSITORY = ''  # the address that `git clone` gets dfjax from; not needed where dfjax is installed

if importlib.util.find_spec('dfjax') is None:
    if not Path('dfjax-source/setup.py').is_file():
        if not REPOSITORY:
            raise SystemExit('Write the address of the dfjax repository behind REPOSITORY, and run this cell again.')
        subprocess.run(['git', 'clone', '--depth', '1', REPOSITORY, 'dfjax-source'], check=True)
    tpu = glob.glob('/dev/accel*') + glob.glob('/dev/vfio/*')
    extra = '[cuda]' if shutil.which('nvidia-smi') else '[tpu]' if tpu else ''
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '-e', f'./dfjax-source{extra}'], check=True)
    importlib.invalidate_caches()
    site.main()  # so that this kernel sees it without a restart

# %% name consent [markdown]
# Show, swap, animate or change nobody who has not agreed to it, and say what it is for. Whatever is written carries content credentials that say it is AI-generated.

# %% name device
import jax

device = jax.devices()[0]
print(f'{jax.device_count()} x {device.device_kind} ({jax.default_backend()})')
if jax.default_backend() == 'cpu':
    print('Training takes minutes at the least: Runtime, Change runtime type has GPUs and TPUs.')

# %% name place [markdown]
# ## Where the work lies
#
# In Colab tick `DRIVE`: a runtime that is taken away then goes on where it was.

# %% name drive
import sys
from pathlib import Path

if DRIVE and 'google.colab' in sys.modules:
    from google.colab import drive

    drive.mount('/content/drive')
    WORK = f'/content/drive/MyDrive/{WORK}'
work = Path(WORK)
work.mkdir(parents=True, exist_ok=True)


def given(path, what):
    """A file of yours: `path`, or in Colab where that is empty an upload; '' if there is none."""
    if path or 'google.colab' not in sys.modules:
        return path
    from google.colab import files

    print(what)
    return next((str(Path(name).resolve()) for name in files.upload()), '')


# %% name variant
def named(system):
    """The run of a system that suits the machine, or the one asked for."""
    return f'{system}:{VARIANT or ("laptop" if jax.default_backend() == "cpu" else "gpu")}'


# %% name training [markdown]
# ## Train
#
# Stop it when you like: run again, it goes on from its newest checkpoint. Below are the losses and the newest preview, anew every few seconds.

# %% name train
from IPython.display import Image, display

import dfjax

run = work / SYSTEM
with dfjax.watching(run):
    report = dfjax.train(named(SYSTEM), run, CHANGES, minutes=None if STEPS else MINUTES, steps=STEPS)
report

"""`dfjax doctor`: what this machine has, what is missing, and the command that mends it."""

import argparse
import importlib.metadata
import os
import platform
import shutil
from importlib.util import find_spec
from pathlib import Path

from dfjax import __version__

EXAMPLE = 'dfjax doctor --json'
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'av', 'opencv-python-headless', 'dlib-bin')
CODECS = {'libx264': 'H.264 video', 'libx265': 'HEVC, for HDR', 'aac': 'sound', 'libwebp_anim': 'animated WebP'}
EXTRAS = {  # module: what it is for, and how it is installed
    'array_record': ('packed data sets (not on Windows)', 'array-record'),
    'pillow_heif': ('HEIC pictures of phones', "'dfjax[heic]'"),
    'tensorboard': ('showing W/tb', 'tensorboard'),
    'wandb': ('--log wandb', 'wandb'),
    'mlflow': ('--log mlflow', 'mlflow'),
    'torch': ('dfjax bench', "'dfjax[bench]'"),
}
WRONG_JAXLIB = '0.10.2'
LEAST_FREE = 2 * 2**30  # bytes of disk: two face sets of minutes of video, and a run
LICENCES = (
    "the 68 landmarks are dlib's, trained on iBUG 300-W: not for commercial use; detector, descriptor and YuNet may be "
    'used for anything; nothing is downloaded, and what you train is yours under the licences of your pictures'
)


NOT_IN_COMMERCE = (
    'swap, convert, extract, people, lipsync, evaluate, and animate and edit of faces that they find themselves, use '
    'the landmarks, which are not for commerce; animate with --points, edit --whole, translate, stylize, sample and '
    'morph need none'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n\nExits with 1 where something is wrong.'
    parser.add_argument('--commercial', action='store_true', help='say what may not be used in commerce, and what may')


def run(args: argparse.Namespace) -> dict:
    """The findings; `ok` is false where something is wrong."""
    report = {'dfjax': __version__, 'python': f'{platform.python_version()} on {platform.platform()}'}
    report |= {'packages': {name: version_of(name) for name in PACKAGES}}
    found, wrong = devices()
    report |= found
    wrong += [f'{name} is not installed: pip install {name}' for name in PACKAGES if version_of(name) == 'none']
    if version_of('jaxlib') == WRONG_JAXLIB:
        wrong.append(f"jaxlib {WRONG_JAXLIB} adds up wrong sums on a CPU: pip install 'jax!={WRONG_JAXLIB}'")
    report |= {'codecs': codecs(wrong), 'face models': models(wrong)}
    report |= {'disk': disk(Path.cwd(), wrong), 'compiled programs': cache(), 'licences': LICENCES}
    wrong += [NOT_IN_COMMERCE] if args.commercial else []
    extras = {text: 'yes' if find_spec(name) else f'pip install {how}' for name, (text, how) in EXTRAS.items()}
    return report | {
        'optional': [f'{text}: {there}' for text, there in extras.items()],
        'wrong': wrong,
        'ok': not wrong,
    }


def version_of(name: str) -> str:
    """The version of an installed package, 'none' if it is not there."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return 'none'


def devices() -> tuple[dict, list[str]]:
    """What JAX computes on, beside what the machine has; and what is wrong about that."""
    import jax

    wrong = []
    try:
        there = jax.devices()
    except RuntimeError as error:  # a plugin that finds no driver
        return {'device': 'none'}, [f'JAX finds no device: {str(error).splitlines()[0]}']
    kind, count = there[0].device_kind, len(there)
    memory = (there[0].memory_stats() or {}).get('bytes_limit')
    each = f', {memory / 2**30:.0f} GB each' if memory else ''
    on_cpu = there[0].platform == 'cpu'
    found = {'device': f'CPU, {os.cpu_count()} cores' if on_cpu else f'{count} x {kind}{each}'}
    found |= {'variant': 'laptop' if on_cpu else 'gpu'}
    if hasattr(os, 'sysconf') and 'SC_PHYS_PAGES' in os.sysconf_names:
        found |= {'memory': f'{os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30:.0f} GB'}
    asked = os.environ.get('JAX_PLATFORMS', '')
    if on_cpu and asked and asked != 'cpu':
        wrong.append(f'JAX_PLATFORMS is {asked!r}, and JAX runs on the CPU')
    for name, path, extra in (('NVIDIA GPU', '/dev/nvidia0', 'cuda'), ('TPU', '/dev/accel0', 'tpu')):
        if on_cpu and asked != 'cpu' and Path(path).exists():
            wrong.append(f"this machine has a {name}, and JAX runs on the CPU: pip install 'dfjax[{extra}]'")
    plugin = version_of('jax-cuda12-plugin')
    if plugin not in ('none', version_of('jaxlib')):
        wrong.append(
            f'jax-cuda12-plugin {plugin} is not of jaxlib {version_of("jaxlib")}: pip install -U "jax[cuda12]"'
        )
    return found, wrong


def codecs(wrong: list[str]) -> list[str]:
    """What videos are written with."""
    import av

    missing = sorted(name for name in CODECS if name not in av.codecs_available)
    wrong += [f'this build of PyAV has no {name}, for {CODECS[name]}: pip install -U av' for name in missing]
    return [f'{text}: {"no" if name in missing else name}' for name, text in CODECS.items()]


def models(wrong: list[str]) -> str:
    """Whether the models that find faces are there."""
    from dfjax.data.faces.dlib_models import DESCRIPTOR, LANDMARKS, dlib_model
    from dfjax.errors import InputError

    try:
        return str(Path(dlib_model(LANDMARKS)).parent) if dlib_model(DESCRIPTOR) else ''
    except InputError as error:
        wrong.append(str(error))
        return 'none'


def disk(folder: Path, wrong: list[str]) -> str:
    """The room in a folder."""
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        wrong.append(f'{folder}: {free / 2**30:.1f} GB free; a swap of minutes of video takes {LEAST_FREE >> 30}')
    if not os.access(folder, os.W_OK):
        wrong.append(f'{folder}: cannot be written')
    return f'{free / 2**30:.0f} GB free in {folder}'


def cache() -> str:
    """Where compiled programs are kept, and how much room they take."""
    from dfjax.training.parallel import cache_folder

    folder = cache_folder()
    size = sum(file.stat().st_size for file in folder.rglob('*') if file.is_file()) if folder.is_dir() else 0
    return f'{size / 2**20:.0f} MB in {folder}; may be deleted at any time'

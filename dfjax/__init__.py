"""dfjax: face and image synthesis in JAX and Flax. `dfjax --help` is the application; README.md the guide.

What the commands do is here as functions, imported when they are first asked for:

    import dfjax
    report = dfjax.swap(['bert.mp4'], 'anna.mp4', 'out.mp4', minutes=10)
    figures = dfjax.evaluate('out.mp4', 'anna.mp4', 'bert.mp4')
    dfjax.extract(['anna.mp4'], 'faces/anna')
    report = dfjax.train('vae:laptop', 'runs/vae', {'data.source': 'pictures'})
    run = dfjax.load_run('runs/vae')
    shown = dfjax.swapper('out.mp4.run').frame(rgb)

Every system is a module of pure functions for a loop of one's own, with arrays of one's own, under jax.jit and with any
optimiser; `dfjax.systems.state` says what there is:

    cfg = dfjax.load_config('vae:smoke')
    state = dfjax.systems.vae.init(cfg, jax.random.key(0))
    batch = dfjax.make_batch({'image': pictures}, step=0)
    state, metrics = jax.jit(partial(dfjax.systems.vae.step, cfg))(state, batch)
"""

import importlib

__version__ = '0.1.0'

FUNCTIONS = {  # name: module, and its name there
    'animate': ('apps.animate', 'animate'),
    'convert': ('apps.convert', 'convert'),
    'edit': ('apps.edit', 'edit'),
    'evaluate': ('evaluation.swap', 'evaluate'),
    'extract': ('apps.extract', 'extract_faces'),
    'lipsync': ('apps.lipsync', 'lipsync'),
    'load_config': ('config', 'load_config'),
    'load_run': ('inference.run', 'load_run'),
    'make_batch': ('data.own', 'make_batch'),
    'mask': ('apps.mask', 'mask'),
    'morph': ('apps.morph', 'morph'),
    'people': ('apps.people', 'people'),
    'sample': ('apps.sample', 'sample'),
    'stylize': ('apps.stylize', 'stylize'),
    'stylize_by_run': ('apps.stylize', 'stylize_by_run'),
    'swap': ('apps.swap', 'swap'),
    'swapper': ('inference.live', 'swapper'),
    'train': ('apps.train', 'train'),
    'translate': ('apps.translate', 'translate'),
    'watching': ('apps.inline', 'watching'),
}
MODULES = ('errors', 'systems')
__all__ = [*FUNCTIONS, *MODULES, '__version__']

TYPE_CHECKING = False  # checkers of types take it for true; `typing` would have to be imported
if TYPE_CHECKING:
    from dfjax import errors as errors
    from dfjax import systems as systems
    from dfjax.apps.animate import animate as animate
    from dfjax.apps.convert import convert as convert
    from dfjax.apps.edit import edit as edit
    from dfjax.apps.extract import extract_faces as extract  # noqa: F401
    from dfjax.apps.inline import watching as watching
    from dfjax.apps.lipsync import lipsync as lipsync
    from dfjax.apps.mask import mask as mask
    from dfjax.apps.morph import morph as morph
    from dfjax.apps.people import people as people
    from dfjax.apps.sample import sample as sample
    from dfjax.apps.stylize import stylize as stylize
    from dfjax.apps.stylize import stylize_by_run as stylize_by_run
    from dfjax.apps.swap import swap as swap
    from dfjax.apps.train import train as train
    from dfjax.apps.translate import translate as translate
    from dfjax.config import load_config as load_config
    from dfjax.data.own import make_batch as make_batch
    from dfjax.evaluation.swap import evaluate as evaluate
    from dfjax.inference.live import swapper as swapper
    from dfjax.inference.run import load_run as load_run


def __getattr__(name: str):
    if name in FUNCTIONS:
        module, function = FUNCTIONS[name]
        return getattr(importlib.import_module(f'dfjax.{module}'), function)
    if name in MODULES:
        return importlib.import_module(f'dfjax.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return __all__

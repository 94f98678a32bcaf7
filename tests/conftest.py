"""What all tests share: where JAX keeps what it has compiled, the real recordings, and small sets of rendered faces."""

import ctypes
import functools
import gc
import os
import shutil
import sys
from pathlib import Path

import pytest

# Before JAX is imported, and inherited by the processes that tests start.
CACHE = Path(__file__).parent.parent / '.pytest_cache' / 'compiled'
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(CACHE))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.2')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # of each program that is kept XLA says at length that it was
# Tests compile much and run little of it: without LLVM's optimisations they take seven tenths of the time.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')


pytest_plugins = ['studio_client', 'studio_browser']  # for their fixtures, which several files share
QUICK = 10  # seconds that a test of `make check` may take on a quiet machine


def pytest_terminal_summary(terminalreporter, config):
    """Names the tests that `make check` should leave out: a new file says `pytestmark = pytest.mark.whole`."""
    passed = terminalreporter.stats.get('passed', [])
    long = {report.nodeid.partition('::')[0] for report in passed if report.duration > QUICK}
    if 'not whole' in config.option.markexpr and long:
        terminalreporter.write_line(
            f'tests of more than {QUICK} s; on a quiet machine, mark these whole: {", ".join(long)}'
        )


def forget() -> None:
    """Gives back the memory of what has been compiled: two processes would hold 14 GB in the end."""
    import jax

    gc.collect()
    jax.clear_caches()
    if sys.platform == 'linux':
        ctypes.CDLL('libc.so.6').malloc_trim(0)  # else the heap keeps what was freed


@pytest.fixture(autouse=True, scope='module')
def _forgotten():
    yield
    if 'jax' in sys.modules:
        forget()


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real recordings, which is not part of the repository."""
    path = Path(__file__).parents[2] / 'shared' / 'data'
    if not path.is_dir():
        pytest.skip(f'no real recordings at {path}')
    return path


@pytest.fixture(autouse=True)
def _unmarked(request, monkeypatch):
    """Outputs have no invisible mark, so that what lies under it is held to the last bit; a file with MARKED has it."""
    if not getattr(request.module, 'MARKED', False):
        from dfjax.data.media.mark import Mark

        monkeypatch.setattr(Mark, 'change', lambda self, luma: 0 * luma)


@pytest.fixture
def as_accelerated(monkeypatch):
    """What an accelerator would do, done by the CPU: branches by platform, and whatever `dfjax.ops.backend` decides."""
    import jax

    from dfjax.ops import backend

    monkeypatch.setattr(jax.lax, 'platform_dependent', lambda *x, default, **_: default(*x))
    monkeypatch.setattr(backend, 'accelerated', lambda: True)


@pytest.fixture(scope='module')
def toy_is_a_system():
    """Makes `toy_system` one of the systems, by the name of 'toy'."""
    import toy_system

    with toy_system.installed():
        yield


@pytest.fixture(scope='session')
def noise():
    """A picture without any structure, uint8 [320, 330, 3]."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 255, (320, 330, 3), np.uint8)


@pytest.fixture(scope='session')
def picture(tmp_path_factory):
    """A file with a smooth picture of 32 x 32 pixels, the size of small runs."""
    import cv2
    import numpy as np

    path = tmp_path_factory.mktemp('picture') / 'picture.png'
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    cv2.imwrite(str(path), cv2.resize(noise, (32, 32), interpolation=cv2.INTER_CUBIC)[..., ::-1])
    return path


@pytest.fixture(scope='session')
def latent_runs(tmp_path_factory):
    """Copies of runs that have not been trained, by the names of latent systems; each run is made once."""
    from untrained import latent_run

    made = functools.cache(lambda name: latent_run(tmp_path_factory.mktemp('latent') / name, name))

    def copies(*names):
        folder = tmp_path_factory.mktemp('runs')
        return {name: shutil.copytree(made(name), folder / name) for name in names}

    return copies


@pytest.fixture(scope='session')
def talker():
    """Pictures of a rendered head, and the analysis of them as a video 'talker.mp4'."""
    from dfjax.data.faces.analyse import Analysis
    from dfjax.data.faces.face import Face
    from dfjax.data.render import animate, random_identity, render

    how = animate(3, 12, 25.0)
    seen = render(random_identity(3), how, 192)
    faces = [Face('talker.mp4', n, n / 25, (0, 0, 1, 1), 1.0, points) for n, points in enumerate(seen.landmarks)]
    return seen, Analysis('talker.mp4', 192, 192, 12, faces)

"""What all tests share: where JAX keeps what it has compiled, the real recordings, and small sets of rendered faces."""

import os
from pathlib import Path

import pytest

# Before JAX is imported, and inherited by the processes that tests start.
CACHE = Path(__file__).parent.parent / '.pytest_cache' / 'compiled'
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(CACHE))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.2')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Tests compile much and run little of it: without LLVM's optimisations they take seven tenths of the time.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of real recordings, which is not part of the repository."""
    path = Path(__file__).parents[2] / 'shared' / 'data'
    if not path.is_dir():
        pytest.skip(f'no real recordings at {path}')
    return path


@pytest.fixture
def as_accelerated(monkeypatch):
    """What an accelerator would do, done by the CPU: branches by platform, and whatever `dfjax.ops.backend` decides."""
    import jax

    from dfjax.ops import backend

    monkeypatch.setattr(jax.lax, 'platform_dependent', lambda *x, default, **_: default(*x))
    monkeypatch.setattr(backend, 'accelerated', lambda: True)

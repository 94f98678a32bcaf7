"""Rematerialisation: blocks of nets that a backward pass computes again, instead of keeping all that is inside them.

    class Residual(nn.Module):
        @block
        @nn.compact
        def __call__(self, x): ...

    with recomputing(cfg.remat):            a matter of tracing, as `jax.default_matmul_precision` is
        state, metrics = system.step(cfg, state, batch)

The numbers are the same. On a CPU it takes a program that is compiled with `ops.backend.recomputing`.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import flax.linen as nn

_asked = ContextVar('recomputing', default=False)


@contextlib.contextmanager
def recomputing(asked: bool) -> Iterator[None]:
    """A block of code in which steps are traced so, if `asked`."""
    token = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(token)


def block(call: Callable) -> Callable:
    """Decorates a module's `__call__`: the module is a block. Its flags, as `train`, are given by position."""
    flags = [i for i, x in enumerate(inspect.signature(call).parameters.values()) if x.annotation is bool]
    again = nn.remat(call, static_argnums=tuple(flags))

    @functools.wraps(call)
    def either(self: nn.Module, *inputs: Any) -> Any:
        return (again if _asked.get() else call)(self, *inputs)

    return either

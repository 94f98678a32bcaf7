"""What is done otherwise on a CPU than on an accelerator: the one place that asks for the backend.

An operation that lowers otherwise on a CPU chooses by `jax.lax.platform_dependent`, so that a program exported on a
laptop is right for an accelerator. These are for what is chosen before a program is built.
"""

import jax
import jax.numpy as jnp


def accelerated() -> bool:
    """Whether the default device is an accelerator: a GPU or a TPU."""
    return jax.default_backend() != 'cpu'


def compute_dtype() -> jnp.dtype:
    """What nets compute in: bfloat16 on an accelerator, float32 on a CPU, which gains nothing by less."""
    return jnp.bfloat16 if accelerated() else jnp.float32


def loops_are_fast() -> bool:
    """Whether steps may be a loop inside a program: a CPU runs a convolution there more than ten times slower."""
    return accelerated()


def quick_compilation() -> dict | None:
    """`compiler_options` of a program that runs once: on a CPU LLVM's optimisations take longer than they save."""
    return None if accelerated() else {'xla_backend_optimization_level': 0}

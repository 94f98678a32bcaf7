"""What is done otherwise on a CPU than on an accelerator: the one place that asks for the backend.

An operation that lowers otherwise on a CPU chooses by `jax.lax.platform_dependent`, so that a program exported on a
laptop is right for an accelerator. These are for what is chosen before a program is built.
"""

import jax
import jax.numpy as jnp

CPU_PIXELS = 2**17  # pixels at once that two cores are as fast with as with more: four pictures of 160 px, one of 512
PIXEL_BYTES = 2**11  # bytes of activations a pixel of the widest nets here, in float32
# Examples at once, at most, on a CPU and on an accelerator: a last group is filled up, which costs a CPU as much again.
CPU_MOST, MOST = 8, 32


def accelerated() -> bool:
    """Whether the default device is an accelerator: a GPU or a TPU."""
    return jax.default_backend() != 'cpu'


def compute_dtype() -> jnp.dtype:
    """What nets compute in: bfloat16 on an accelerator, float32 on a CPU, which gains nothing by less."""
    return jnp.bfloat16 if accelerated() else jnp.float32


def loops_are_fast() -> bool:
    """Whether steps may be a loop inside a program: a CPU runs a convolution there more than ten times slower."""
    return accelerated()


def group_size(pixels: int) -> int:
    """How many examples of so many pixels a net is given at once: a power of two, the same for any number of them.

    XLA adds up in another order for another number, so what is compiled once for one size gives the same bits whatever
    it is given. On a CPU few examples are as fast as many; an accelerator is full only with many, and takes as many as
    fit in a quarter of its memory.
    """
    room, most = CPU_PIXELS, CPU_MOST
    if accelerated():
        most = MOST
        stats = jax.local_devices()[0].memory_stats() or {}
        room = stats.get('bytes_limit', 2**33) // 4 // PIXEL_BYTES
    return 1 << (min(max(room // pixels, 1), most).bit_length() - 1)


def quick_compilation() -> dict | None:
    """`compiler_options` of a program that runs once: on a CPU LLVM's optimisations take longer than they save."""
    return None if accelerated() else {'xla_backend_optimization_level': 0}


def recomputing() -> dict | None:
    """`compiler_options` of a program that computes again what it could keep: a CPU's would keep it all the same."""
    return None if accelerated() else {'xla_disable_hlo_passes': 'cse_barrier_expander'}

"""`dfjax bench faceswap`: a training step and the whole training loop beside PyTorch, on the same machine in one run.

Both sides have the same nets, losses, optimiser, batch and precision: float32 on a CPU (PyTorch in channels_last),
bfloat16 on a GPU (PyTorch under autocast and torch.compile). They take turns, A B A B, so that whatever else the
machine does falls on both; each turn is timed over several steps, and medians are reported. The loop has data and
augmentation in it: dfjax's own loop body beside a DataLoader with a worker a core, which warps with OpenCV.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dfjax.errors import InputError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

FACES = 256  # a side, as many as a short video gives
ROUNDS = 7
SECONDS_A_TURN = 4.0  # many times what the workers of the DataLoader hold ready


def run(variant: str | None = None, rounds: int = ROUNDS) -> dict:
    """Measures; returns the report.

    Args:
        variant: of configs/faceswap.py; without it, 'laptop' on a CPU and 'gpu' on a GPU.
        rounds: turns of each side, of which the median counts.

    Returns:
        jax_ms and torch_ms of a bare step (no data, no augmentation), jax_over_torch their ratio; jax_loop and
        torch_loop in pictures a second (both sides counted), loop_ratio the first over the second; jax_step_mb and
        torch_step_mb, the working memory of a step beside parameters and optimiser; device.

    Raises:
        InputError: if PyTorch is not installed, or sees no GPU where JAX does.
    """
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')  # leave PyTorch room on a GPU
    os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')  # PyTorch's side uses one
    try:
        import torch
    except ImportError:
        raise InputError("the PyTorch side is missing; pip install 'dfjax[bench]'") from None
    import jax

    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    device = 'cpu' if jax.default_backend() == 'cpu' else 'cuda'
    if device == 'cuda' and not torch.cuda.is_available():
        raise InputError('this PyTorch sees no GPU, and JAX does; install its CUDA build, or set JAX_PLATFORMS=cpu')
    torch.set_num_threads(cores)
    variant = variant or ('laptop' if device == 'cpu' else 'gpu')
    cfg = config(variant, device)
    faces = synthetic_faces(cfg)

    ours, theirs, memory = bare_steps(cfg, faces, device)
    jax_s, torch_s = take_turns(ours, theirs, rounds)
    print(f'a step: {1e3 * jax_s:.1f} ms, PyTorch {1e3 * torch_s:.1f} ms', file=sys.stderr)
    jax_loop_s, torch_loop_s = take_turns(jax_loop(cfg, faces), torch_loop(cfg, faces, device, cores), rounds)
    pictures = 2 * cfg.batch_size
    kind = f'{cores} CPU cores' if device == 'cpu' else jax.devices()[0].device_kind
    return {
        'jax_ms': 1e3 * jax_s,
        'torch_ms': 1e3 * torch_s,
        'jax_over_torch': jax_s / torch_s,
        'jax_loop': pictures / jax_loop_s,
        'torch_loop': pictures / torch_loop_s,
        'loop_ratio': torch_loop_s / jax_loop_s,
        **memory,
        'variant': variant,
        'batch_size': cfg.batch_size,
        'device': kind,
    }


def config(variant: str, device: str) -> 'ConfigDict':
    """The named run, without a discriminator; at most 16 a side on a CPU."""
    from dfjax.configs.common import build
    from dfjax.configs.faceswap import get_config

    cfg = get_config(variant)
    return build(cfg, {'loss.gan': 0.0, 'batch_size': min(cfg.batch_size, 16) if device == 'cpu' else cfg.batch_size})


def synthetic_faces(cfg: 'ConfigDict') -> dict:
    """Arrays as a face set gives them, of noise: what is in the pictures does not change the time."""
    import numpy as np

    rng = np.random.default_rng(0)
    size = cfg.data.size

    def side() -> dict:
        return {
            'image': rng.integers(0, 256, (FACES, size, size, 3), np.uint8),
            'mask': rng.integers(0, 256, (FACES, size, size), np.uint8),
            'landmarks': (rng.uniform(0.2, 0.8, (FACES, 68, 2)) * size).astype(np.float32),
        }

    return {'a': side(), 'b': side()}


def bare_steps(cfg: 'ConfigDict', faces: dict, device: str) -> tuple[Callable, Callable, dict]:
    """Functions that do n bare steps of either side, on one batch already augmented, and the memory that steps take."""
    import jax
    import optax

    from dfjax.apps import bench_torch_loop
    from dfjax.systems import faceswap
    from dfjax.systems.state import optimizer

    pair = augmented_pair(cfg, faces)
    state = jax.jit(lambda: faceswap.init(cfg, jax.random.key(0)))()
    people = state.ema.pop('people')
    update = optimizer(cfg).update

    def step(params: dict, opt: Any, ema: dict, pair: dict) -> tuple:
        loss = lambda params: sum(faceswap.generate(cfg, params, people, pair)[0].values())
        value, grads = jax.value_and_grad(loss)(params)
        updates, opt = update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        average = lambda e, p: e + (1 - cfg.ema) * (p - e)
        return params, opt, jax.tree.map(average, ema, {k: params[k] for k in ema}), value

    carry = [state.params, state.opt['nets'], state.ema]
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*carry, pair).compile()

    def jax_steps(n: int) -> None:
        for _ in range(n):
            *carry[:], loss = compiled(*carry, pair)
        jax.block_until_ready(loss)

    trainer = bench_torch_loop.Trainer(cfg, device)
    tensors = bench_torch_loop.to_device(jax.device_get(pair), device)
    memory = {
        'jax_step_mb': compiled.memory_analysis().temp_size_in_bytes / 2**20,
        'torch_step_mb': trainer.working_memory(tensors),
    }
    return jax_steps, lambda n: trainer.steps(tensors, n), memory


def augmented_pair(cfg: 'ConfigDict', faces: dict) -> dict:
    """One batch as `faceswap.loss_terms` takes it, on the device."""
    import jax
    import jax.numpy as jnp

    from dfjax.data.batches import Resident
    from dfjax.systems import faceswap

    data = Resident(faces, cfg.seed, cfg.batch_size)

    def pair(feed: dict) -> dict:
        batch = data.sample(feed, jnp.int32(0), 0)
        return {side: faceswap.augmented(cfg, batch['key'], batch[side]) for side in ('a', 'b')}

    return jax.jit(pair)(data.feed(1))


def jax_loop(cfg: 'ConfigDict', faces: dict) -> Callable:
    """A function that does n steps as `dfjax.training.loop` does them, data and augmentation included."""
    import jax

    from dfjax.data.batches import Resident
    from dfjax.systems import faceswap
    from dfjax.training.parallel import placement

    place = placement(cfg, faceswap, Resident(faces, cfg.seed, cfg.batch_size))
    state = place.init()
    carry = [state, place.zeros(state)]

    def steps(n: int) -> None:
        carry[:] = place.advance(*carry, place.feed(n), n)
        jax.block_until_ready(carry)

    return steps


def torch_loop(cfg: 'ConfigDict', faces: dict, device: str, workers: int) -> Callable:
    """A function that does n steps of PyTorch on batches of a DataLoader."""
    from dfjax.apps import bench_torch_loop

    trainer = bench_torch_loop.Trainer(cfg, device)
    stream = bench_torch_loop.batches(cfg, faces, device, workers)

    def steps(n: int) -> None:
        for _ in range(n):
            loss = trainer.step(next(stream))
        loss.item()

    return steps


def take_turns(first: Callable, second: Callable, rounds: int) -> tuple[float, float]:
    """Median seconds a step of two functions of the number of steps, A B A B."""
    counts = []
    for side in (first, second):
        side(2)  # compiles
        began = time.monotonic()
        side(2)
        counts.append(max(1, round(SECONDS_A_TURN / (time.monotonic() - began) * 2)))
    times = ([], [])
    for turn in range(2 * rounds):
        side, count = (first, second)[turn % 2], counts[turn % 2]
        time.sleep(0.3)  # idle threads of the other side spin for a while
        began = time.monotonic()
        side(count)
        times[turn % 2].append((time.monotonic() - began) / count)
    return statistics.median(times[0]), statistics.median(times[1])

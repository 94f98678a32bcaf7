"""`dfjax bench faceswap`: a training step and the whole training loop beside PyTorch, on the same machine in one run.

Both sides have the same nets, losses, optimiser, batch and precision: float32 on a CPU (PyTorch in channels_last),
bfloat16 on a GPU (PyTorch under autocast and torch.compile). They take turns. The loop has data and augmentation in it:
dfjax's own loop body beside a DataLoader with a worker a core, which warps with OpenCV.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dfjax.apps.bench import sides

if TYPE_CHECKING:
    from ml_collections import ConfigDict

FACES = 256  # a side, as many as a short video gives


def run(variant: str | None = None, rounds: int = sides.ROUNDS) -> dict:
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
    device, cores, kind = sides.prepare()
    from dfjax.systems import faceswap

    variant = variant or ('laptop' if device == 'cpu' else 'gpu')
    cfg = config(variant, device)
    faces = synthetic_faces(cfg)

    ours, theirs, memory = bare_steps(cfg, faces, device)
    step = sides.take_turns(ours, theirs, rounds)
    print(f'a step: {1e3 * step.first:.1f} ms, PyTorch {1e3 * step.second:.1f} ms', file=sys.stderr)
    loops = sides.jax_loop(cfg, faceswap, faces), torch_loop(cfg, faces, device, cores)
    loop = sides.take_turns(*loops, rounds)
    pictures = 2 * cfg.batch_size
    return {
        'jax_ms': 1e3 * step.first,
        'torch_ms': 1e3 * step.second,
        'jax_over_torch': step.ratio,
        'jax_loop': pictures / loop.first,
        'torch_loop': pictures / loop.second,
        'loop_ratio': 1 / loop.ratio,
        **memory,
        'variant': variant,
        'batch_size': cfg.batch_size,
        'device': kind,
    }


def config(variant: str, device: str) -> 'ConfigDict':
    """The named run, without a discriminator and references; at most 16 a side on a CPU."""
    from dfjax.config import build, load_config

    cfg = load_config(f'faceswap:{variant}')
    size = min(cfg.batch_size, 16) if device == 'cpu' else cfg.batch_size
    return build(cfg, {'loss.gan': 0.0, 'references.count': 0, 'batch_size': size})


def synthetic_faces(cfg: 'ConfigDict') -> dict:
    """Arrays as a face set gives them, of noise: what is in the pictures does not change the time."""
    import numpy as np

    rng = np.random.default_rng(0)
    size = cfg.data.size

    def side() -> dict:
        return {
            'image': rng.integers(0, 256, (FACES, size, size, 3), np.uint8),
            'mask': rng.integers(0, 256, (FACES, size, size), np.uint8),
            'landmarks': rng.uniform(0.2, 0.8, (FACES, 68, 2)).astype(np.float32),
        }

    return {'a': side(), 'b': side()}


def bare_steps(cfg: 'ConfigDict', faces: dict, device: str) -> tuple[Callable, Callable, dict]:
    """Functions that do n bare steps of either side, on one batch already augmented, and the memory that steps take."""
    import jax
    import jax.numpy as jnp
    import optax

    from dfjax.apps.bench.torch import loop as torch_loop
    from dfjax.apps.bench.torch import train as torch_train
    from dfjax.ops.optimize import apply_grads, learning_rate
    from dfjax.systems import faceswap

    pair = augmented_pair(cfg, faces)
    state = jax.jit(lambda: faceswap.init(cfg, jax.random.key(0)))()
    stats = state.ema.pop('stats')

    def step(params: dict, opt: Any, ema: dict, pair: dict) -> tuple:
        loss = lambda params: sum(faceswap.generate(cfg, params, state, stats, pair)[0].values())
        value, grads = jax.value_and_grad(loss)(params)
        rate = learning_rate(cfg.optimizer, optax.tree_utils.tree_get(opt, 'count'), jnp.int32(cfg.steps))
        params, opt = apply_grads(cfg.optimizer, rate, params, grads, opt)
        average = lambda e, p: e + (1 - cfg.ema) * (p - e)
        return params, opt, jax.tree.map(average, ema, {k: params[k] for k in ema}), value

    carry = [state.params, state.opt['nets'], state.ema]
    compiled = jax.jit(step, donate_argnums=(0, 1, 2)).lower(*carry, pair).compile()

    def jax_steps(n: int) -> None:
        for _ in range(n):
            *carry[:], loss = compiled(*carry, pair)
        jax.block_until_ready(loss)

    trainer = torch_loop.SwapTrainer(cfg, device)
    tensors = torch_train.to_device(jax.device_get(pair), device)
    memory = {
        'jax_step_mb': compiled.memory_analysis().temp_size_in_bytes / 2**20,
        'torch_step_mb': trainer.working_memory(tensors),
    }
    return jax_steps, lambda n: trainer.steps(tensors, n), memory


def augmented_pair(cfg: 'ConfigDict', faces: dict) -> dict:
    """One batch as `faceswap.generate` takes it, on the device."""
    import jax
    import jax.numpy as jnp

    from dfjax.data.augment import training_pair
    from dfjax.data.batches import Resident
    from dfjax.data.faces.canonical import mean_features

    data, sides = Resident(faces, cfg.seed, cfg.batch_size), (cfg.input_size, cfg.data.size)
    features = mean_features(cfg.data.face_type, cfg.data.size) if cfg.data.canonical else None

    def pair(feed: dict) -> dict:
        batch = data.sample(feed, jnp.int32(0), 0)
        return {side: training_pair(cfg.augment, batch['key'], batch[side], *sides, features) for side in ('a', 'b')}

    return jax.jit(pair)(data.feed(1))


def torch_loop(cfg: 'ConfigDict', faces: dict, device: str, workers: int) -> Callable:
    """A function that does n steps of PyTorch on batches of a DataLoader."""
    from dfjax.apps.bench.torch import loop as torch_loop
    from dfjax.apps.bench.torch import train as torch_train

    trainer = torch_loop.SwapTrainer(cfg, device)
    examples = torch_loop.Pairs(cfg, faces)
    return torch_train.loop(trainer, torch_train.batches(examples, cfg.batch_size, device, workers))

"""`dfjax bench` of systems: training steps and inference beside PyTorch.

Both sides have the same nets, losses, optimisers, batch and precision: float32 on a CPU (PyTorch in channels_last),
bfloat16 on a GPU (PyTorch under autocast and torch.compile). They take turns. A step is everything: all nets, their
updates and averages, and of dfjax the augmentation too, which PyTorch's side leaves to the workers of its loader. The
loop has the data in it: dfjax's own loop body beside a DataLoader with a worker a core. Of clips, speech and faces
there is no such loader: PyTorch's side is given what dfjax's augmentation makes of them.
"""

import importlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dfjax.apps.bench import sides

if TYPE_CHECKING:
    from types import ModuleType

    import jax
    from ml_collections import ConfigDict

    from dfjax.apps.bench.torch.train import Trainer

EXAMPLES = 128  # pictures of each stream
INFERRED = 16  # at once, at most
# Seconds for a step of either side together; of slower ones the loop is not timed, for data costs them nothing.
LOOPED = 2.0
LOADED = ('labelled', 'unpaired', 'aligned')  # kinds of batches that PyTorch's side has a loader of


def run(
    system: str,
    variant: str,
    rounds: int = sides.ROUNDS,
    changes: Mapping[str, Any] | None = None,
    workers: int | None = None,
) -> dict:
    """Measures; returns the report.

    Args:
        system, variant: of configs/SYSTEM.py.
        rounds: turns of each side at most, of which the median counts.
        changes: of the config's keys.
        workers: of PyTorch's loader; one a core by default.

    Returns:
        jax_ms and torch_ms of a step, jax_over_torch their ratio; the same with the prefix inference_ of the main net
        (g, g_ab; encoder and decoder; one guess of the denoiser) on inference_batch pictures; jax_loop and torch_loop
        in steps a second, loop_ratio the first over the second, see LOOPED; jax_step_mb and torch_step_mb, the working
        memory of a step beside parameters and optimiser; jax_compile_s and torch_compile_s (0: it compiles nothing);
        batch_size, inference_batch, size, device.

    Raises:
        InputError: if PyTorch is not installed, or sees no GPU where JAX does.
    """
    device, cores, kind = sides.prepare()
    from dfjax.apps.bench.torch import SIDES
    from dfjax.apps.bench.torch import train as torch_train
    from dfjax.config import build, load_config

    module, theirs = importlib.import_module(f'dfjax.systems.{system}'), SIDES[system]
    cfg = build(load_config(f'{system}:{variant}'), dict(theirs.changes))
    fewer = {'batch_size': min(theirs.most, cfg.batch_size)} if theirs.most and device == 'cpu' else {}
    cfg = build(cfg, fewer | dict(changes or {}))
    arrays, side = synthetic(cfg, module.BATCH), theirs.load()
    ours, trainer = Ours(cfg, module, arrays, side), side(cfg, device)
    batch = torch_train.to_device(ours.arrays(), device)
    began = time.monotonic()
    report = {'jax_step_mb': ours.step_mb, 'torch_step_mb': trainer.working_memory(batch)}
    took = time.monotonic() - began
    report |= {'jax_compile_s': ours.compile_s, 'torch_compile_s': took if device == 'cuda' else 0.0}

    step = sides.take_turns(ours.steps, lambda n: trainer.steps(batch, n), rounds)
    report |= figures('', step)
    if step.first + step.second < LOOPED and module.BATCH in LOADED:
        set_of = torch_train.Examples(arrays.get('', arrays), *motion(cfg), module.BATCH == 'aligned')
        stream = torch_train.batches(set_of, cfg.batch_size, device, cores if workers is None else workers)
        loops = sides.jax_loop(cfg, module, arrays), torch_train.loop(trainer, stream)
        loop = sides.take_turns(*loops, rounds)
        report |= {'jax_loop': 1 / loop.first, 'torch_loop': 1 / loop.second, 'loop_ratio': 1 / loop.ratio}
    few = torch_train.to_device(ours.arrays(INFERRED), device)
    report |= figures('inference_', sides.take_turns(ours.inference(), trainer.inference(few), rounds))
    inferred = len(next(iter(torch_train.leaves(few))))
    shapes = {'batch_size': cfg.batch_size, 'inference_batch': inferred, 'size': cfg.data.size}
    return report | {'system': system, 'variant': variant, **shapes, 'device': kind}


def figures(prefix: str, turns: sides.Turns) -> dict:
    """The part of the report that one comparison is; said at once too."""
    ours, theirs = 1e3 * turns.first, 1e3 * turns.second
    print(f'{prefix.strip("_") or "step"}: {ours:.1f} ms, PyTorch {theirs:.1f} ms', file=sys.stderr)
    return {f'{prefix}jax_ms': ours, f'{prefix}torch_ms': theirs, f'{prefix}jax_over_torch': turns.ratio}


def motion(cfg: 'ConfigDict') -> tuple[float, float]:
    """How much pictures are enlarged before they are cut, and how often they are mirrored."""
    return cfg.get('jitter', 1.0), cfg.get('flip', 0.0)


def synthetic(cfg: 'ConfigDict', kind: str) -> dict:
    """Arrays as `dfjax.data.batches` has them, of noise: what is in the pictures does not change the time."""
    import numpy as np

    from dfjax.data.kinds import WHOLE
    from dfjax.ops.mel import RATE
    from dfjax.ops.speech import FPS, MARGIN

    rng, size, count = np.random.default_rng(0), cfg.data.size, max(EXAMPLES, cfg.batch_size)
    picture = lambda *many: {'image': rng.integers(0, 256, (count, *many, size, size, 3), np.uint8)}
    face = lambda *many: picture(*many) | {'landmarks': rng.uniform(0.2, 0.8, (count, *many, 68, 2)).astype(np.float32)}
    if kind == 'clips':
        return {WHOLE: {'source': face(), 'driving': face()}}
    if kind == 'faces_ab':
        mask = lambda: {'mask': rng.integers(0, 256, (count, size, size), np.uint8)}
        return {'a': face() | mask(), 'b': face() | mask()}
    if kind == 'speech':
        count, many = cfg.batch_size, (cfg.data.windows, cfg.data.frames)
        sound = rng.normal(0, 0.1, (count, many[0], many[1] * RATE // FPS + 2 * MARGIN)).astype(np.float32)
        return {WHOLE: {'frames': face(*many), 'reference': face(*many), 'sound': sound}}
    if kind == 'labelled':
        label = rng.integers(0, 2, (count, len(cfg.data.labels))).astype(np.float32)
        return {WHOLE: picture() | {'label': label, 'known': np.ones_like(label)}}
    sides = {'a': picture(), 'b': picture()}
    return {WHOLE: sides} if kind == 'aligned' else sides


class Ours:
    """dfjax's side: the compiled step on one batch, and inference with what it has learnt.

    Args:
        side: PyTorch's trainer, which says what it learns from.

    Attributes:
        state, batch: what the next step takes.
        terms: the loss terms of the last.
        compile_s: seconds that tracing and compiling the step took.
        step_mb: MiB of working memory of a step.
    """

    def __init__(self, cfg: 'ConfigDict', module: 'ModuleType', arrays: dict, side: 'type[Trainer]'):
        import jax
        import jax.numpy as jnp

        from dfjax.data.batches import Resident
        from dfjax.ops.backend import quick_compilation
        from dfjax.ops.keys import init_key
        from dfjax.training.parallel import strip_weak_types

        self.cfg, self.module, self.side = cfg, module, side
        data = Resident(arrays, cfg.seed, cfg.batch_size)
        self.batch = jax.jit(lambda feed: data.sample(feed, jnp.int32(0), 0))(data.feed(1))
        options = quick_compilation()
        init = jax.jit(lambda: strip_weak_types(module.init(cfg, init_key(cfg.seed))), compiler_options=options)
        self.state = init().replace(horizon=jnp.int32(cfg.steps), frozen=jax.device_put(side.frozen(cfg)))

        def step(state: Any, batch: dict) -> tuple[Any, dict]:
            state, metrics = module.step(cfg, state, batch)
            return strip_weak_types(state), metrics

        began = time.monotonic()
        self.step = jax.jit(step, donate_argnums=0).lower(self.state, self.batch).compile()
        self.compile_s = time.monotonic() - began
        self.step_mb = self.step.memory_analysis().temp_size_in_bytes / 2**20

    def arrays(self, count: int | None = None) -> dict:
        """The first of the batch's examples on the host, as PyTorch's side learns from them."""
        import jax

        batch = jax.jit(lambda batch: self.side.learnt(self.cfg, batch))(self.batch)
        return jax.tree.map(lambda x: jax.device_get(x)[:count], batch)

    def steps(self, n: int) -> None:
        """`n` steps; waits for the last."""
        for _ in range(n):
            self.state, metrics = self.step(self.state, self.batch)
        self.terms = {name: float(value) for name, value in metrics.items()}

    def inference(self) -> Callable:
        """A function that does it n times, on INFERRED of the batch's examples."""
        import jax

        state = self.state
        params = state.params | state.ema
        batch = jax.device_put(self.arrays(INFERRED))
        compiled = jax.jit(lambda *values: infer(self.cfg, self.module, *values))

        def times(n: int) -> None:
            for _ in range(n):
                made = compiled(params, batch)
            jax.block_until_ready(made)

        return times


def scaled(picture: dict) -> 'jax.Array':
    from dfjax.ops.image import to_float

    return to_float(picture['image'])


def infer(cfg: 'ConfigDict', module: 'ModuleType', params: dict, batch: dict) -> 'jax.Array':
    """What a system is used for, by what its module can: a translation in its first direction or to the labels that
    the pictures have, a reconstruction, a picture moved, a mouth made, embeddings, a swap, or a guess of the pictures
    behind the batch's, halfway to noise."""
    import jax.numpy as jnp

    if hasattr(module, 'animate'):
        source, driving = (2 * batch[side] - 1 for side in ('source', 'driving'))
        points = (module.keypoints(cfg, params, picture) for picture in (source, driving))
        return module.animate(cfg, params, source, *points)
    if hasattr(module, 'lipsync'):
        mels, *pictures = (batch[k].reshape(-1, *batch[k].shape[2:]) for k in ('mels', 'real', 'reference'))
        return module.lipsync(cfg, params, mels, *(2 * module.ordered(cfg, x) - 1 for x in pictures))
    if hasattr(module, 'embedded'):
        return jnp.stack(module.embedded(cfg, params, batch['mels'], batch['frames']), 1)
    if hasattr(module, 'swap'):
        return module.swap(cfg, params, {}, batch['a']['input'], batch['a']['landmarks'])[0]
    if hasattr(module, 'translate'):
        condition = batch['label'] if 'label' in batch else next(iter(module.DIRECTIONS)) or None
        return module.translate(cfg, params, scaled(batch.get('a', batch)), condition)
    if hasattr(module, 'encode'):
        return module.decode(cfg, params, module.encode(cfg, params, scaled(batch)))
    t = jnp.full(len(batch['image']), cfg.times // 2)
    return module.guess(cfg, params, scaled(batch), t, 0 * batch['label'])

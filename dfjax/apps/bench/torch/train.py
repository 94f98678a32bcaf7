"""Training in PyTorch, for `dfjax bench` only: updates, averages, memory, and a DataLoader."""

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, RandomSampler


class Trainer:
    """Nets, an Adam for each group of them, and averages: what all systems do alike. A subclass says what a step is.

    On a GPU, what `fast` gives is compiled, and what is computed inside `autocast()` is bfloat16.

    Attributes:
        TRAINS_TO_INFER: whether nets stay in training mode, as instance norm with averages has to.
        nets: by the names that dfjax gives their parameters.
        ema: averages of the parameters of each net of the first group.
    """

    TRAINS_TO_INFER = False

    def __init__(self, cfg, device: str, nets: dict[str, nn.Module], groups: dict[str, list[str]]):
        self.cfg, self.device, self.count = cfg, device, 0
        self.nets = {name: net.to(device, memory_format=torch.channels_last) for name, net in nets.items()}
        self.groups = groups
        self.params = {key: [p for name in names for p in nets[name].parameters()] for key, names in groups.items()}
        self.ema = {}
        if cfg.ema:
            first = next(iter(groups.values()))
            self.ema = {name: [p.detach().clone() for p in nets[name].parameters()] for name in first}
        self.optimizers = {key: self.optimizer(key) for key in groups}
        self.updates = dict.fromkeys(groups, 0)

    @staticmethod
    def learnt(cfg, batch: dict) -> dict:
        """What a step learns from: a batch of dfjax's, as arrays, augmented where the loader's workers do not do it."""
        return {name: value for name, value in batch.items() if name not in ('key', 'step_key')}

    @staticmethod
    def frozen(cfg) -> dict:
        """As the system's own `frozen`, arrays of noise."""
        return {}

    def optimizer(self, group: str) -> torch.optim.Optimizer:
        o = self.section(group)
        return torch.optim.Adam(self.params[group], betas=(o.b1, o.b2), eps=o.eps, fused=True)

    def step(self, batch: dict) -> dict[str, Tensor]:
        """One step on a batch of `to_device`: the loss terms."""
        raise NotImplementedError

    def section(self, group: str):
        """The section of the config that says how a group of nets is optimised."""
        return self.cfg.optimizer

    def rate(self, group: str, updates: int) -> float:
        """The learning rate after so many updates."""
        return warm_rate(self.section(group), self.cfg.steps, updates)

    def fast(self, function: Callable) -> Callable:
        return torch.compile(function) if self.device == 'cuda' else function

    def autocast(self) -> torch.autocast:
        return torch.autocast('cuda', torch.bfloat16, enabled=self.device == 'cuda')

    @contextlib.contextmanager
    def fixed(self, group: str) -> Iterator[None]:
        """No gradients with respect to these nets' parameters."""
        for p in self.params[group]:
            p.requires_grad_(False)
        yield
        for p in self.params[group]:
            p.requires_grad_(True)

    def update(self, group: str, loss: Tensor) -> None:
        optimizer = self.optimizers[group]
        optimizer.param_groups[0]['lr'] = self.rate(group, self.updates[group])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if clip := self.section(group).clip:
            nn.utils.clip_grad_norm_(self.params[group], clip, foreach=True)
        optimizer.step()
        self.updates[group] += 1

    def average(self) -> None:
        """The end of a step."""
        decay = min(self.cfg.ema, (1 + self.count) / (10 + self.count))
        for name, ema in self.ema.items():
            torch._foreach_lerp_(ema, [p.detach() for p in self.nets[name].parameters()], 1 - decay)
        self.count += 1

    def steps(self, batch: dict, n: int) -> None:
        """`n` steps on one batch; waits for the last."""
        for _ in range(n):
            terms = self.step(batch)
        next(iter(terms.values())).item()

    def inference(self, batch: dict) -> Callable:
        """A function that does it n times on a batch. There are no steps after it."""
        for net in self.nets.values():
            net.train(self.TRAINS_TO_INFER)

        def times(n: int) -> None:
            for _ in range(n):
                made = self.infer(batch)
            made.flatten()[0].item()

        return times

    def infer(self, batch: dict) -> Tensor:
        """What the main net makes of a batch, in inference mode."""
        raise NotImplementedError

    def working_memory(self, batch: dict) -> float | None:
        """MiB that a step takes beside parameters, optimiser and EMA. Call it before the first step on a CPU."""
        if self.device == 'cuda':
            self.steps(batch, 2)  # compiles
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.steps(batch, 1)
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        try:
            Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
            before = resident_mb('VmRSS')
            self.steps(batch, 1)
            moments = 2 * sum(p.nbytes for params in self.params.values() for p in params) / 2**20  # made by the first
            return resident_mb('VmHWM') - before - moments
        except OSError:  # not Linux, or not allowed
            return None


def warm_rate(o, steps: int, updates: int) -> float:
    """As `dfjax.ops.optimize.learning_rate`; of schedules 'cosine' is known, and all others stay."""
    warm = min(o.warmup, steps // 2)
    if updates < warm:
        return o.lr * updates / warm
    done = (updates - warm) / (steps - warm) if o.schedule == 'cosine' else 0
    return o.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1)))


def linear_rate(rate: float, steps: int, constant: float, updates: int) -> float:
    """As `dfjax.ops.optimize.learning_rate`, of schedule 'linear'."""
    begin = round(constant * steps)
    return rate * (1 - max(updates + 1 - begin, 0) / (steps - begin + 1))


def resident_mb(field: str) -> float:
    """A figure of /proc/self/status in MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def to_device(batch: dict, device: str) -> dict:
    """A tree of NumPy arrays or tensors, pictures NHWC (floats, or bytes to be scaled), as trainers take it."""

    def tensor(name: str, x: np.ndarray | Tensor) -> Tensor:
        x = torch.as_tensor(x if isinstance(x, Tensor) else x.copy()).to(device, non_blocking=True)
        if x.dtype == torch.uint8:
            x = x.float() / 255 if name == 'mask' else x.float() / 127.5 - 1
        return x.permute(0, 3, 1, 2) if x.ndim == 4 else x  # [B, C, H, W], channels_last

    return {k: to_device(v, device) if isinstance(v, dict) else tensor(k, v) for k, v in batch.items()}


class Examples(Dataset):
    """Examples of a tree of arrays [N, ...], pictures enlarged, cut and mirrored by OpenCV as `dfjax.ops.jitter`.

    Args:
        together: whether the pictures of an example are moved alike.
    """

    def __init__(self, arrays: dict, enlarge: float, flip: float, together: bool):
        self.arrays, self.enlarge, self.flip, self.together = arrays, enlarge, flip, together

    def __len__(self) -> int:
        return len(next(iter(leaves(self.arrays))))

    def __getitem__(self, i: int) -> dict:
        cv2.setNumThreads(0)
        rng = np.random.default_rng()
        seed = rng.integers(2**62)

        def picked(tree: dict | np.ndarray) -> dict | np.ndarray:
            if isinstance(tree, dict):
                return {k: picked(v) for k, v in tree.items()}
            return self.moved(np.random.default_rng(seed) if self.together else rng, tree[i])

        return picked(self.arrays)

    def moved(self, rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        if x.ndim < 3:
            return x
        size = len(x)
        large = round(size * self.enlarge)
        x = cv2.resize(x, (large, large)) if large > size else x
        top, left = rng.integers(0, large - size + 1, 2)
        x = x[top : top + size, left : left + size]
        return np.ascontiguousarray(x[:, ::-1] if rng.random() < self.flip else x)


def leaves(tree: dict) -> Iterator[np.ndarray]:
    for value in tree.values():
        yield from leaves(value) if isinstance(value, dict) else [value]


def batches(examples: Dataset, size: int, device: str, workers: int) -> Iterator[dict]:
    """Endless batches from worker processes, or made here without any."""
    loader = DataLoader(
        examples,
        size,
        sampler=RandomSampler(examples, replacement=True, num_samples=2**31),
        num_workers=workers,
        pin_memory=device == 'cuda',
        multiprocessing_context='spawn' if workers else None,  # a fork of a process in which JAX has threads may hang
    )
    for batch in loader:
        yield to_device(batch, device)


def loop(trainer: Trainer, stream: Iterator[dict]) -> Callable:
    """A function that does n steps on the batches of a stream."""

    def steps(n: int) -> None:
        for _ in range(n):
            terms = trainer.step(next(stream))
        next(iter(terms.values())).item()

    return steps

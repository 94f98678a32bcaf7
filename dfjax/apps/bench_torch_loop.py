"""Training in PyTorch, for `dfjax bench faceswap` only: optimiser, EMA, and a DataLoader that warps with OpenCV."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from dfjax.apps.bench_torch import Swapper


class Trainer:
    """Adam with clipping, warm-up, cosine decay and EMA, as `dfjax.systems.faceswap.step`.

    On a GPU the loss is compiled and computed under bfloat16 autocast.
    """

    def __init__(self, cfg, device: str):
        self.cfg, self.device, self.count = cfg, device, 0
        self.net = Swapper(cfg).to(device, memory_format=torch.channels_last)
        self.params = list(self.net.parameters())
        self.ema = [p.detach().clone() for p in self.params]
        self.people = {side: stranger(cfg.input_size, device) for side in 'ab'}  # not followed: a few numbers a step
        o = cfg.optimizer
        self.optimizer = torch.optim.Adam(self.params, lr=o.lr, betas=(o.b1, o.b2), fused=True)
        self.loss = torch.compile(self.net) if device == 'cuda' else self.net

    def step(self, pair: dict) -> Tensor:
        o, self.count = self.cfg.optimizer, self.count + 1
        warm = min(o.warmup, self.cfg.steps // 2)
        done = (self.count - warm) / (self.cfg.steps - warm) if o.schedule == 'cosine' else 0
        rate = self.count / warm if self.count < warm else 0.5 * (1 + math.cos(math.pi * done))
        self.optimizer.param_groups[0]['lr'] = o.lr * rate
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast('cuda', torch.bfloat16, enabled=self.device == 'cuda'):
            loss = self.loss(pair, self.people)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.params, o.clip, foreach=True)
        self.optimizer.step()
        decay = min(self.cfg.ema, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.ema, [p.detach() for p in self.params], 1 - decay)
        return loss

    def steps(self, pair: dict, n: int) -> None:
        """`n` steps on one batch; waits for the last."""
        for _ in range(n):
            loss = self.step(pair)
        loss.item()

    def working_memory(self, pair: dict) -> float | None:
        """MiB that a step takes beside parameters, optimiser and EMA. Call it before the first step on a CPU."""
        if self.device == 'cuda':
            self.steps(pair, 2)  # compiles
            self.optimizer.zero_grad(set_to_none=True)
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            self.steps(pair, 1)
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        try:
            Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
            before = resident_mb('VmRSS')
            self.steps(pair, 1)
            moments = 2 * sum(p.nbytes for p in self.params) / 2**20  # which the first step allocates
            return resident_mb('VmHWM') - before - moments
        except OSError:  # not Linux, or not allowed
            return None


def stranger(side: int, device: str) -> dict:
    """As `dfjax.systems.faceswap.stranger`, pictures [3, s, s]."""
    look = {'picture': torch.zeros(3, side, side, device=device), 'square': torch.ones(3, side, side, device=device)}
    return look | {'landmarks': torch.full((68, 2), 0.5, device=device)}


def resident_mb(field: str) -> float:
    """A figure of /proc/self/status in MiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def to_device(pair: dict, device: str) -> dict:
    """A pair of NumPy arrays or tensors, pictures NHWC (floats, or bytes to be scaled), as `Swapper` takes it."""

    def tensor(name: str, x: np.ndarray | Tensor) -> Tensor:
        x = torch.as_tensor(x if isinstance(x, Tensor) else x.copy()).to(device, non_blocking=True)
        if x.dtype == torch.uint8:
            x = x.float() / 255 if name == 'mask' else x.float() / 127.5 - 1
        return x.permute(0, 3, 1, 2) if x.ndim == 4 else x  # [B, C, H, W], channels_last

    return {side: {k: tensor(k, v) for k, v in faces.items()} for side, faces in pair.items()}


class Pairs(Dataset):
    """Warped pairs by OpenCV, one of each side an item: what `dfjax.systems.faceswap.augmented` does on the device."""

    def __init__(self, cfg, faces: dict):
        self.augment, self.side_in, self.side_out = cfg.augment.to_dict(), cfg.input_size, cfg.data.size
        self.straight = cfg.data.straight
        self.faces = faces

    def __len__(self) -> int:
        return len(self.faces['a']['image'])

    def __getitem__(self, i: int) -> dict:
        cv2.setNumThreads(0)
        rng = np.random.default_rng()
        return {side: self.warped(rng, {k: v[i] for k, v in faces.items()}) for side, faces in self.faces.items()}

    def warped(self, rng: np.random.Generator, face: dict) -> dict:
        a, size = self.augment, len(face['image'])
        shared = np.eye(2, 3)
        if not self.straight:
            angle, scale, *shift = rng.uniform(-1, 1, 4)
            shared = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, a['rotate'] * angle, 1 + a['scale'] * scale)
            shared[:, 2] += a['shift'] * size * np.array(shift)
        jitter = rng.normal(size=(5, 5, 2)) * a['warp'] * size
        at = (np.arange(self.side_in) + 0.5) * size / self.side_in - 0.5
        x, y = np.meshgrid(at, at)
        bent = np.stack([x, y], -1) + cv2.resize(jitter, (self.side_in, self.side_in))
        positions = (bent @ shared[:, :2].T + shared[:, 2]).astype(np.float32)
        warped = cv2.remap(face['image'], positions, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if self.straight:
            landmarks = ((face['landmarks'] + 0.5) / size).astype(np.float32)
            return {'input': warped, 'target': face['image'], 'mask': face['mask'][..., None], 'landmarks': landmarks}
        line = np.linspace(0, size - 1, 5)
        regular = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        nearest = similarity(regular, regular + jitter.reshape(-1, 2))
        homogeneous = np.vstack([nearest, [0, 0, 1]])
        whole = shared @ homogeneous  # target pixels, at the size of the source, to source pixels
        ratio = size / self.side_out
        grow = np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2], [0, 0, 1]])
        how = {'flags': cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, 'borderMode': cv2.BORDER_REPLICATE}
        picture = np.dstack([face['image'], face['mask']])
        target = cv2.warpAffine(picture, whole @ grow, (self.side_out,) * 2, **how)
        inverse = cv2.invertAffineTransform(whole)
        return {
            'input': warped,
            'target': np.ascontiguousarray(target[..., :3]),
            'mask': np.ascontiguousarray(target[..., 3:]),
            'landmarks': ((face['landmarks'] @ inverse[:, :2].T + inverse[:, 2] + 0.5) / size).astype(np.float32),
        }


def similarity(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The least-squares similarity [2, 3] of points [K, 2]."""
    s, d = src - src.mean(0), dst - dst.mean(0)
    cos, sin = (s * d).sum() / (s**2).sum(), (s[:, 0] * d[:, 1] - s[:, 1] * d[:, 0]).sum() / (s**2).sum()
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, dst.mean(0) - linear @ src.mean(0)])


def batches(cfg, faces: dict, device: str, workers: int) -> Iterator[dict]:
    """Endless augmented batches from worker processes."""
    pairs = Pairs(cfg, faces)
    loader = DataLoader(
        pairs,
        cfg.batch_size,
        sampler=RandomSampler(pairs, replacement=True, num_samples=2**31),
        num_workers=workers,
        pin_memory=device == 'cuda',
        multiprocessing_context='spawn',  # a fork of a process in which JAX has threads may hang
    )
    for pair in loader:
        yield to_device(pair, device)

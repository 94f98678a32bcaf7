"""The face swap's training in PyTorch, for `dfjax bench faceswap` only: its step, and warping with OpenCV."""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dfjax.apps.bench.torch.faceswap import Swapper
from dfjax.apps.bench.torch.train import Trainer
from dfjax.ops.geometry import to_pixels, to_unit


class SwapTrainer(Trainer):
    """Adam with clipping, warm-up, cosine decay and EMA, as `dfjax.systems.faceswap.step`."""

    def __init__(self, cfg, device: str):
        super().__init__(cfg, device, {'swapper': Swapper(cfg)}, {'nets': ['swapper']})
        self.stats = {side: init_stats(cfg.input_size, device) for side in 'ab'}  # not followed: a few numbers a step
        self.loss = self.fast(self.nets['swapper'])

    def step(self, pair: dict) -> dict[str, Tensor]:
        with self.autocast():
            loss = self.loss(pair, self.stats)
        self.update('nets', loss)
        self.average()
        return {'total': loss}


def init_stats(side: int, device: str) -> dict:
    """As `dfjax.ops.moments.blank`, pictures [3, s, s]."""
    picture = {'mean': torch.zeros(3, side, side, device=device), 'square': torch.ones(3, side, side, device=device)}
    return {'picture': picture, 'landmarks': {'mean': torch.full((68, 2), 0.5, device=device)}}


class Pairs(Dataset):
    """Warped pairs by OpenCV, one of each side an item: what `dfjax.systems.faceswap.augmented` does on the device."""

    def __init__(self, cfg, faces: dict):
        self.augment, self.side_in, self.side_out = cfg.augment.to_dict(), cfg.input_size, cfg.data.size
        self.canonical = cfg.data.canonical
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
        if not self.canonical:
            angle, scale, *shift = rng.uniform(-1, 1, 4)
            shared = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, a['rotate'] * angle, 1 + a['scale'] * scale)
            shared[:, 2] += a['shift'] * size * np.array(shift)
        jitter = rng.normal(size=(5, 5, 2)) * a['warp'] * size
        at = (np.arange(self.side_in) + 0.5) * size / self.side_in - 0.5
        x, y = np.meshgrid(at, at)
        bent = np.stack([x, y], -1) + cv2.resize(jitter, (self.side_in, self.side_in))
        positions = (bent @ shared[:, :2].T + shared[:, 2]).astype(np.float32)
        warped = cv2.remap(face['image'], positions, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if self.canonical:
            still = {'target': face['image'], 'mask': face['mask'][..., None], 'landmarks': face['landmarks']}
            return {'input': warped} | still
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
        inverse, points = cv2.invertAffineTransform(whole), to_pixels(face['landmarks'], size)
        return {
            'input': warped,
            'target': np.ascontiguousarray(target[..., :3]),
            'mask': np.ascontiguousarray(target[..., 3:]),
            'landmarks': to_unit(points @ inverse[:, :2].T + inverse[:, 2], size).astype(np.float32),
        }


def similarity(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The least-squares similarity [2, 3] of points [K, 2]."""
    s, d = src - src.mean(0), dst - dst.mean(0)
    cos, sin = (s * d).sum() / (s**2).sum(), (s[:, 0] * d[:, 1] - s[:, 1] * d[:, 0]).sum() / (s**2).sum()
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, dst.mean(0) - linear @ src.mean(0)])

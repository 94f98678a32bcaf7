"""`dfjax.ops.motion` and the bends of `dfjax.losses.equivariance` in PyTorch, for `dfjax bench` only.

Pictures are [B, C, H, W]; `bend` has 'affine' [B, 2, 3] and 'weights' [B, N * N].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from dfjax.ops.motion import coordinate_grid, shrink_taps


def grid_of(h: int, w: int, like: Tensor) -> Tensor:
    return torch.from_numpy(coordinate_grid(h, w)).to(like.device)


def shrink(x: Tensor, scale: float) -> Tensor:
    """As `dfjax.ops.motion.shrink`."""
    n = round(1 / scale)
    if n == 1:
        return x
    taps = torch.tensor(shrink_taps(scale), dtype=torch.float32, device=x.device)
    edge, c = len(taps) // 2, x.shape[1]
    kernel = torch.outer(taps, taps).expand(c, 1, -1, -1)
    return F.conv2d(F.pad(x, (edge,) * 4), kernel, stride=n, groups=c)


def sample(x: Tensor, grid: Tensor, corners: bool, outside: str = 'zeros') -> Tensor:
    return F.grid_sample(x.float(), grid, padding_mode=outside, align_corners=corners)


def stretch(x: Tensor, h: int, w: int) -> Tensor:
    return x if x.shape[2:] == (h, w) else F.interpolate(x, (h, w), mode='bilinear', align_corners=False)


def gaussians(points: Tensor, h: int, w: int) -> Tensor:
    away = grid_of(h, w, points) - points[:, :, None, None]  # [B, K, H, W, 2]
    return torch.exp(-50 * away.square().sum(-1))


def control(bend: dict) -> Tensor:
    side = round(bend['weights'].shape[1] ** 0.5)
    return grid_of(side, side, bend['weights']).view(-1, 2)


def bent(bend: dict, points: Tensor) -> Tensor:
    """As `dfjax.losses.equivariance.bent`."""
    affine = bend['affine']
    moved = points @ affine[:, :, :2].transpose(1, 2) + affine[:, None, :, 2]
    r = (points[:, :, None] - control(bend)).abs().sum(-1)  # [B, P, N * N]
    return moved + (bend['weights'][:, None] * r**2 * (r + 1e-6).log()).sum(-1, keepdim=True)


def jacobian_loss(bend: dict, jacobians: Tensor, value: Tensor, moved: Tensor) -> Tensor:
    """As `dfjax.losses.equivariance.jacobian_loss`."""
    away = value[:, :, None] - control(bend)
    r = away.abs().sum(-1, keepdim=True)
    slope = bend['weights'][:, None, :, None] * (2 * r * (r + 1e-6).log() + r**2 / (r + 1e-6)) * away.sign()
    there = (bend['affine'][:, None, :, :2] + slope.sum(2)[:, :, None]) @ moved
    return (torch.eye(2, device=value.device) - jacobians.inverse() @ there).abs().mean()

"""The face swap's nets and losses in PyTorch, for `dfjax bench faceswap` only: the same sums, layer for layer.

Tensors are [B, C, H, W] in channels_last memory. Pixel shuffles are PyTorch's own: they read channels in another order
than dfjax's default, so kernels before and after them hold the same numbers in another order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfjax.data.faces.canonical import mean_shape


class Upscale(nn.Module):
    """Convolution, leaky ReLU, pixel shuffle by 2."""

    def __init__(self, channels: int, features: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4 * features, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(F.leaky_relu(self.conv(x), 0.1))


class Residual(nn.Module):
    """x + conv(act(conv(x))), then the activation."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.second(F.leaky_relu(self.first(x), 0.2)), 0.2)


class Encoder(nn.Module):
    """As `dfjax.models.autoencoder.Encoder`; `side` is that of its input, `points` how many landmarks it is told."""

    def __init__(
        self,
        patch: int,
        widths: list[int],
        kernel: int,
        latent: int,
        bottleneck_grid: list[int],
        upsample: int,
        side: int,
        points: int,
    ):
        super().__init__()
        self.bottleneck_grid = bottleneck_grid
        self.patch = nn.PixelUnshuffle(patch) if patch > 1 else nn.Identity()
        channels, side = 3 * patch**2, side // patch
        self.convs = nn.ModuleList()
        for i, width in enumerate(widths):
            stride = 1 if patch > 1 and i == 0 else 2
            self.convs.append(nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2))
            channels, side = width, side // stride
        self.dense = nn.Linear(side * side * channels, latent)
        self.unfold = nn.Linear(latent + 2 * points, bottleneck_grid[0] ** 2 * bottleneck_grid[1])
        self.upsample = Upscale(bottleneck_grid[1], upsample) if upsample else None

    def forward(self, x: Tensor, offsets: Tensor | None) -> Tensor:
        x = self.patch(x)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
        x = self.dense(x.permute(0, 2, 3, 1).flatten(1))  # NHWC order, a view of channels_last
        if offsets is not None:
            x = torch.cat([x, 10 * offsets.flatten(1).to(x.dtype)], 1)
        side, channels = self.bottleneck_grid
        x = self.unfold(x).view(-1, side, side, channels).permute(0, 3, 1, 2)
        return self.upsample(x) if self.upsample else x


class Decoder(nn.Module):
    """As `dfjax.models.autoencoder.Decoder`; `channels` are those of the code."""

    def __init__(self, widths: list[int], residuals: int, shuffle: int, kernel: int, mask: bool, channels: int):
        super().__init__()
        self.blocks = nn.ModuleList()
        for width in widths:
            self.blocks.append(nn.Sequential(Upscale(channels, width), *(Residual(width) for _ in range(residuals))))
            channels = width
        self.mask = mask
        self.last = nn.Conv2d(channels, (4 if mask else 3) * shuffle**2, kernel, padding=kernel // 2)
        self.shuffle = nn.PixelShuffle(shuffle) if shuffle > 1 else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            x = block(x)
        x = torch.sigmoid(self.shuffle(self.last(x)).float())
        return 2 * x[:, :3] - 1, x[:, 3:] if self.mask else torch.ones_like(x[:, :1])


class Swapper(nn.Module):
    """Encoder and decoders; `forward` is the sum of the terms of `dfjax.systems.faceswap.generate`."""

    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        shape = torch.tensor(mean_shape(cfg.data.face_type), dtype=torch.float32)[None]
        self.register_buffer('mean_shape', shape, persistent=False)
        points = 68 if cfg.data.canonical else 0
        channels = cfg.model.encoder.upsample or cfg.model.encoder.bottleneck_grid[1]
        self.encoder = Encoder(**cfg.model.encoder.to_dict(), side=cfg.input_size, points=points)
        self.decoder_a = Decoder(**cfg.model.decoder.to_dict(), channels=channels)
        self.decoder_b = Decoder(**cfg.model.decoder.to_dict(), channels=channels)

    def forward(self, pair: dict, stats: dict) -> Tensor:
        """`pair` as `dfjax.data.augment.training_pair` gives it for both sides, `stats` as its `step` keeps them."""
        pictures, offsets = [pair[side]['input'] for side in 'ab'], None
        if self.cfg.data.canonical:
            pictures = [differences(stats[side], pair[side]['input']) for side in 'ab']
            offsets = torch.cat([pair[side]['landmarks'] - stats[side]['landmarks']['mean'] for side in 'ab'])
        codes = self.encoder(torch.cat(pictures), offsets).chunk(2)
        total = 0
        for side, code, decoder in zip('ab', codes, (self.decoder_a, self.decoder_b)):
            total = total + self.reconstruction(*decoder(code), pair[side])
        return total

    def reconstruction(self, picture: Tensor, mask: Tensor, pair: dict) -> Tensor:
        w, target = self.cfg.loss, pair['target']
        landmarks = self.mean_shape if self.cfg.data.canonical else pair['landmarks']
        weight = pixel_weight(w, pair['mask'], landmarks)
        total = w.l1 * weighted_mean((picture - target).abs(), weight).mean()
        if w.dssim:
            grey = [x.mean(1, keepdim=True) for x in (picture, target)]
            similar = ssim_map(*grey, w.window, w.window / 4.7)
            edge = w.window // 2
            total = total + w.dssim * weighted_mean((1 - similar) / 2, weight[..., edge:-edge, edge:-edge]).mean()
        if w.mask:
            total = total + w.mask * (mask - pair['mask']).abs().mean()
        return total


def differences(person: dict, pictures: Tensor) -> Tensor:
    """As `dfjax.ops.moments.differences`."""
    mean = person['picture']['mean']
    variance = (person['picture']['square'] - mean**2).mean().clamp(min=1e-4)
    return (pictures - mean) / (2 * variance.sqrt())


def pixel_weight(loss, mask: Tensor, landmarks: Tensor) -> Tensor:
    """As `dfjax.losses.image.face_weight`: [B, 1, S, S]."""
    side = mask.shape[-1]
    at = (torch.arange(side, device=mask.device) + 0.5) / side
    total = loss.outside + (1 - loss.outside) * mask[:, 0]
    for points, wide, high in ((slice(36, 42), 0.10, 0.06), (slice(42, 48), 0.10, 0.06), (slice(48, 68), 0.16, 0.12)):
        middle = landmarks[:, points].mean(1)
        x = torch.exp(-0.5 * ((at - middle[:, :1]) / wide) ** 2)
        y = torch.exp(-0.5 * ((at - middle[:, 1:]) / high) ** 2)
        total = total + loss.features * y[:, :, None] * x[:, None, :]
    return total[:, None]


def weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum((1, 2, 3)) / (weight.sum((1, 2, 3)) * x.shape[1] + 1e-6)


def ssim_map(x: Tensor, y: Tensor, size: int, sigma: float, span: float = 2.0) -> Tensor:
    """As `dfjax.losses.image.ssim_map`, the window as two depthwise convolutions."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    t = torch.arange(size, device=x.device) - (size - 1) / 2
    taps = torch.exp(-0.5 * (t / sigma) ** 2)
    taps = taps / taps.sum()
    maps = torch.cat([x, y, x * x + y * y, x * y], 1)
    count = maps.shape[1]
    maps = F.conv2d(maps, taps.view(1, 1, size, 1).expand(count, 1, size, 1), groups=count)
    maps = F.conv2d(maps, taps.view(1, 1, 1, size).expand(count, 1, 1, size), groups=count)
    mx, my, square, cross = maps.chunk(4, 1)
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return luminance * (2 * (cross - mx * my) + c2) / (square - mx * mx - my * my + c2)

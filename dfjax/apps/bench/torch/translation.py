"""The nets of pix2pix, CycleGAN and StarGAN in PyTorch, restated from their description at any size.

For `dfjax bench`, and for tests of `dfjax import`: parameters are called as the originals call them.
"""

import torch
from torch import nn


class Sum(nn.Module):
    """x + inner(x), the inner part being called `name`."""

    def __init__(self, name: str, *layers: nn.Module):
        super().__init__()
        self.name = name
        setattr(self, name, nn.Sequential(*layers))

    def forward(self, x):
        return x + getattr(self, self.name)(x)


class StarGenerator(nn.Module):
    """As `dfjax.models.stargan.Generator`."""

    def __init__(self, width: int, labels: int, blocks: int):
        super().__init__()
        norm = lambda c: nn.InstanceNorm2d(c, affine=True, track_running_stats=True)
        conv = lambda i, o, k, s, p: nn.Conv2d(i, o, k, s, p, bias=False)
        layers = [conv(3 + labels, width, 7, 1, 3), norm(width), nn.ReLU(True)]
        for c in (width, 2 * width):
            layers += [conv(c, 2 * c, 4, 2, 1), norm(2 * c), nn.ReLU(True)]
        c = 4 * width
        for _ in range(blocks):
            layers.append(Sum('main', conv(c, c, 3, 1, 1), norm(c), nn.ReLU(True), conv(c, c, 3, 1, 1), norm(c)))
        for c in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(c, c // 2, 4, 2, 1, bias=False), norm(c // 2), nn.ReLU(True)]
        self.main = nn.Sequential(*layers, conv(width, 3, 7, 1, 3), nn.Tanh())

    def forward(self, x, c):
        return self.main(torch.cat([x, c[:, :, None, None].expand(-1, -1, *x.shape[2:])], 1))


class StarDiscriminator(nn.Module):
    """As `dfjax.models.stargan.Discriminator`."""

    def __init__(self, size: int, width: int, labels: int, layers: int):
        super().__init__()
        parts, c = [], 3
        for i in range(layers):
            parts += [nn.Conv2d(c, width * 2**i, 4, 2, 1), nn.LeakyReLU(0.01)]
            c = width * 2**i
        self.main = nn.Sequential(*parts)
        self.conv1 = nn.Conv2d(c, 1, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(c, labels, size // 2**layers, bias=False)

    def forward(self, x):
        x = self.main(x)
        return self.conv1(x), self.conv2(x).flatten(1)


def norm_of(kind: str):
    """(layer, whether convolutions before it have a bias)."""
    return (nn.BatchNorm2d, False) if kind == 'batch' else (nn.InstanceNorm2d, True)


class ResnetGenerator(nn.Module):
    """As `dfjax.models.resnet.ResNet`; `kind` is the norm."""

    def __init__(self, inputs: int, outputs: int, width: int, kind: str, dropout: bool, blocks: int):
        super().__init__()
        norm, bias = norm_of(kind)
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias), norm(width), nn.ReLU(True)]
        for c in (width, 2 * width):
            layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), norm(2 * c), nn.ReLU(True)]
        c = 4 * width
        for _ in range(blocks):
            half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm(c)]
            layers.append(Sum('conv_block', *half(), nn.ReLU(True), *([nn.Dropout(0.5)] if dropout else []), *half()))
        for c in (4 * width, 2 * width):
            layers += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), norm(c // 2), nn.ReLU(True)]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh())

    def forward(self, x):
        return self.model(x)


class Level(nn.Module):
    """One size of the U-Net; `inner` is the next smaller one, None for the smallest."""

    def __init__(
        self,
        c_in: int,
        c: int,
        c_out: int,
        kind: str,
        inner: nn.Module | None,
        dropout: bool = False,
        outermost: bool = False,
    ):
        super().__init__()
        norm, bias = norm_of(kind)
        down = nn.Conv2d(c_in, c, 4, 2, 1, bias=bias)
        up = nn.ConvTranspose2d(c if inner is None else 2 * c, c_out, 4, 2, 1, bias=bias or outermost)
        if outermost:
            parts = [down, inner, nn.ReLU(True), up, nn.Tanh()]
        elif inner is None:
            parts = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, norm(c_out)]
        else:
            parts = [nn.LeakyReLU(0.2, True), down, norm(c), inner, nn.ReLU(True), up, norm(c_out)]
            parts += [nn.Dropout(0.5)] if dropout else []
        self.outermost, self.model = outermost, nn.Sequential(*parts)

    def forward(self, x):
        # The model's first layer works in place: what is handed on beside it is activated too.
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UnetGenerator(nn.Module):
    """As `dfjax.models.unet.UNet`; `kind` is the norm."""

    def __init__(self, inputs: int, outputs: int, depth: int, width: int, kind: str, dropout: bool = False):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(depth)]
        level = None
        for i in reversed(range(1, depth)):
            dropped = dropout and 4 <= i < depth - 1
            level = Level(widths[i - 1], widths[i], widths[i - 1], kind, level, dropped)
        self.model = Level(inputs, width, outputs, kind, level, outermost=True)

    def forward(self, x):
        return self.model(x)


class PatchDiscriminator(nn.Module):
    """As `dfjax.models.patchgan.PatchGAN`; `kind` is the norm."""

    def __init__(self, inputs: int, width: int, layers: int, kind: str):
        super().__init__()
        norm, bias = norm_of(kind)
        parts, c = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2, True)], width
        for i in range(1, layers + 1):
            wider = width * min(2**i, 8)
            stride = 2 if i < layers else 1
            parts += [nn.Conv2d(c, wider, 4, stride, 1, bias=bias), norm(wider), nn.LeakyReLU(0.2, True)]
            c = wider
        self.model = nn.Sequential(*parts, nn.Conv2d(c, 1, 4, 1, 1))

    def forward(self, x):
        return self.model(x)

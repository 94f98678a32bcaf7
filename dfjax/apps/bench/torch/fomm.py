"""First Order Motion Model in PyTorch, for `dfjax bench fomm` only: nets, losses and a step as in `dfjax.systems.fomm`.

Tensors are [B, C, H, W] in channels_last memory, pictures in [0, 1]. Layers are made in the order in which they are
called. Of the system's options those are followed that its published runs use.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfjax.apps.bench.torch.motion import bent, gaussians, grid_of, jacobian_loss, sample, shrink, stretch
from dfjax.apps.bench.torch.train import Trainer
from dfjax.models import vgg


class SameBlock(nn.Module):
    """As `dfjax.models.hourglass.SameBlock`."""

    def __init__(self, channels: int, features: int, kernel: int = 3, resample: str = '', bias: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(channels, features, kernel, padding=kernel // 2, bias=bias)
        self.norm, self.resample = nn.BatchNorm2d(features), resample

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2) if self.resample == 'up' else x
        x = F.relu(self.norm(self.conv(x)))
        return F.avg_pool2d(x, 2) if self.resample == 'down' else x


class ResBlock(nn.Module):
    """As `dfjax.models.hourglass.ResBlock`."""

    def __init__(self, c: int, bias: bool):
        super().__init__()
        relu = lambda: nn.ReLU(True)
        first, second = nn.Conv2d(c, c, 3, padding=1, bias=bias), nn.Conv2d(c, c, 3, padding=1)
        self.body = nn.Sequential(nn.BatchNorm2d(c), relu(), first, nn.BatchNorm2d(c), relu(), second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Hourglass(nn.Module):
    """As `dfjax.models.hourglass.Hourglass`; `features` are its channels out."""

    def __init__(self, channels: int, width: int, max_width: int, blocks: int, bias: bool):
        super().__init__()
        widths = [channels, *(min(max_width, width * 2 ** (i + 1)) for i in range(blocks))]
        self.downs = nn.ModuleList(SameBlock(a, b, 3, 'down', bias) for a, b in itertools.pairwise(widths))
        self.ups, inside = nn.ModuleList(), widths[-1]
        for i in reversed(range(blocks)):
            self.ups.append(SameBlock(inside, min(max_width, width * 2**i), 3, 'up', bias))
            inside = min(max_width, width * 2**i) + widths[i]
        self.features = inside

    def forward(self, x: Tensor) -> Tensor:
        levels = [x]
        for down in self.downs:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in self.ups:
            x = torch.cat([up(x), levels.pop()], 1)
        return x


class Detector(nn.Module):
    """As `dfjax.models.fomm.KeypointDetector`, with jacobians."""

    def __init__(self, cfg):
        super().__init__()
        m, self.k = cfg.model.kp, cfg.model.keypoints
        self.scale, self.temperature, self.pad = m.scale, m.temperature, m.pad
        self.hourglass = Hourglass(cfg.model.channels, m.width, m.max_width, m.blocks, cfg.model.bias)
        self.value = nn.Conv2d(self.hourglass.features, self.k, 7)
        self.jacobian = nn.Conv2d(self.hourglass.features, 4 * (1 if m.single_jacobian_map else self.k), 7)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.pad(self.hourglass(shrink(x, self.scale)), (self.pad,) * 4)
        logits = self.value(x).float()
        b, k, h, w = logits.shape
        heat = (logits.flatten(2) / self.temperature).softmax(-1)  # [B, K, P]
        value = heat @ grid_of(h, w, x).flatten(0, 1)
        bent = self.jacobian(x).float().view(b, -1, 4, h * w)
        return value, (heat[:, :, None] * bent).sum(-1).view(b, k, 2, 2)


class Generator(nn.Module):
    """As `dfjax.models.fomm.Generator` with its dense motion: the prediction alone."""

    def __init__(self, cfg):
        super().__init__()
        g, k, c, bias = cfg.model.g, cfg.model.keypoints + 1, cfg.model.channels, cfg.model.bias
        m, self.corners = g.motion, cfg.model.align_corners
        widths = [min(g.max_width, g.width * 2**i) for i in range(g.downs + 1)]
        self.scale = m.scale
        self.first = SameBlock(c, g.width, 7, '', bias)
        self.downs = nn.Sequential(*(SameBlock(a, b, 3, 'down', bias) for a, b in itertools.pairwise(widths)))
        self.hourglass = Hourglass(k * (c + 1), m.width, m.max_width, m.blocks, bias)
        self.mask = nn.Conv2d(self.hourglass.features, k, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.features, 1, 7, padding=3)
        self.blocks = nn.Sequential(*(ResBlock(widths[-1], bias) for _ in range(g.blocks)))
        self.ups = nn.Sequential(*(SameBlock(b, a, 3, 'up', bias) for a, b in zip(widths[-2::-1], widths[:0:-1])))
        self.last = nn.Conv2d(widths[0], c, 7, padding=3)

    def forward(self, source: Tensor, here: tuple[Tensor, Tensor], there: tuple[Tensor, Tensor]) -> Tensor:
        x = self.downs(self.first(source))
        deformation, shown = self.motion(source, here, there)
        h, w = x.shape[2:]
        deformation = stretch(deformation.permute(0, 3, 1, 2), h, w).permute(0, 2, 3, 1)
        x = sample(x, deformation, self.corners) * stretch(shown, h, w)
        return torch.sigmoid(self.last(self.ups(self.blocks(x))).float())

    def motion(self, source: Tensor, here: tuple, there: tuple) -> tuple[Tensor, Tensor]:
        """As `dfjax.models.fomm.DenseMotion`: the deformation [B, h, w, 2] and the occlusion map."""
        source = shrink(source, self.scale)
        b, c, h, w = source.shape
        grid = grid_of(h, w, source)
        away = grid - there[0][:, :, None, None]  # [B, K, H, W, 2]
        bend = here[1] @ there[1].inverse()
        moved = (bend[:, :, None, None] @ away[..., None])[..., 0] + here[0][:, :, None, None]
        motions = torch.cat([grid.expand(b, 1, h, w, 2), moved], 1)
        k = motions.shape[1]
        many = source[:, None].expand(b, k, c, h, w).reshape(b * k, c, h, w)
        deformed = sample(many, motions.view(b * k, h, w, 2), self.corners).view(b, k, c, h, w)
        heat = F.pad(gaussians(there[0], h, w) - gaussians(here[0], h, w), (0, 0, 0, 0, 1, 0))[:, :, None]
        x = self.hourglass(torch.cat([heat, deformed], 2).view(b, k * (c + 1), h, w))
        mask = self.mask(x).float().softmax(1)
        return (mask[..., None] * motions).sum(1), torch.sigmoid(self.occlusion(x).float())


class Discriminator(nn.Module):
    """As `dfjax.models.fomm_discriminator.Discriminator`, without spectral normalisation."""

    def __init__(self, cfg):
        super().__init__()
        d, c = cfg.model.d, cfg.model.channels + (cfg.model.keypoints if cfg.model.d.points else 0)
        layers = []
        for i in range(d.blocks):
            features = min(d.max_width, d.width * 2 ** (i + 1))
            norm = [nn.InstanceNorm2d(features, affine=True)] if i else []
            pool = [nn.AvgPool2d(2)] if i < d.blocks - 1 else []
            layers.append(nn.Sequential(nn.Conv2d(c, features, 4), *norm, nn.LeakyReLU(0.2, True), *pool))
            c = features
        self.blocks, self.points = nn.ModuleList(layers), d.points
        self.last = nn.Conv2d(c, 1, 1)

    def forward(self, x: Tensor, points: Tensor) -> list[Tensor]:
        x = torch.cat([x, gaussians(points, *x.shape[2:])], 1) if self.points else x
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return [self.last(x), *maps]


class Vgg(nn.Module):
    """As `dfjax.models.vgg.features`, of pictures in [0, 1]."""

    def __init__(self, weights: dict):
        super().__init__()
        tensor = lambda x: nn.Parameter(torch.from_numpy(np.array(x, np.float32)), requires_grad=False)
        self.kernels = nn.ParameterList(tensor(weights[n]['kernel'].transpose(3, 2, 0, 1)) for n in vgg.LAYERS)
        self.biases = nn.ParameterList(tensor(weights[n]['bias']) for n in vgg.LAYERS)
        self.mean, self.deviation = tensor(vgg.MEAN[:, None, None]), tensor(vgg.DEVIATION[:, None, None])

    def forward(self, x: Tensor) -> list[Tensor]:
        x, block, found = (x - self.mean) / self.deviation, '1', []
        for name, kernel, bias in zip(vgg.LAYERS, self.kernels, self.biases):
            x, block = (F.max_pool2d(x, 2), name[4]) if name[4] != block else (x, block)
            x = F.relu(F.conv2d(x, kernel, bias, padding=1))
            found += [x] if name in vgg.STYLE else []
        return found


def near(fake: list[Tensor], real: list[Tensor], weights) -> Tensor:
    return sum(w * (b.detach().float() - a.float()).abs().mean() for a, b, w in zip(fake, real, weights, strict=True))


class Fomm(Trainer):
    """As `dfjax.systems.fomm`."""

    def __init__(self, cfg, device: str):
        nets = {'kp': Detector(cfg), 'g': Generator(cfg)} | ({'d': Discriminator(cfg)} if cfg.loss.gan else {})
        groups = {'g': ['kp', 'g']} | ({'d': ['d']} if cfg.loss.gan else {})
        super().__init__(cfg, device, nets, groups)
        self.run = {name: self.fast(net) for name, net in self.nets.items()}
        self.vgg = self.fast(Vgg(self.frozen(cfg)['vgg']).to(device, memory_format=torch.channels_last))

    @staticmethod
    def frozen(cfg) -> dict:
        rng = np.random.default_rng(0)  # what VGG-19 has learnt does not change the time
        kernel = lambda i, o: rng.normal(0, (2 / (9 * i)) ** 0.5, (3, 3, i, o)).astype(np.float32)
        return {
            'vgg': {
                name: {'kernel': kernel(*io), 'bias': np.zeros(io[1], np.float32)} for name, io in vgg.LAYERS.items()
            }
        }

    @staticmethod
    def learnt(cfg, batch: dict) -> dict:
        from dfjax.systems import fomm

        source, driving, bend = fomm.drawn(cfg, batch)
        return {'source': source, 'driving': driving, 'affine': bend.affine, 'weights': bend.weights}

    def step(self, batch: dict) -> dict[str, Tensor]:
        source, driving, w = batch['source'], batch['driving'], self.cfg.loss
        b, _, h, width = driving.shape
        with self.autocast():
            grid = grid_of(h, width, driving).view(1, -1, 2).expand(b, -1, 2)
            places = bent(batch, grid).view(b, h, width, 2)
            other = sample(driving, places, self.cfg.model.align_corners, 'reflection')
            found = [x.chunk(3) for x in self.run['kp'](torch.cat([source, driving, other]))]
            here, there, moved = zip(*found)
            made = self.run['g'](source, here, there)
        terms = {
            'g/perceptual': self.perceptual(made, driving),
            'g/value': w.value * (there[0] - bent(batch, moved[0])).abs().mean(),
            'g/jacobian': w.jacobian * jacobian_loss(batch, there[1], *moved),
        }
        points = there[0].detach()
        if w.gan:
            with self.fixed('d'):
                fake, real = self.judged(made, driving, points)
                terms['g/adv'] = w.gan * (fake[0].float() - 1).square().mean()
                terms['g/matching'] = near(fake[1:], real[1:], w.matching)
                self.update('g', sum(terms.values()))
            fake, real = self.judged(made.detach(), driving, points)
            adv = w.gan * (fake[0].float().square().mean() + (real[0].float() - 1).square().mean())
            self.update('d', adv)
            terms['d/adv'] = adv
        else:
            self.update('g', sum(terms.values()))
        self.average()
        return terms

    def judged(self, fake: Tensor, real: Tensor, points: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The discriminator's logits and maps of fakes and of real pictures."""
        with self.autocast():
            found = self.run['d'](torch.cat([fake, real]), torch.cat([points, points]))
        return tuple(zip(*(x.chunk(2) for x in found)))

    def perceptual(self, fake: Tensor, real: Tensor) -> Tensor:
        scales = [s for s in self.cfg.loss.scales if self.cfg.data.size * s >= vgg.SMALLEST]
        total = 0
        for scale in scales:
            with self.autocast():
                a = self.vgg(shrink(fake, scale))
                with torch.no_grad():
                    b = self.vgg(shrink(real, scale))
            total = total + near(a, b, self.cfg.loss.perceptual)
        return total

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            here, there = (self.run['kp'](batch[side]) for side in ('source', 'driving'))
            return 2 * self.run['g'](batch['source'], here, there) - 1

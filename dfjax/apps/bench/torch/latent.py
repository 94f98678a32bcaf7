"""The variational autoencoder and diffusion in PyTorch, for `dfjax bench` only: layer for layer as dfjax's.

`Vae` and `Diffusion` are trainers, see `bench_torch_systems`. Tensors are [B, C, H, W] in channels_last memory. Layers
are made in the order in which they are called.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfjax.apps.bench.torch.faceswap import Residual, Upscale
from dfjax.apps.bench.torch.train import Trainer
from dfjax.losses import diffusion
from dfjax.models.blocks import BOTTOM, widths


def unshuffle(patch: int) -> list[nn.Module]:
    return [nn.PixelUnshuffle(patch)] if patch > 1 else []


def shuffle(patch: int) -> list[nn.Module]:
    return [nn.PixelShuffle(patch)] if patch > 1 else []


def scaled(x: Tensor, size: int) -> Tensor:
    return F.interpolate(x.float(), (size, size), mode='bilinear', antialias=True)


class Encoder(nn.Module):
    """As `dfjax.models.vae.Encoder`; `size` is the side of its pictures."""

    def __init__(
        self, size: int, latent: int, patch: int, width: int, max_width: int, residuals: int, skip_size: int, grid: int
    ):
        super().__init__()
        plan = widths(size, patch, width, max_width, grid or BOTTOM)
        layers, channels = unshuffle(patch), 3 * patch**2
        for i, width in enumerate(plan):
            layers += [nn.Conv2d(channels, width, 3, 2 if i else 1, padding=1), nn.LeakyReLU(0.1, True)]
            layers += [Residual(width) for _ in range(residuals)]
            channels = width
        self.body, self.skip_size, self.grid = nn.Sequential(*layers), skip_size, grid
        shape = (channels, latent // grid**2) if grid else (BOTTOM**2 * channels + skip_size**2 * 3, latent)
        self.mean, self.log_variance = (nn.Linear(*shape) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        small = [scaled(x, self.skip_size)] if self.skip_size else []
        x = [part.permute(0, 2, 3, 1) for part in (self.body(x), *small)]  # NHWC order
        x = x[0] if self.grid else torch.cat([part.flatten(1) for part in x], 1)
        return self.mean(x).flatten(1).float(), self.log_variance(x).flatten(1).float().clamp(-12, 6)


class Decoder(nn.Module):
    """As `dfjax.models.vae.Decoder`."""

    def __init__(
        self, size: int, latent: int, patch: int, width: int, max_width: int, residuals: int, skip_size: int, grid: int
    ):
        super().__init__()
        *rest, self.channels = widths(size, patch, width, max_width, grid or BOTTOM)
        if grid:
            self.unfold = nn.Conv2d(latent // grid**2, self.channels, 3, padding=1)
        else:
            self.unfold = nn.Linear(latent, BOTTOM**2 * self.channels)
        layers, channels = [], self.channels
        for width in reversed(rest):
            layers += [Upscale(channels, width), *(Residual(width) for _ in range(residuals))]
            channels = width
        self.body = nn.Sequential(*layers, nn.Conv2d(channels, 3 * patch**2, 3, padding=1), *shuffle(patch))
        self.size, self.skip_size, self.grid = size, skip_size, grid
        if skip_size:
            self.small = nn.Linear(latent, skip_size**2 * 3)

    def forward(self, z: Tensor) -> Tensor:
        if self.grid:
            x = self.unfold(z.view(len(z), self.grid, self.grid, -1).permute(0, 3, 1, 2))
        else:
            x = self.unfold(z).view(-1, BOTTOM, BOTTOM, self.channels).permute(0, 3, 1, 2)
        x = self.body(F.leaky_relu(x, 0.1))
        if self.skip_size:
            x = x + scaled(self.small(z).view(-1, self.skip_size, self.skip_size, 3).permute(0, 3, 1, 2), self.size)
        return torch.tanh(x.float())


def edges(x: Tensor) -> Tensor:
    """As `dfjax.losses.latent.sobel_magnitude`."""
    smooth, slope = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None].to(x)  # [2, 1, 3, 3]
    b, c, h, w = x.shape
    around = F.pad(x.reshape(b * c, 1, h, w), (1, 1, 1, 1), 'replicate')
    dx, dy = F.conv2d(around, kernels).view(b, c, 2, h, w).unbind(2)
    return (dx**2 + dy**2 + 1e-4).sqrt()


def waves(t: Tensor, count: int) -> Tensor:
    """As `dfjax.models.denoiser.waves`."""
    phase = t[:, None] * torch.linspace(0, math.log(1000), count // 2, device=t.device).exp()
    return torch.cat([phase.sin(), phase.cos()], -1)


class Block(nn.Module):
    """As `dfjax.models.denoiser.Block`."""

    def __init__(self, channels: int, features: int, embedding: int):
        super().__init__()
        self.norm_in = nn.GroupNorm(8, channels, eps=1e-6)
        self.first = nn.Conv2d(channels, features, 3, padding=1)
        self.condition = nn.Linear(embedding, 2 * features)
        self.norm = nn.GroupNorm(8, features, eps=1e-6)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        self.pass_on = nn.Conv2d(channels, features, 1) if channels != features else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        y = self.first(F.silu(self.norm_in(x)))
        scale, shift = self.condition(e)[:, :, None, None].chunk(2, 1)
        y = self.second(F.silu(self.norm(y) * (1 + scale) + shift))
        return self.pass_on(x) + y


class Attention(nn.Module):
    """As `dfjax.models.denoiser.Attention`."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.norm, self.heads = nn.GroupNorm(8, channels, eps=1e-6), heads
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        qkv = self.qkv(y).view(b, h * w, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(*qkv)  # [B, heads, HW, C / heads]
        y = self.out(y.transpose(1, 2).reshape(b, h * w, c))
        return x + y.view(b, h, w, c).permute(0, 3, 1, 2)


class Stage(nn.Module):
    """A block, and attention where a grid has it."""

    def __init__(self, channels: int, features: int, embedding: int, attention: bool):
        super().__init__()
        self.block = Block(channels, features, embedding)
        self.attention = Attention(features) if attention else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        return self.attention(self.block(x, e))


class Denoiser(nn.Module):
    """As `dfjax.models.denoiser.Denoiser`; `size` is the side of its pictures, `labels` the number of conditions."""

    def __init__(
        self,
        size: int,
        labels: int,
        patch: int,
        widths: list[int],
        blocks: int,
        attention: list[int],
        embedding: int,
    ):
        super().__init__()
        stage = lambda c, features, side: Stage(c, features, embedding, side in attention)
        self.time = nn.Linear(128, embedding)
        self.labels = nn.Linear(labels, embedding, bias=False) if labels else None
        self.embed = nn.Linear(embedding, embedding)
        self.first = nn.Sequential(*unshuffle(patch), nn.Conv2d(3 * patch**2, widths[0], 3, padding=1))
        self.down = nn.ModuleList()
        skips, c, side = [widths[0]], widths[0], size // patch
        for i, width in enumerate(widths):
            if i:
                self.down.append(nn.Conv2d(c, width, 3, 2, padding=1))
                c, side = width, side // 2
                skips.append(c)
            for _ in range(blocks):
                self.down.append(stage(c, width, side))
                c = width
                skips.append(c)
        self.middle = stage(c, c, side)
        self.up = nn.ModuleList()
        for i, width in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(stage(c + skips.pop(), width, side))
                c = width
            if i:
                self.up.append(nn.Sequential(nn.Conv2d(c, 4 * widths[i - 1], 1), nn.PixelShuffle(2)))
                c, side = widths[i - 1], 2 * side
        self.norm = nn.GroupNorm(8, c, eps=1e-6)
        self.last = nn.Sequential(nn.Conv2d(c, 3 * patch**2, 3, padding=1), *shuffle(patch))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        e = self.time(waves(t, 128))
        e = e + self.labels(labels) if self.labels else e
        e = F.silu(self.embed(F.silu(e)))
        x = self.first(x)
        skips = [x]
        for layer in self.down:
            x = layer(x, e) if isinstance(layer, Stage) else layer(x)
            skips.append(x)
        x = self.middle(x, e)
        for layer in self.up:
            x = layer(torch.cat([x, skips.pop()], 1), e) if isinstance(layer, Stage) else layer(x)
        return self.last(F.silu(self.norm(x))).float()


class Vae(Trainer):
    """As `dfjax.systems.vae`; edges by their magnitude."""

    def __init__(self, cfg, device: str):
        nets = {'encoder': Encoder(cfg.data.size, **cfg.model), 'decoder': Decoder(cfg.data.size, **cfg.model)}
        super().__init__(cfg, device, nets, {'nets': list(nets)})
        self.terms, self.reconstruct = self.fast(self._terms), self.fast(self._reconstruct)

    def _terms(self, pictures: Tensor, noise: Tensor) -> dict[str, Tensor]:
        w = self.cfg.loss
        mean, log_variance = self.nets['encoder'](pictures)
        made = self.nets['decoder'](mean + (0.5 * log_variance).exp() * noise)
        nats = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
        return {
            'recon': (made - pictures).square().mean(),
            'kl': w.beta * nats.mean(0).sum() / self.cfg.data.size**2,
            'sobel': w.gamma * (edges(made) - edges(pictures)).abs().mean(),
        }

    def _reconstruct(self, pictures: Tensor) -> Tensor:
        return self.nets['decoder'](self.nets['encoder'](pictures)[0])

    def step(self, batch: dict, draws: dict | None = None) -> dict[str, Tensor]:
        pictures = batch['image']
        draws = draws or {'noise': torch.randn(len(pictures), self.cfg.model.latent, device=self.device)}
        with self.autocast():
            terms = self.terms(pictures, draws['noise'])
        self.update('nets', sum(terms.values()))
        self.average()
        return terms

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            return self.reconstruct(batch['image'])


class Diffusion(Trainer):
    """As `dfjax.systems.diffusion`."""

    def __init__(self, cfg, device: str):
        nets = {'denoiser': Denoiser(cfg.data.size, len(cfg.data.labels), **cfg.model)}
        super().__init__(cfg, device, nets, {'denoiser': ['denoiser']})
        table = diffusion.alpha_bar(cfg.schedule, cfg.times)
        weight = diffusion.weight(cfg.prediction, table, cfg.snr)
        columns = table**0.5, (1 - table) ** 0.5, weight
        self.a, self.s, self.weight = (torch.tensor(v, dtype=torch.float32, device=device) for v in columns)
        self.net = self.fast(self.nets['denoiser'])

    def draws(self, batch: dict) -> dict:
        """Times, noise, and what is told of the labels: 1 and -1 for yes and no, 0 for what is not."""
        pictures, label, drop = batch['image'], batch['label'], self.cfg.drop
        told = torch.rand(len(pictures), 1, device=self.device) < 1 - drop.all
        kept = torch.rand(label.shape, device=self.device) < 1 - drop.each
        return {
            't': torch.randint(self.cfg.times, (len(pictures),), device=self.device),
            'noise': torch.randn_like(pictures),
            'labels': (2 * label - 1) * told * kept,
        }

    def step(self, batch: dict, draws: dict | None = None) -> dict[str, Tensor]:
        pictures, draws = batch['image'], draws or self.draws(batch)
        t, noise = draws['t'], draws['noise']
        a, s = (v[t][:, None, None, None] for v in (self.a, self.s))
        wanted = diffusion.target(self.cfg.prediction, pictures, noise, a, s)
        with self.autocast():
            out = self.net(a * pictures + s * noise, (t + 1) / self.cfg.times, draws['labels'])
        error = (out - wanted).square().mean((1, 2, 3))
        total = (self.weight[t] * error).mean()
        self.update('denoiser', total)
        self.average()
        return {'total': total, 'error': error.mean()}

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        """The picture behind the batch's, as if they were halfway to noise; no labels."""
        x, middle = batch['image'], self.cfg.times // 2
        t = torch.full((len(x),), (middle + 1) / self.cfg.times, device=self.device)
        with self.autocast():
            out = self.net(x, t, 0 * batch['label'])
        a, s = self.a[middle], self.s[middle]
        return diffusion.clean(self.cfg.prediction, out, x, a, s).clamp(-1, 1)

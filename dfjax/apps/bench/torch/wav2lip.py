"""Wav2Lip and its SyncNet in PyTorch, for `dfjax bench` only: nets, losses and a step as in `dfjax.systems`.

Windows of pictures are [N, T, S, S, 3], nets see [N, C, H, W] in channels_last memory. Layers are made in the order in
which they are called. The losses are the original's: cross entropy of a cosine, and of a discriminator's logits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfjax.apps.bench.torch.train import Trainer
from dfjax.models.wav2lip import AUDIO_STRIDES


class Block(nn.Module):
    """As `dfjax.models.wav2lip.Block`."""

    def __init__(
        self, c: int, features: int, kernel: int = 3, stride=1, pad=None, residual=False, relu=True, bias=True
    ):
        super().__init__()
        self.conv = nn.Conv2d(c, features, kernel, stride, kernel // 2 if pad is None else pad, bias=bias)
        self.norm, self.residual, self.relu = nn.BatchNorm2d(features), residual, relu

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        y = y + x if self.residual else y
        return F.relu(y) if self.relu else y


class UpBlock(nn.Module):
    """As `dfjax.models.wav2lip.UpBlock`; `alone` where there is one pixel."""

    def __init__(self, c: int, features: int, kernel: int, alone: bool, bias: bool):
        super().__init__()
        how = dict(kernel_size=kernel) if alone else dict(kernel_size=3, stride=2, padding=1, output_padding=1)
        self.conv, self.norm = nn.ConvTranspose2d(c, features, **how, bias=bias), nn.BatchNorm2d(features)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


def residuals(c: int, count: int, bias: bool) -> list[nn.Module]:
    return [Block(c, c, residual=True, bias=bias) for _ in range(count)]


def audio_encoder(m, code: int, relu: bool, bias: bool) -> nn.Sequential:
    layers, c = [], 1
    for width, count, stride in zip(m.widths, m.blocks, AUDIO_STRIDES):
        layers += [Block(c, width, stride=stride, bias=bias), *residuals(width, count, bias)]
        c = width
    layers += [Block(c, m.widths[-1], pad=0, bias=bias), Block(m.widths[-1], code, 1, relu=relu, bias=bias)]
    return nn.Sequential(*layers)


class Generator(nn.Module):
    """As `dfjax.models.wav2lip.Generator`."""

    def __init__(self, g, size: int, bias: bool):
        super().__init__()
        self.encoder, c, least = nn.ModuleList(), 2 * g.outputs, size // 2 ** (len(g.encoder) - 2)
        for i, (width, count) in enumerate(zip(g.encoder, g.encoder_blocks)):
            first = Block(c, width, 3 if i else 7, 2 if i else 1, bias=bias)
            self.encoder.append(nn.Sequential(first, *residuals(width, count, bias)))
            c = width
        last = g.encoder[-1]
        self.encoder.append(nn.Sequential(Block(c, last, least, pad=0, bias=bias), Block(last, last, 1, bias=bias)))
        self.audio = audio_encoder(g.audio, g.audio.code, True, bias)
        self.decoder = nn.ModuleList([nn.Sequential(Block(g.audio.code, g.decoder[0], 1, bias=bias))])
        c = g.decoder[0] + last
        for i, (width, count) in enumerate(zip(g.decoder[1:], g.decoder_blocks), 1):
            up = UpBlock(c, width, least if i == 1 else 3, i == 1, bias)
            self.decoder.append(nn.Sequential(up, *residuals(width, count, bias)))
            c = width + g.encoder[-1 - i]
        self.last, self.picture = Block(c, g.last, bias=bias), nn.Conv2d(g.last, g.outputs, 1)

    def forward(self, mel: Tensor, face: Tensor) -> Tensor:
        sizes = [face]
        for part in self.encoder:
            sizes.append(part(sizes[-1]))
        x = self.audio(mel)
        for part in self.decoder:
            x = torch.cat([part(x), sizes.pop()], 1)
        return torch.sigmoid(self.picture(self.last(x)).float())


class SyncNets(nn.Module):
    """As `dfjax.models.syncnet.SyncNet`."""

    def __init__(self, m, frames: int, bias: bool):
        super().__init__()
        self.audio, layers, c = audio_encoder(m.audio, m.code, m.relu, bias), [], 3 * frames
        for i, (width, count) in enumerate(zip(m.face.widths, m.face.blocks)):
            how = (5, (1, 2), 1) if i == 1 else (3, 2) if i else (7, 1)
            layers += [Block(c, width, *how, bias=bias), *residuals(width, count, bias)]
            c = width
        layers += [Block(c, m.code, 3, 2, bias=bias), Block(m.code, m.code, pad=0, bias=bias)]
        self.face = nn.Sequential(*layers, Block(m.code, m.code, 1, relu=m.relu, bias=bias))

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        found = (net(x).float().mean((2, 3)) for net, x in ((self.audio, mel), (self.face, mouths(frames))))
        return tuple(F.normalize(x, dim=1) for x in found)


def mouths(frames: Tensor) -> Tensor:
    """As `dfjax.ops.speech.mouths`, of frames as nets see them."""
    n, t, s, _, c = frames.shape
    lower = frames[:, :, s // 2 :].permute(0, 1, 4, 2, 3).reshape(n, t * c, s - s // 2, s)
    return lower.contiguous(memory_format=torch.channels_last)


class Discriminator(nn.Module):
    """As `dfjax.models.wav2lip.Discriminator`, of lower halves; its logits."""

    def __init__(self, widths):
        super().__init__()
        layers, c = [], 3
        for i, width in enumerate(widths[:-1]):
            kernel = (7, 5, 5, 5)[i] if i < 4 else 3
            layers += layer(c, width, kernel, (1, (1, 2), 2)[min(i, 2)], kernel // 2)
            layers += layer(width, width, kernel, 1, kernel // 2) if i else []
            c = width
        layers += layer(c, widths[-1], 3, 1, 0) + layer(widths[-1], widths[-1], 1, 1, 0)
        self.body = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).float().mean((2, 3))


def layer(c: int, features: int, kernel: int, stride, pad: int) -> list[nn.Module]:
    return [nn.Conv2d(c, features, kernel, stride, pad), nn.LeakyReLU(0.01, True)]


def together(cosine: Tensor, label: Tensor | float) -> Tensor:
    """As `dfjax.losses.sync.binary_cross_entropy`."""
    log = lambda p: torch.where(p > 0, p.clamp(min=1e-44).log(), -100.0).clamp(min=-100)
    return -(label * log(cosine) + (1 - label) * log(1 - cosine)).mean()


class SyncNet(Trainer):
    """As `dfjax.systems.syncnet`."""

    def __init__(self, cfg, device: str):
        m = cfg.model
        super().__init__(cfg, device, {'sync': SyncNets(m, m.frames, m.bias)}, {'sync': ['sync']})
        self.run = self.fast(self.nets['sync'])

    @staticmethod
    def learnt(cfg, batch: dict) -> dict:
        from dfjax.systems import syncnet

        found = syncnet.drawn(cfg, batch)
        return {'mels': found['mels'], 'frames': found['frames'], 'own': found['own'].astype('float32')}

    def embedded(self, batch: dict) -> tuple[Tensor, Tensor]:
        frames = batch['frames'].flip(-1) if self.cfg.model.bgr else batch['frames']
        with self.autocast():
            return self.run(batch['mels'], frames)

    def step(self, batch: dict) -> dict[str, Tensor]:
        heard, seen = self.embedded(batch)
        loss = together((heard * seen).sum(1), batch['own'])
        self.update('sync', loss)
        self.average()
        return {'sync': loss}

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        return torch.stack(self.embedded(batch), 1)


class Wav2Lip(Trainer):
    """As `dfjax.systems.wav2lip`, with a SyncNet that was trained before and is trusted."""

    def __init__(self, cfg, device: str):
        m = cfg.model
        nets = {'g': Generator(m.g, cfg.data.size, m.bias), 'sync': SyncNets(m.sync, m.frames, m.bias)}
        super().__init__(cfg, device, nets | {'d': Discriminator(m.d.widths)}, {'g': ['g'], 'd': ['d']})
        self.nets['sync'].eval().requires_grad_(False)
        self.run = {name: self.fast(net) for name, net in self.nets.items()}

    def section(self, group: str):
        return self.cfg.optimizer[group]

    @staticmethod
    def learnt(cfg, batch: dict) -> dict:
        import jax

        from dfjax.systems import wav2lip

        keys = jax.vmap(jax.random.split)(batch['key'])
        return wav2lip.drawn(cfg, batch | {'key': keys[:, 0]})

    def step(self, batch: dict) -> dict[str, Tensor]:
        w, real = self.cfg.loss, batch['real']
        with self.autocast():
            made = self.make(batch).permute(0, 2, 3, 1).view(real.shape)
            with self.fixed('d'):
                fake = self.run['d'](lower(made))
            heard, seen = self.run['sync'](batch['heard'], made)
        terms = {
            'g/l1': (1 - w.sync - w.gan) * (batch['weights'] * (made - real).abs()).mean(),
            'g/sync': w.sync * together((heard * seen).sum(1), 1.0),
            'g/adv': w.gan * F.softplus(-fake).mean(),
        }
        self.update('g', sum(terms.values()))
        with self.autocast():
            fake, true = self.run['d'](lower(torch.cat([made.detach(), real]))).chunk(2)
        terms['d/adv'] = F.softplus(fake).mean() + F.softplus(-true).mean()
        self.update('d', terms['d/adv'])
        self.average()
        return terms

    def make(self, batch: dict) -> Tensor:
        """What the generator makes of all frames in a row: [N * T, 3, S, S]."""
        mels, real, reference = (batch[name].flatten(0, 1) for name in ('mels', 'real', 'reference'))
        upper = real.clone()
        upper[:, real.shape[1] // 2 :] = 0
        return self.run['g'](mels.permute(0, 3, 1, 2), torch.cat([upper, reference], -1).permute(0, 3, 1, 2))

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            made = 2 * self.make(batch) - 1
        return made.flip(1) if self.cfg.model.bgr else made


def lower(frames: Tensor) -> Tensor:
    """The lower halves of [N, T, S, S, 3] in a row: [N * T, 3, S / 2, S]."""
    return frames[:, :, frames.shape[2] // 2 :].flatten(0, 1).permute(0, 3, 1, 2)

"""SAEHD in PyTorch, for `dfjax bench saehd` only: nets of options u and d, losses and a step as `dfjax.systems.saehd`.

Tensors are [B, C, H, W] in channels_last memory. Layers are made in the order in which they are called.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfjax.apps.bench.torch.faceswap import Residual, Upscale, ssim_map
from dfjax.apps.bench.torch.train import Trainer
from dfjax.losses.saehd import WINDOW
from dfjax.models.saehd import row_length
from dfjax.ops.image import gaussian_taps


class Encoder(nn.Module):
    """As `dfjax.models.saehd.Encoder`."""

    def __init__(self, width: int):
        super().__init__()
        widths = [3, *(width * times for times in (1, 2, 4, 8))]
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 5, 2, padding=2) for a, b in itertools.pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        x = (x + 1) / 2
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.1)
        x = x.flatten(1).float()
        return x * (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()


class Inter(nn.Module):
    """As `dfjax.models.saehd.Inter`; `row` is the length of its rows, `side` of its dense map."""

    def __init__(self, row: int, code: int, side: int, width: int):
        super().__init__()
        self.first, self.second, self.shape = nn.Linear(row, code), nn.Linear(code, side * side * width), (width, side)
        self.up = Upscale(width, width)

    def forward(self, x: Tensor) -> Tensor:
        width, side = self.shape
        x = self.second(self.first(x)).view(-1, width, side, side)
        return self.up(x.contiguous(memory_format=torch.channels_last)).float()


class Decoder(nn.Module):
    """As `dfjax.models.saehd.Decoder`; `c` are the channels of its code."""

    def __init__(self, c: int, width: int, mask_width: int):
        super().__init__()
        layers, inside = [], c
        for times in (8, 4, 2):
            layers += [Upscale(inside, times * width), Residual(times * width)]
            inside = times * width
        self.body = nn.Sequential(*layers)
        self.outs = nn.ModuleList(nn.Conv2d(inside, 3, 3 if i else 1, padding=1 if i else 0) for i in range(4))
        layers, inside = [], c
        for times in (8, 4, 2, 1):
            layers.append(Upscale(inside, times * mask_width))
            inside = times * mask_width
        self.mask = nn.Sequential(*layers, nn.Conv2d(inside, 1, 1))

    def forward(self, code: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(code)
        x = F.pixel_shuffle(torch.stack([out(x) for out in self.outs], 2).flatten(1, 2), 2)
        return torch.sigmoid(x.float()), torch.sigmoid(self.mask(code).float())


class AdaBelief(torch.optim.Optimizer):
    """As `dfjax.ops.optimize`'s 'adabelief_uncorrected'."""

    def __init__(self, params, betas: tuple[float, float], eps: float):
        super().__init__(params, {'betas': betas, 'eps': eps, 'lr': 0.0})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            for p in params:
                self.state[p] = self.state[p] or {name: torch.zeros_like(p) for name in ('mean', 'spread')}
            grads = [p.grad for p in params]
            mean, spread = ([self.state[p][name] for p in params] for name in ('mean', 'spread'))
            b1, b2 = group['betas']
            torch._foreach_lerp_(mean, grads, 1 - b1)
            off = torch._foreach_sub(grads, mean)
            torch._foreach_mul_(spread, b2)
            torch._foreach_addcmul_(spread, off, off, 1 - b2)
            below = torch._foreach_sqrt(spread)
            torch._foreach_add_(below, group['eps'])
            torch._foreach_addcdiv_(params, mean, below, -group['lr'])


def blurred(x: Tensor, sigma: int) -> Tensor:
    """As `dfjax.losses.saehd._blurred`, of one channel."""
    taps = torch.tensor(gaussian_taps(sigma, max(3, 4 * sigma // 2 * 2 + 1)), dtype=torch.float32, device=x.device)
    edge = len(taps) // 2
    x = F.conv2d(x, taps.view(1, 1, -1, 1), padding=(edge, 0))
    return F.conv2d(x, taps.view(1, 1, 1, -1), padding=(0, edge))


class Saehd(Trainer):
    """As `dfjax.systems.saehd` of kind liae and its plain losses."""

    def __init__(self, cfg, device: str):
        m, size = cfg.model, cfg.data.size
        row, width = row_length(m, size), 2 * m.code
        nets = {'encoder': Encoder(m.width)}
        nets |= {name: Inter(row, m.code, size // 32, width) for name in ('inter_ab', 'inter_a')}
        nets['decoder'] = Decoder(2 * width, m.decoder_width, m.mask_width)
        super().__init__(cfg, device, nets, {'nets': list(nets)})
        self.run = {name: self.fast(net) for name, net in self.nets.items()}

    def optimizer(self, group: str) -> torch.optim.Optimizer:
        o = self.cfg.optimizer
        return AdaBelief(self.params[group], (o.b1, o.b2), o.eps)

    @staticmethod
    def learnt(cfg, batch: dict) -> dict:
        from dfjax.systems import saehd

        return saehd.augmented(cfg, batch)

    def step(self, batch: dict) -> dict[str, Tensor]:
        with self.autocast():
            rows = self.run['encoder'](torch.cat([batch[side]['input'] for side in 'ab']))
            shared, own = self.run['inter_ab'](rows), self.run['inter_a'](rows.chunk(2)[0])
            codes = torch.cat([torch.cat([own, shared.chunk(2)[1]]), shared], 1)
            made = zip('ab', zip(*(x.chunk(2) for x in self.run['decoder'](codes))))
        terms = {}
        for side, (face, mask) in made:
            terms |= {f'{side}/{name}': value for name, value in self.reconstruction(face, mask, batch[side]).items()}
        self.update('nets', sum(terms.values()))
        self.average()
        return terms

    def reconstruction(self, face: Tensor, mask: Tensor, pair: dict) -> dict[str, Tensor]:
        """As `dfjax.losses.saehd.reconstruction`, masked."""
        w, size = self.cfg.loss, face.shape[-1]
        shown = 2 * blurred(pair['mask'], max(1, size // 32)).clamp(0, 0.5)
        x, y = face * shown, pair['target'] * shown
        similar = ssim_map(x, y, int(size / WINDOW), 1.5, 1.0)
        return {
            'dssim': w.dssim * (1 - similar).mean() / 2,
            'mse': w.mse * (x - y).square().mean(),
            'mask': w.mask * (mask - pair['mask']).square().mean(),
        }

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            shared = self.run['inter_ab'](self.run['encoder'](batch['a']['input']))
            return 2 * self.run['decoder'](torch.cat([shared, shared], 1))[0] - 1

"""Training steps and inference of pix2pix, CycleGAN and StarGAN in PyTorch: losses and updates as in `dfjax.systems`.

    trainer = CycleGan(cfg, 'cpu')
    terms = trainer.step(batch)          a step on pictures already moved about, of `train.batches`
    made = trainer.infer(batch)          what the main net makes of them, in inference mode

What a step draws by chance can be given to it instead, as `draws`. Of the systems' options those are followed that the
benches use: no labels that are not known, no groups of labels, no discriminator of the autoencoder.
"""

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfjax.apps.bench.torch import translation
from dfjax.apps.bench.torch.train import Trainer, linear_rate
from dfjax.systems.cyclegan import residual_blocks

ADVERSARIAL = {  # as dfjax.losses.adversarial.SEPARATE
    'lsgan': lambda logits, real: (logits.float() - float(real)).square().mean(),
    'vanilla': lambda logits, real: F.softplus(-logits.float() if real else logits.float()).mean(),
    'wgangp': lambda logits, real: -logits.float().mean() if real else logits.float().mean(),
}


def distance(x: Tensor, y: Tensor) -> Tensor:
    return (x.float() - y).abs().mean()


def generator(model, inputs: int, outputs: int) -> nn.Module:
    g = model['g']
    if g['kind'] == 'unet':
        return translation.UnetGenerator(inputs, outputs, g['depth'], g['width'], g['norm'], g['dropout'] > 0)
    return translation.ResnetGenerator(inputs, outputs, g['width'], g['norm'], g['dropout'] > 0, g['blocks'])


def discriminator(model, inputs: int) -> nn.Module:
    d = model['d']
    return translation.PatchDiscriminator(inputs, d['width'], d['layers'], d['norm'])


class Pix2Pix(Trainer):
    """As `dfjax.systems.pix2pix`."""

    def __init__(self, cfg, device: str):
        a, b = cfg.model.inputs, cfg.model.outputs
        super().__init__(
            cfg,
            device,
            {'g': generator(cfg.model, a, b), 'd': discriminator(cfg.model, a + b)},
            {'g': ['g'], 'd': ['d']},
        )
        self.g, self.d = (self.fast(self.nets[name]) for name in 'gd')

    def rate(self, group: str, updates: int) -> float:
        return linear_rate(self.cfg.optimizer.lr, self.cfg.steps, self.cfg.optimizer.constant, updates)

    def step(self, batch: dict) -> dict[str, Tensor]:
        a, b = (batch[side]['image'] for side in 'ab')
        w, loss = self.cfg.loss, ADVERSARIAL[self.cfg.loss.kind]
        with self.autocast():
            made = self.g(a)
            fake, real = self.d(torch.cat([a, made.detach()], 1)), self.d(torch.cat([a, b], 1))
        critic = {'d/real': 0.5 * loss(real, True), 'd/fake': 0.5 * loss(fake, False)}
        self.update('d', sum(critic.values()))
        with self.fixed('d'):
            with self.autocast():
                fake = self.d(torch.cat([a, made], 1))
            terms = {'g/adv': w.gan * loss(fake, True), 'g/l1': w.l1 * distance(made, b)}
            self.update('g', sum(terms.values()))
        self.average()
        return terms | critic

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            return self.g(batch['a']['image'])


class CycleGan(Trainer):
    """As `dfjax.systems.cyclegan`."""

    def __init__(self, cfg, device: str):
        model, channels = cfg.model.to_dict(), {'a': cfg.model.inputs, 'b': cfg.model.outputs}
        model['g']['blocks'] = residual_blocks(cfg)
        nets = {f'g_{x}{y}': generator(model, channels[x], channels[y]) for x, y in ('ab', 'ba')}
        nets |= {f'd_{x}': discriminator(model, channels[x]) for x in 'ab'}
        super().__init__(cfg, device, nets, {side: [name for name in nets if name[0] == side] for side in 'gd'})
        self.run = {name: self.fast(net) for name, net in self.nets.items()}
        self.replay = {'a': [], 'b': []}

    rate = Pix2Pix.rate

    def step(self, batch: dict) -> dict[str, Tensor]:
        real = {side: batch[side]['image'] for side in 'ab'}
        w, loss, run = self.cfg.loss, ADVERSARIAL[self.cfg.loss.kind], self.run
        terms, made, critic = {}, {}, {}
        with self.fixed('d'):
            for one, other in ('ab', 'ba'):
                there, back = run[f'g_{one}{other}'], run[f'g_{other}{one}']
                with self.autocast():
                    made[other] = there(real[one])
                    terms[f'{one}{other}/adv'] = loss(run[f'd_{other}'](made[other]), True)
                    terms[f'{one}{other}/cycle'] = w.cycle * distance(back(made[other]), real[one])
                    if w.identity:
                        same = distance(there(real[other]), real[other])
                        terms[f'{one}{other}/identity'] = w.cycle * w.identity * same
            self.update('g', sum(terms.values()))
        for side in 'ab':
            shown = self.replayed(self.replay[side], made[side].detach())
            for kind, x in (('real', real[side]), ('fake', shown)):
                with self.autocast():
                    critic[f'd_{side}/{kind}'] = 0.5 * loss(run[f'd_{side}'](x), kind == 'real')
        self.update('d', sum(critic.values()))
        self.average()
        return terms | critic

    def replayed(self, replay: list[Tensor], made: Tensor) -> Tensor:
        """As `dfjax.systems.cyclegan.replayed`."""
        shown = []
        for new in made:
            if len(replay) < self.cfg.replay:
                replay.append(new)
            elif self.cfg.replay and random.random() < 0.5:
                place = random.randrange(len(replay))
                replay[place], new = new, replay[place]
            shown.append(new)
        return torch.stack(shown).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            return self.run['g_ab'](batch['a']['image'])


class StarGan(Trainer):
    """As `dfjax.systems.stargan`; labels asked for are those of other pictures."""

    TRAINS_TO_INFER = True

    def __init__(self, cfg, device: str):
        g, d = cfg.model.g, cfg.model.d
        nets = {
            'g': translation.StarGenerator(g.width, g.labels, g.blocks),
            'd': translation.StarDiscriminator(cfg.data.size, d.width, d.labels, d.layers),
        }
        super().__init__(cfg, device, nets, {'g': ['g'], 'd': ['d']})
        self.g, self.d = (self.fast(self.nets[name]) for name in 'gd')

    def section(self, group: str):
        return self.cfg.optimizer[group]

    def rate(self, group: str, updates: int) -> float:
        o = self.section(group)
        return linear_rate(o.lr, self.cfg.steps, o.constant, updates // self.each(group))

    def each(self, group: str) -> int:
        return self.cfg.n_critic if group == 'd' else 1

    def draws(self, batch: dict) -> dict:
        count = len(batch['image'])
        alpha = torch.rand(count, 1, 1, 1, device=self.device)
        return {'order': torch.randperm(count, device=self.device), 'alpha': alpha}

    def step(self, batch: dict, draws: dict | None = None) -> dict[str, Tensor]:
        draws, n = draws or self.draws(batch), self.cfg.n_critic
        whole = {'x': batch['image'], 'label': batch['label'], 'alpha': draws['alpha']}
        whole['asked'] = batch['label'][draws['order']]
        parts = [{k: v[i::n] for k, v in whole.items()} for i in range(n)]
        parts = [part | {'x': part['x'].contiguous(memory_format=torch.channels_last)} for part in parts]
        rounds = [self.criticise(part) for part in parts]
        terms = {k: sum(each[k].detach() for each in rounds) / n for k in rounds[0]}
        with self.fixed('d'):
            mine = self.generate(parts[-1])
            self.update('g', sum(mine.values()))
        self.average()
        return terms | mine

    def criticise(self, part: dict) -> dict[str, Tensor]:
        """An update of the discriminator."""
        w, x, loss = self.cfg.loss, part['x'], ADVERSARIAL['wgangp']
        with torch.no_grad(), self.autocast():
            fake = self.g(x, part['asked'])
        with self.autocast():
            (real, classes), (values, _) = self.d(x), self.d(fake)
            between = (part['alpha'] * x + (1 - part['alpha']) * fake.float()).requires_grad_()
            middle = self.nets['d'](between)[0].float().sum()  # compiled functions have no second derivatives
        (slope,) = torch.autograd.grad(middle, between, create_graph=True)
        terms = {
            'd/real': loss(real, True),
            'd/fake': loss(values, False),
            'd/label': w.label * label_cost(classes, part['label']),
            'd/penalty': w.penalty * (slope.flatten(1).norm(dim=1) - 1).square().mean(),
        }
        self.update('d', sum(terms.values()))
        return terms

    def generate(self, part: dict) -> dict[str, Tensor]:
        """The generator's loss terms."""
        w = self.cfg.loss
        with self.autocast():
            made = self.g(part['x'], part['asked'])
            values, classes = self.d(made)
            again = self.g(made, part['label'])
        return {
            'g/adv': ADVERSARIAL['wgangp'](values, True),
            'g/label': w.label * label_cost(classes, part['asked']),
            'g/recon': w.recon * distance(again, part['x']),
        }

    @torch.inference_mode()
    def infer(self, batch: dict) -> Tensor:
        with self.autocast():
            return self.g(batch['image'], batch['label'])


def label_cost(logits: Tensor, labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits.float(), labels, reduction='sum') / len(logits)

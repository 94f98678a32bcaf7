"""StarGAN (Choi et al. 2018): one generator that gives pictures any of several labels.

    d/real, d/fake    Wasserstein losses                      g/adv      that of the fakes
    d/penalty         10 times the gradient penalty
    d/label           classification of real pictures         g/label    classification of fakes, by the target labels
                                                              g/recon    10 times the distance of a picture from
                                                                         itself, given other labels and its own again

A batch is `n_critic` batches: the discriminator learns from each, then the generator from the last. Target labels are
those of other pictures, as the original has it, or drawn at random.

Several data sets with different labels: `groups` says how many of the labels each has. Labels that are not known of a
picture are 0, do not count and are no targets, and the generator takes a mask of the groups that count too. A picture
has one label of a group whose labels exclude each other (`loss.exclusive`), as folders for domains do, and any of the
others: CelebA's and RaFD's together are `groups=[5,8]` and `loss.exclusive=[1]`.

Keys of `model`, and what the original calls them: `size` image_size; `g.kind` 'resnet' is the original's, 'light' is
for CPUs, see `models.light`; `g.width` g_conv_dim, `g.blocks` g_repeat_num, `g.labels` and `d.labels` c_dim, `d.width`
d_conv_dim, `d.layers` d_repeat_num.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.losses.adversarial import d_fake, d_real, g_loss, wgan_gp
from dfjax.losses.labels import grouped_cross_entropy
from dfjax.models.stargan import GENERATORS, Discriminator, Generator
from dfjax.ops import backend
from dfjax.ops.devices import mean_over_devices, own_part, whole_batch
from dfjax.ops.image import to_float
from dfjax.ops.jitter import jitter
from dfjax.ops.label_groups import check_exclusive, random_labels
from dfjax.ops.optimize import apply_grads, ema_update, learning_rate, optimizer
from dfjax.systems.state import (
    Net,
    State,
    arrays,
    common_config,
    compute_dtype,
    init_nets,
    optimizer_config,
)

BATCH = 'labelled'
COLUMNS = ('picture',)  # names of those of a preview
DIRECTIONS = {'': 'g'}  # in which it translates, and the net that does
TARGETS = ('permuted', 'random')


def default_config() -> ConfigDict:
    """The original's, at 128 px."""
    cfg = common_config()
    cfg.system = 'stargan'
    cfg.steps = 40_000
    cfg.batch_size = 80
    cfg.n_critic = r.size(5)  # steps of the discriminator to one of the generator
    cfg.data = dict(source='', labels=[], size=r.size(128), crop=r.size(0, least=0), resident_bytes=2**30)
    cfg.model = dict(
        size=r.size(128),
        g=dict(kind=r.choice('resnet', GENERATORS), labels=r.size(5), width=r.size(64), blocks=r.count(6)),
        d=dict(labels=r.size(5), width=r.size(64), layers=r.count(6, least=1)),
    )
    cfg.groups = r.size(
        []
    )  # sizes of the groups of labels, in the order of data.labels; none is one group, without a mask
    cfg.targets = r.choice('permuted', TARGETS)  # which labels fakes are to have: those of other examples, or any
    cfg.jitter = r.between(1, 4, 1.0)  # how much pictures are enlarged before the former size is cut out of them
    cfg.flip = r.share(0.5)  # probability that a picture is mirrored
    # exclusive: numbers from 0 of the groups whose labels exclude each other, or true for all
    cfg.loss = dict(label=1.0, recon=10.0, penalty=10.0, exclusive=None)
    cfg.optimizer = {net: optimizer_config(lr=1e-4, schedule='linear', b1=0.5) for net in 'gd'}
    cfg.ema = r.decay(0.0)  # decay of the generator's average; 0 leaves it out
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The generator g of pictures 'x' and labels 'c', and the discriminator d of pictures."""
    m, dtype = cfg.model, compute_dtype(cfg)
    pictures = {'x': arrays(1, m.size, m.size, 3)}
    return {
        'g': Net(Generator(**m.g, dtype=dtype), pictures | {'c': arrays(1, m.g.labels)}, multiple=4),
        'd': Net(Discriminator(size=m.size, **m.d, dtype=dtype), pictures, ('out_src', 'out_cls')),
    }


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters.

    Raises:
        InputError: if sizes, labels and batches of the config do not fit each other.
    """
    check(cfg)
    params, _ = init_nets(nets(cfg), rng)
    opt = {name: optimizer(cfg.optimizer[name]).init(params[name]) for name in params}
    ema = {'g': jax.tree.map(jnp.copy, params['g'])} if cfg.ema else {}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema)


def check(cfg: ConfigDict) -> None:
    """Raises InputError where parts of the config contradict each other."""
    count = len(cfg.data.labels)
    if not count:
        raise InputError('config key data.labels: name the labels, as in --config.data.labels=\'["smile"]\'')
    if cfg.groups and sum(cfg.groups) != count:
        raise InputError(f'config key groups: {list(cfg.groups)} does not add up to the {count} labels of data.labels')
    check_exclusive(cfg.loss.exclusive, cfg.groups or [count], 'config key loss.exclusive')
    inputs = count + len(cfg.groups)
    if (cfg.model.g.labels, cfg.model.d.labels) != (inputs, count):
        raise InputError(
            f'config keys model.g.labels and model.d.labels: data.labels are {count}; give '
            f'--config.model.g.labels={inputs} --config.model.d.labels={count}'
        )
    if cfg.model.size != cfg.data.size:
        raise InputError(f'config key model.size: give {cfg.data.size}, which is data.size')
    if cfg.batch_size % cfg.n_critic:
        raise InputError(f'config key batch_size: give a multiple of n_critic {cfg.n_critic}, not {cfg.batch_size}')


def group_slices(cfg: ConfigDict) -> list[slice]:
    """Where the labels of each group stand."""
    ends = np.cumsum(cfg.groups or [cfg.model.g.labels]).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends)]


def exclusive_slices(cfg: ConfigDict) -> list[slice]:
    """Where the labels of each group stand of which a picture has one."""
    chosen, parts = cfg.loss.exclusive, group_slices(cfg)
    return parts if chosen is True else [parts[n] for n in chosen or ()]


def condition_of(cfg: ConfigDict, labels: jax.Array, known: jax.Array) -> jax.Array:
    """The generator's condition: labels [B, K], and with several groups a mask of those that are `known` [B, K]."""
    if not cfg.groups:
        return labels
    mask = jnp.stack([known[:, part].min(1) for part in group_slices(cfg)], 1)  # [B, groups]
    return jnp.concatenate([labels * known, mask], -1)


def flipped(cfg: ConfigDict, labels: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """Labels [B, K] with the k-th flipped (to 1 if they exclude each other), and which are of its group [B, K]."""
    (part,) = (part for part in group_slices(cfg) if part.start <= k < part.stop)
    if part in exclusive_slices(cfg):
        labels = labels.at[:, part].set(0).at[:, k].set(1)
    else:
        labels = labels.at[:, k].set(1 - labels[:, k])
    return labels, jnp.zeros_like(labels).at[:, part].set(1)


def translate(cfg: ConfigDict, params: dict, pictures: jax.Array, condition: jax.Array) -> jax.Array:
    """Pictures [B, H, W, 3] in [-1, 1] with the labels of the condition [B, model.g.labels], see `condition_of`."""
    return nets(cfg)['g'].module.apply({'params': params['g']}, pictures, condition)


def label_cost(cfg: ConfigDict, logits: jax.Array, labels: jax.Array, known: jax.Array) -> jax.Array:
    """Cross entropy, summed over the known labels of a picture, of each by itself or of a group as a whole."""
    return grouped_cross_entropy(logits, labels, known, exclusive_slices(cfg))


def random_target(cfg: ConfigDict, batch: dict, coins: jax.Array) -> jax.Array:
    """Target labels [B, K]: those of another picture of the batch, and of `coins` [B, K] where that has none."""
    if cfg.targets == 'random':
        return coins * batch['known']
    label, known = whole_batch((batch['label'], batch['known']))
    order = own_part(jax.random.permutation(batch['step_key'], len(label)), len(coins))
    label, known = label[order], known[order]
    for part in exclusive_slices(cfg):  # whole groups, or there might be two labels of one
        known = known.at[:, part].set(known[:, part].min(1, keepdims=True))
    return jnp.where(known > 0, label, coins) * batch['known']


def examples(cfg: ConfigDict, batch: dict) -> dict:
    """Pictures, their labels and target labels: every leaf is [n_critic, B / n_critic, ...]."""
    draws = jax.vmap(lambda key: jax.random.split(key, 3))(batch['key'])  # [B, 3] keys
    pictures = jitter(draws[:, 0], to_float(batch['image']), cfg.jitter, cfg.flip)
    alpha = jax.vmap(lambda key: jax.random.uniform(key, (1, 1, 1)))(draws[:, 1])
    coins = jax.vmap(lambda key: random_labels(key, batch['label'].shape[1], exclusive_slices(cfg)))(draws[:, 2])
    target = random_target(cfg, batch, coins)
    parts = {'x': pictures, 'label': batch['label'], 'known': batch['known'], 'alpha': alpha, 'target': target}
    # Neighbours go to different batches, so that every device has its share of each.
    return jax.tree.map(lambda v: v.reshape(-1, cfg.n_critic, *v.shape[1:]).swapaxes(0, 1), parts)


def d_cost(cfg: ConfigDict, p: dict, fake: jax.Array, part: dict) -> tuple[jax.Array, dict]:
    """The discriminator's loss on one batch and on the fakes made of it; and its terms."""
    discriminate, w = lambda x: nets(cfg)['d'].module.apply({'params': p}, x), cfg.loss
    logits, classes = discriminate(part['x'])
    terms = {
        'd/real': d_real('wgangp', logits),
        'd/fake': d_fake('wgangp', discriminate(fake)[0]),
        'd/label': w.label * label_cost(cfg, classes, part['label'], part['known']),
        'd/penalty': w.penalty * wgan_gp(lambda x: discriminate(x)[0], part['x'], fake, part['alpha']),
    }
    return sum(terms.values()), terms


def g_cost(cfg: ConfigDict, p: dict, d: dict, part: dict) -> tuple[jax.Array, dict]:
    """The generator's loss on one batch; and its terms."""
    generate = lambda x, labels: translate(cfg, {'g': p}, x, condition_of(cfg, labels, part['known']))
    fake = generate(part['x'], part['target'])
    logits, classes = nets(cfg)['d'].module.apply({'params': d}, fake)
    again = generate(fake, part['label'])
    terms = {
        'g/adv': g_loss('wgangp', logits),
        'g/label': cfg.loss.label * label_cost(cfg, classes, part['target'], part['known']),
        'g/recon': cfg.loss.recon * jnp.abs(again - part['x']).mean(),
    }
    return sum(terms.values()), terms


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """`n_critic` updates of the discriminator, one of the generator. `batch` is 'labelled' of `dfjax.data.batches`."""
    parts = examples(cfg, batch)
    params, opt = dict(state.params), dict(state.opt)
    rate = {net: learning_rate(cfg.optimizer[net], state.step, state.horizon) for net in 'gd'}

    def update(net: str, grads: dict, p: dict, moments: tuple) -> tuple[dict, tuple]:
        return apply_grads(cfg.optimizer[net], rate[net], p, grads, moments)

    # Discriminator
    def d_update(carry: tuple, part: dict) -> tuple[tuple, dict]:
        p, moments = carry
        labels = condition_of(cfg, part['target'], part['known'])
        fake = jax.lax.stop_gradient(translate(cfg, params, part['x'], labels))
        grads, terms = jax.grad(lambda p: d_cost(cfg, p, fake, part), has_aux=True)(p)
        return update('d', grads, p, moments), terms

    unroll = 1 if backend.loops_are_fast() else cfg.n_critic
    carry, terms = jax.lax.scan(d_update, (params['d'], opt['d']), parts, unroll=unroll)
    params['d'], opt['d'] = carry
    metrics = jax.tree.map(lambda v: v.mean(), terms)

    # Generator
    last = jax.tree.map(lambda v: v[-1], parts)
    grads, terms = jax.grad(lambda p: g_cost(cfg, p, params['d'], last), has_aux=True)(params['g'])
    params['g'], opt['g'] = update('g', grads, params['g'], opt['g'])

    # The rest
    metrics |= terms
    metrics['total'] = sum(metrics.values())
    ema = ema_update(state.ema, {k: params[k] for k in state.ema}, cfg.ema, state.step)
    metrics = mean_over_devices(metrics) | {f'rate/{net}': rate[net] for net in 'gd'}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the picture, and it with each of its labels changed by itself: [(1 + K) B, S, S, 3]."""
    real, params = to_float(batch['image']), state.params | state.ema
    rows = [real]
    for k in range(batch['label'].shape[1]):
        rows.append(translate(cfg, params, real, condition_of(cfg, *flipped(cfg, batch['label'], k))))
    return jnp.clip(jnp.stack(rows, 1), -1, 1).reshape(-1, *real.shape[1:])  # the light generator may leave them

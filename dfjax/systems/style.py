"""One style, for any picture at once: a net that repaints (Johnson et al. 2016), and does not flicker on video.

    style      distance of the Gram matrices of what it makes from those of the style
    content    distance of what is seen in it from what was seen in the picture, in the style's colours
    smooth     total variation
    stable     how much what it makes of a picture moved and made noisy differs from what it made, moved as much

The features are a fixed filter bank's, or VGG-19's (`models.features`). The net is a light one for CPUs or Johnson's.
`paint` is what inference uses.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.data.media.image import read_image, squared
from dfjax.data.render.patterns import PREFIX, pattern
from dfjax.errors import InputError
from dfjax.losses.style import content_distance, gram, style_loss, total_variation
from dfjax.models import vgg
from dfjax.models.features import LEAST, colours, extract, octaves, recoloured
from dfjax.models.light import LightGenerator
from dfjax.models.norm import NORMS, WHOLE
from dfjax.models.resnet import ResNet
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import to_float
from dfjax.ops.jitter import flipped
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
from dfjax.weights.vgg import read_features

BATCH = 'labelled'
COLUMNS = ('picture', 'painted')  # names of those of a preview
KINDS = ('light', 'resnet')
MULTIPLE = 4  # H and W must be divisible by this: both nets halve them twice
# Pixels of reflection that the net sees around a picture (Johnson et al. 2016). Beside zeros it paints rows of dots.
# Half as many do in training, and spare it a fifth of the work.
MARGIN = 16
MOVE = 3  # pixels, each way, that pictures are moved for `stable`


def default_config() -> ConfigDict:
    """For one CPU core and half an hour; for pictures of any size."""
    cfg = common_config()
    cfg.system = 'style'
    cfg.steps = 1500
    cfg.batch_size = 4
    cfg.style = 'pattern:strokes'  # a picture, or a pattern of data.patterns
    cfg.style_size = r.size(256)  # its side: what large strokes are on pictures of as many pixels
    cfg.features = ''  # VGG-19: torchvision's file or Keras's, or what `dfjax stylize` makes of it; '' is a filter bank
    cfg.data = dict(source='render:people:1:1024', labels=[], size=r.size(128), resident_bytes=2**30)
    cfg.model = dict(width=r.size(96), blocks=r.count(4))
    cfg.model.kind = r.choice('light', KINDS)  # 'resnet' is the original's, heavier
    cfg.model.norm = r.choice('instance', NORMS)
    cfg.flip = r.share(0.5)  # probability that a picture is mirrored
    cfg.noise = 0.05  # standard deviation of the noise for `stable`
    cfg.loss = dict(
        style=1.0,  # weight of the distance of the statistics of features
        content=0.1,  # weight of the distance of features from the picture's own
        smooth=0.005,  # weight of the total variation
        stable=5.0,  # weight of what noise changes: against flicker in videos
    )
    cfg.optimizer = optimizer_config(lr=2e-3, schedule='cosine', warmup=50, b1=0.9, b2=0.99, clip=1.0)
    cfg.ema = r.decay(0.99)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The one net."""
    kind, shape = cfg.model.kind, {k: v for k, v in cfg.model.items() if k != 'kind'}
    module = (LightGenerator if kind == 'light' else ResNet)(**shape, dtype=compute_dtype(cfg))
    return {'net': Net(module, {'x': arrays(1, cfg.data.size, cfg.data.size, 3)}, multiple=MULTIPLE)}


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters.

    Raises:
        InputError: if pictures are too small for the features.
    """
    least = vgg.LEAST if cfg.features else LEAST
    if min(cfg.data.size, cfg.style_size) < least:
        raise InputError(f'config keys data.size and style_size: the features need {least} pixels')
    params, _ = init_nets(nets(cfg), rng)
    opt = {'net': optimizer(cfg.optimizer).init(params['net'])}
    ema = jax.tree.map(jnp.copy, params)
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema)


def check(cfg: ConfigDict) -> None:
    """Raises InputError if the style or the features cannot be read; a trained run does without."""
    if cfg.features:
        read_features(cfg.features)
    style_picture(cfg)


def frozen(cfg: ConfigDict) -> dict:
    """What training compares with: 'gram' and 'colours' of the style, and 'vgg', the weights where they are used.

    Raises:
        InputError: if the style or the features cannot be read.
    """
    weights = read_features(cfg.features) if cfg.features else {}
    style = to_float(style_picture(cfg)[None])

    @jax.jit
    def references(weights: dict, style: jax.Array) -> dict:
        grams = [gram(f) for f in extract(weights, style, octaves(cfg.data.size))[0]]
        return {'gram': grams, 'colours': colours(style)}

    return {'vgg': weights} | jax.device_get(references(weights, style))


def style_picture(cfg: ConfigDict) -> np.ndarray:
    """The middle square of the style: uint8 [S, S, 3], S being `style_size`."""
    if cfg.style.startswith(PREFIX):
        return pattern(cfg.style, cfg.style_size)
    return squared(read_image(cfg.style), cfg.style_size)


def paint(
    cfg: ConfigDict, params: dict, pictures: jax.Array, whole: dict | None = None, margin: int = MARGIN
) -> jax.Array:
    """Pictures [B, H, W, 3] in [-1, 1], of any sides from 8 pixels on, repainted.

    Args:
        whole: what `statistics` says of the pictures that these are tiles of, if they are.
        margin: pixels of reflection around them.
    """
    h, w = pictures.shape[1:3]
    variables = {'params': params['net']} | (whole or {})
    made = nets(cfg)['net'].module.apply(variables, _framed(pictures, margin))
    return made[:, margin : margin + h, margin : margin + w]


def statistics(cfg: ConfigDict, params: dict, pictures: jax.Array) -> dict:
    """By what the net normalises pictures [B, H, W, 3] in [-1, 1]: arrays [B, 1, 1, C], none where it does not."""
    return nets(cfg)['net'].module.apply({'params': params['net']}, _framed(pictures, MARGIN), mutable=[WHOLE])[1]


def _framed(pictures: jax.Array, margin: int) -> jax.Array:
    """The pictures with their reflection around them, `margin` wide, and more up to sides that the net takes."""
    edges = [(margin, margin + -n % MULTIPLE) for n in pictures.shape[1:3]]
    return jnp.pad(pictures, ((0, 0), *edges, (0, 0)), mode='reflect')


def disturbed(keys: jax.Array, pictures: jax.Array, noise: float) -> tuple[jax.Array, jax.Array]:
    """Pictures [B, H, W, C] moved by up to MOVE pixels, with noise and brighter or darker; and the moves [B, 2]."""

    def one(key: jax.Array, picture: jax.Array) -> tuple[jax.Array, jax.Array]:
        where, grain, light = jax.random.split(key, 3)
        move = jax.random.randint(where, (2,), -MOVE, MOVE + 1)
        change = noise * (jax.random.normal(grain, picture.shape) + jax.random.normal(light))
        return jnp.clip(moved(picture, move) + change, -1, 1), move

    return jax.vmap(one)(keys, pictures)


def moved(picture: jax.Array, move: jax.Array) -> jax.Array:
    """[H, W, C] moved down and right by `move` [2] pixels, from -MOVE to MOVE; its mirror image comes in."""
    wide = jnp.pad(picture, ((MOVE, MOVE), (MOVE, MOVE), (0, 0)), mode='reflect')
    return jax.lax.dynamic_slice(wide, (MOVE - move[0], MOVE - move[1], 0), picture.shape)


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update. `batch` is 'labelled' of `dfjax.data.batches`; labels are not looked at."""
    w, count, frozen = cfg.loss, octaves(cfg.data.size), state.frozen

    # The data of this step
    draws = jax.vmap(lambda key: jax.random.split(key, 2))(batch['key'])  # [B, 2] keys
    pictures = flipped(to_float(batch['image']), draws[:, 0], cfg.flip)
    others, moves = disturbed(draws[:, 1], pictures, cfg.noise)
    kept = extract(frozen['vgg'], recoloured(pictures, frozen['colours']), count)[1]

    # The net
    def loss(params: dict) -> tuple[jax.Array, dict]:
        both = jnp.concatenate([pictures, others])
        made, again = jnp.split(paint(cfg, {'net': params}, both, margin=MARGIN // 2), 2)
        style, content = extract(frozen['vgg'], made, count)
        inside = slice(MOVE, -MOVE)
        change = (jax.vmap(moved)(made, moves) - again)[:, inside, inside]
        terms = {
            'style': w.style * style_loss([gram(f) for f in style], frozen['gram']).mean(),
            'content': w.content * content_distance(content, kept).mean(),
            'smooth': w.smooth * total_variation(made).mean(),
            'stable': w.stable * (change**2).mean(),
        }
        return sum(terms.values()), terms

    (total, terms), grads = jax.value_and_grad(loss, has_aux=True)(state.params['net'])
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    net, opt = apply_grads(cfg.optimizer, rate, state.params['net'], grads, state.opt['net'])
    params = {'net': net}

    # The rest
    ema = ema_update(state.ema, params, cfg.ema, state.step)
    metrics = mean_over_devices(terms | {'total': total}) | {'rate': rate}
    return state.replace(step=state.step + 1, params=params, opt={'net': opt}, ema=ema), metrics


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the picture, and what is made of it: [2B, S, S, 3]."""
    pictures = to_float(batch['image'])
    made = paint(cfg, state.ema, pictures)
    return jnp.stack([pictures, made], 1).reshape(-1, *pictures.shape[1:])

"""A variational autoencoder for pictures (Kingma & Welling 2014) with a loss on edges (DeepFakeLab).

    recon   mean squared error
    kl      beta * KL(q(z | x) || N(0, I)) in nats a pixel
    sobel   gamma * distance between the edges of picture and reconstruction (`losses.latent.sobel_distance`)

A squared error alone makes blurred pictures, because the mean of all sharp ones is the safest guess; the magnitude of
the gradient says how sharp a place is, whatever its exact outline. Two more terms, off by default, sharpen further:
`texture`, a perceptual distance by fixed filters, and `gan`, a patch discriminator.

The code's mean and the decoder are what inference uses: `encode` and `decode`. Where beta is small codes are not
N(0, I), and what is drawn from that decodes to noise. So their mean and second moments are averaged along with the
parameters, as `ema['prior']`, and samples are drawn from the gaussian that has them.
"""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.losses.adversarial import d_loss, g_loss
from dfjax.losses.latent import SOBEL_FORMS, TEXTURED, gaussian_kl, sobel_distance, texture_distance
from dfjax.models import patchgan
from dfjax.models import vae as models
from dfjax.models.patchgan import PatchGAN
from dfjax.ops.devices import mean_over_devices
from dfjax.ops.image import to_float
from dfjax.ops.jitter import flipped
from dfjax.ops.keys import preview_key
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
COLUMNS = ('picture', 'again', 'sample')  # names of those of a preview
ACTIVE = 0.01  # nats: a dimension whose KL is below this says nothing


def default_config() -> ConfigDict:
    """64 px, for two CPU cores."""
    cfg = common_config()
    cfg.system = 'vae'
    cfg.steps = 20_000
    cfg.batch_size = 16
    cfg.data = dict(
        source='render:people:1:4096', labels=[], size=r.size(64), crop=r.size(0, least=0), resident_bytes=2**30
    )
    cfg.model = dict(
        latent=r.size(32),
        patch=r.size(4),
        width=r.size(96),
        max_width=r.size(256),
        residuals=r.count(1),
        skip_size=r.size(16, least=0),
        grid=r.size(0, least=0),
    )
    cfg.discriminator = patchgan.default_config(width=32, norm='instance')
    cfg.flip = r.share(0.5)  # probability that a picture is mirrored
    cfg.loss = dict(
        beta=0.001,  # weight of the KL, in nats a pixel
        warmup=r.steps(0),  # over which beta rises from 0
        free_bits=0.0,  # nats that every dimension may cost without being pressed further
        gamma=0.06,  # weight of the distance of edges
        sobel=r.choice('magnitude', SOBEL_FORMS),  # what of the edges is compared
        texture=0.0,  # weight of a perceptual distance by fixed filters
        gan=0.0,  # 0 leaves the discriminator out
    )
    cfg.optimizer = optimizer_config(lr=1e-3, schedule='cosine', warmup=200, b1=0.9, b2=0.99, clip=1.0)
    cfg.ema = r.decay(0.995)
    return cfg


def nets(cfg: ConfigDict) -> dict[str, Net]:
    """The nets by name; a discriminator only where `loss.gan` asks for one."""
    dtype, pictures = compute_dtype(cfg), {'x': arrays(1, cfg.data.size, cfg.data.size, 3)}
    shape = {k: v for k, v in cfg.model.items() if k != 'latent'}
    encoder = models.Encoder(**cfg.model, dtype=dtype)
    decoder = models.Decoder(size=cfg.data.size, **shape, dtype=dtype)
    found = {
        'encoder': Net(encoder, pictures, ('mean', 'log_variance')),
        'decoder': Net(decoder, {'z': arrays(1, cfg.model.latent)}),
    }
    if cfg.loss.gan:
        found['discriminator'] = Net(PatchGAN(**cfg.discriminator, dtype=dtype), pictures, multiple=1)
    return found


def init(cfg: ConfigDict, rng: jax.Array) -> State:
    """Fresh parameters.

    Raises:
        InputError: if pictures are too small for the filters of `loss.texture`.
    """
    if cfg.loss.texture and cfg.data.size < TEXTURED:
        raise InputError(f'config key data.size is {TEXTURED} or more with loss.texture, not {cfg.data.size}')
    params, _ = init_nets(nets(cfg), rng)
    generator = {name: p for name, p in params.items() if name != 'discriminator'}
    opt = {'nets': optimizer(cfg.optimizer).init(generator)}
    if cfg.loss.gan:
        opt['discriminator'] = optimizer(cfg.optimizer).init(params['discriminator'])
    ema = jax.tree.map(jnp.copy, generator)
    ema['prior'] = {'mean': jnp.zeros(cfg.model.latent), 'square': jnp.eye(cfg.model.latent)}
    return State(step=jnp.zeros((), jnp.int32), params=params, opt=opt, ema=ema)


def encode(cfg: ConfigDict, params: dict, pictures: jax.Array) -> jax.Array:
    """Codes [B, latent] of pictures [B, S, S, 3] in [-1, 1]: the means."""
    return nets(cfg)['encoder'].module.apply({'params': params['encoder']}, pictures)[0]


def decode(cfg: ConfigDict, params: dict, codes: jax.Array) -> jax.Array:
    """Pictures [B, S, S, 3] in [-1, 1] of codes [B, latent]."""
    return nets(cfg)['decoder'].module.apply({'params': params['decoder']}, codes)


def generate(cfg: ConfigDict, params: dict, pictures: jax.Array, keys: jax.Array, step: jax.Array) -> tuple:
    """The loss terms; figures of the code and its moments, over all devices; the reconstructions [B, S, S, 3]."""
    w = cfg.loss
    mean, log_variance = nets(cfg)['encoder'].module.apply({'params': params['encoder']}, pictures)
    noise = jax.vmap(lambda key: jax.random.normal(key, mean.shape[1:]))(keys)
    z = mean + jnp.exp(0.5 * log_variance) * noise  # [B, latent]
    made = decode(cfg, params, z)

    nats = gaussian_kl(mean, log_variance).mean(0)  # [latent]
    seen = {'nats': nats, 'mean': z.mean(0), 'square': jnp.matmul(z.T, z, precision='highest') / len(z)}
    seen = mean_over_devices(jax.lax.stop_gradient(seen))
    whole = seen.pop('nats')
    pressed = jnp.where(whole > w.free_bits, nats, w.free_bits)
    beta = w.beta * jnp.minimum(1.0, step / w.warmup) if w.warmup else w.beta
    terms = {
        'recon': ((made - pictures) ** 2).mean(),
        'kl': beta * pressed.sum() / cfg.data.size**2,
    }
    if w.gamma:
        terms['sobel'] = w.gamma * sobel_distance(made, pictures, w.sobel)
    if w.texture:
        terms['texture'] = w.texture * texture_distance(made, pictures)
    return terms, {'nats': whole.sum(), 'active': (whole > ACTIVE).sum().astype(jnp.float32)}, seen, made


def step(cfg: ConfigDict, state: State, batch: dict) -> tuple[State, dict]:
    """One update of everything. `batch` is 'labelled' of `dfjax.data.batches`; labels are not looked at."""

    # The data of this step
    draws = jax.vmap(lambda key: jax.random.split(key, 2))(batch['key'])  # [B, 2] keys
    pictures = to_float(batch['image'])
    pictures = flipped(pictures, draws[:, 0], cfg.flip)

    # Encoder and decoder
    params, opt = dict(state.params), dict(state.opt)
    discriminator = params.pop('discriminator', None)
    discriminate = lambda p, x: nets(cfg)['discriminator'].module.apply({'params': p}, x)

    def loss(params: dict) -> tuple[jax.Array, tuple]:
        terms, *rest, made = generate(cfg, params, pictures, draws[:, 1], state.step)
        if cfg.loss.gan:
            terms['g/adv'] = cfg.loss.gan * g_loss('hinge', discriminate(discriminator, made))
        return sum(terms.values()), (terms, *rest, made)

    grads, (terms, figures, moments, made) = jax.grad(loss, has_aux=True)(params)
    rate = learning_rate(cfg.optimizer, state.step, state.horizon)
    params, opt['nets'] = apply_grads(cfg.optimizer, rate, params, grads, opt['nets'])
    ema = ema_update(state.ema, params | {'prior': moments}, cfg.ema, state.step)

    # Discriminator
    if cfg.loss.gan:
        cost = lambda p: d_loss('hinge', discriminate(p, pictures), discriminate(p, made))
        terms['d/adv'], grads = jax.value_and_grad(cost)(discriminator)
        params['discriminator'], opt['discriminator'] = apply_grads(
            cfg.optimizer, rate, discriminator, grads, opt['discriminator']
        )

    metrics = mean_over_devices(terms | {'total': sum(terms.values())}) | figures | {'rate': rate}
    return state.replace(step=state.step + 1, params=params, opt=opt, ema=ema), metrics


def noise_shape(cfg: ConfigDict) -> tuple[int, ...]:
    """The shape of one picture's noise."""
    return (cfg.model.latent,)


def from_noise(cfg: ConfigDict, params: dict, noise: jax.Array, truncation: float = 1.0) -> jax.Array:
    """Pictures [B, S, S, 3] of codes like those seen in training: noise [B, latent] is from N(0, 1), `truncation` says
    how far from their mean."""
    prior = params['prior']
    covariance = prior['square'] - jnp.outer(prior['mean'], prior['mean'])
    # A running average is of few pictures: a thousandth of the variance keeps the root real
    covariance += 1e-3 * jnp.diag(jnp.diag(covariance))
    root = jnp.linalg.cholesky(covariance)
    return decode(cfg, params, prior['mean'] + truncation * noise @ root.T)


def preview(cfg: ConfigDict, state: State, batch: dict) -> jax.Array:
    """For each example the picture, its reconstruction, and a sample: [3B, S, S, 3]."""
    real = to_float(batch['image'])
    again = decode(cfg, state.ema, encode(cfg, state.ema, real))
    noise = jax.random.normal(preview_key(cfg.seed), (len(real), cfg.model.latent))
    drawn = from_noise(cfg, state.ema, noise)
    return jnp.stack([real, again, drawn], 1).reshape(-1, *real.shape[1:])

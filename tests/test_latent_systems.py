"""VAE, GAN and diffusion model: every variant as shapes, conditions, free bits, truncation, batch norm."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.losses.latent import sobel_distance
from dfjax.models.blocks import widths
from dfjax.ops.image import sobel
from dfjax.ops.optimize import optimizer
from dfjax.systems import diffusion, gan, load_system, vae

pytestmark = pytest.mark.whole

SYSTEMS = ('vae', 'gan', 'diffusion')
CLASSIC = {'model.kind': 'classic'}


def config(name, variant='smoke', **changes):
    return build(importlib.import_module(f'configs.{name}').get_config(variant), changes)


def batch_of(cfg, count=4, fill=0):
    """A 'labelled' batch of grey pictures."""
    size, labels = cfg.data.size, len(cfg.data.labels)
    return {
        'image': jnp.full((count, size, size, 3), fill, jnp.uint8),
        'label': jnp.ones((count, labels)),
        'known': jnp.ones((count, labels)),
        'key': jax.random.split(jax.random.key(1), count),
        'step_key': jax.random.key(2),
    }


@pytest.mark.parametrize('variant', ['laptop', 'gpu', 'paper'])
@pytest.mark.parametrize('name', SYSTEMS)
def test_every_variant_makes_a_step_and_pictures_of_its_size(name, variant):
    """As shapes only; the smoke variant is computed by the contract test."""
    cfg, system = config(name, variant), load_system(name)

    def both(key):
        state = system.init(cfg, key)
        after, metrics = system.step(cfg, state, batch_of(cfg))
        return state, after, metrics, system.preview(cfg, after, batch_of(cfg))

    state, after, metrics, preview = jax.eval_shape(both, jax.random.key(0))
    assert jax.tree.map(lambda x: x.shape, state) == jax.tree.map(lambda x: x.shape, after)
    assert 'total' in metrics
    assert preview.shape[1:] == (cfg.data.size, cfg.data.size, 3)


def test_depth_follows_from_the_side():
    assert widths(64, 4, 32, 100) == [32, 64, 100]
    assert widths(128, 4, 32, 100) == [32, 64, 100, 100]
    assert widths(256, 4, 32, 512) == [32, 64, 128, 256, 512]
    assert widths(64, 4, 32, 100, bottom=8) == [32, 64]
    assert widths(64, 4, 32, 100, bottom=16) == [32]
    with pytest.raises(InputError, match=r'is 16, 32, 64, ... with patch 4, not 96'):
        widths(96, 4, 32, 512)
    with pytest.raises(InputError, match=r'is 128, 256, 512, ... with patch 4, not 64'):
        widths(64, 4, 32, 512, bottom=32)


@pytest.mark.parametrize(
    ('system', 'change', 'line'),
    [
        (vae, {'loss.sobel': 'round'}, "'loss.sobel' is one of magnitude, axis, squared, complete"),
        (vae, {'data.size': 96}, 'data.size'),
        (vae, {'model.latent': 0}, 'model.latent'),
        (vae, {'model.grid': 4, 'model.skip_size': 0}, 'model.latent is a multiple of 16 with grid 4, not 8'),
        (vae, {'model.grid': 8, 'model.latent': 64}, 'model.skip_size is 0 with grid 8, not 8'),
        (vae, {'data.size': 16, 'loss.texture': 1.0}, r'data.size is 28 or more with loss.texture, not 16'),
        (
            gan,
            {'data.size': 96} | CLASSIC,
            'data.size is 8, 16, 32, 64, ... with model.kind classic, not 96',
        ),
        (gan, {'data.size': 4} | CLASSIC, 'data.size is 8, 16, 32'),
        (gan, {'data.size': 48}, 'data.size is 16, 32, 64, ... with patch 4, not 48'),
        (gan, {'model.width': 12}, 'model.width and model.max_width are multiples of 8, not 12 and 16'),
        (diffusion, {'data.size': 50}, 'data.size is a multiple of 4 with this model, not 50'),
        (
            diffusion,
            {'data.size': 68, 'model.widths': [16, 32]},
            'data.size is a multiple of 8 with this model, not 68',
        ),
        (gan, {'loss.kind': 'round'}, "'loss.kind' is one of vanilla, lsgan, hinge, wgangp, relativistic"),
        (gan, {'model.kind': 'round'}, "'model.kind' is one of modern, classic"),
        (diffusion, {'schedule': 'round'}, "'schedule' is one of cosine, linear"),
        (diffusion, {'prediction': 'round'}, "'prediction' is one of x, v, epsilon"),
    ],
)
def test_a_wrong_key_is_one_line(system, change, line):
    name = system.__name__.rpartition('.')[2]
    with pytest.raises(InputError, match=line):
        jax.eval_shape(lambda key: system.init(config(name, **change), key), jax.random.key(0))


# VAE


@pytest.fixture(scope='module')
def coder():
    """(cfg, params) of the smoke VAE."""
    cfg = config('vae')
    return cfg, jax.jit(lambda key: vae.init(cfg, key).params)(jax.random.key(0))


def terms(cfg, params, step):
    batch = batch_of(cfg, fill=90)
    pictures = batch['image'].astype(jnp.float32) / 127.5 - 1
    return jax.jit(lambda params: vae.generate(cfg, params, pictures, batch['key'], step)[:2])(params)


def test_beta_rises_and_free_bits_are_a_floor(coder):
    cfg, params = coder
    (plain, figures), pixels = terms(cfg, params, 0), cfg.data.size**2
    assert float(plain['kl']) == pytest.approx(cfg.loss.beta * float(figures['nats']) / pixels, rel=1e-5)
    warm = config('vae', **{'loss.warmup': 100})
    assert float(terms(warm, params, 0)[0]['kl']) == 0
    assert float(terms(warm, params, 50)[0]['kl']) == pytest.approx(float(plain['kl']) / 2, rel=1e-5)
    free = config('vae', **{'loss.free_bits': 50.0})  # more than any dimension costs at the start
    kl, slope = jax.jit(
        jax.value_and_grad(
            lambda p: vae.generate(free, p, jnp.zeros((4, 32, 32, 3)), batch_of(free)['key'], 0)[0]['kl']
        )
    )(params)
    assert float(kl) == pytest.approx(free.loss.beta * 50 * free.model.latent / pixels, rel=1e-5)
    assert all(not bool(x.any()) for x in jax.tree.leaves(slope))


def test_the_terms_that_are_switched_on_are_there(coder):
    cfg, params = coder
    assert set(terms(cfg, params, 0)[0]) == {'recon', 'kl', 'sobel'}
    assert set(terms(config('vae', **{'loss.gamma': 0.0}), params, 0)[0]) == {'recon', 'kl'}
    assert set(terms(config('vae', **{'loss.texture': 1.0}), params, 0)[0]) == {'recon', 'kl', 'sobel', 'texture'}


def test_the_papers_loss_on_edges_is_the_notebooks():
    """gamma 512 over 128 * 128 pixels, of the mean over pixels of what all channels and both axes are apart."""
    loss = config('vae', 'paper').loss
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 2, 16, 16, 3)).astype(np.float32)
    apart = sum(np.abs(np.asarray(a) - np.asarray(b)).sum(-1).mean() for a, b in zip(sobel(x), sobel(y)))
    assert loss.gamma * float(sobel_distance(x, y, loss.sobel)) == pytest.approx(512 * apart / 128**2, rel=1e-5)


def test_gradients_are_clipped_or_not():
    """By the step that plain descent would make: Adam's does not tell."""
    far = {'w': jnp.array([30.0, 40.0])}
    for clip, expected in ((1.0, [0.6, 0.8]), (0.0, [30.0, 40.0])):
        cfg = config('vae', **{'optimizer.clip': clip})
        _, state = optimizer(cfg.optimizer).update(far, optimizer(cfg.optimizer).init(far))
        mu = optax.tree_utils.tree_get(state, 'mu')['w']
        np.testing.assert_allclose(mu, (1 - cfg.optimizer.b1) * np.array(expected), rtol=1e-5)
    assert config('vae', 'paper').optimizer.clip == config('gan', 'paper').optimizer.clip == 0


def test_terms_that_sharpen_train_every_net():
    """A few steps: finite, every net moves, and the reconstruction's texture comes nearer."""
    cfg = config('vae', **{'loss.gan': 0.05, 'loss.texture': 1.0, 'optimizer.warmup': 0})
    batch = batch_of(cfg)
    batch['image'] = jax.random.randint(jax.random.key(2), batch['image'].shape, 0, 256).astype(jnp.uint8)
    fast = dict(compiler_options={'xla_backend_optimization_level': 0})
    start = jax.jit(lambda key: vae.init(cfg, key), **fast)(jax.random.key(0)).replace(horizon=jnp.int32(cfg.steps))
    step = jax.jit(lambda state: vae.step(cfg, state, batch), **fast)
    state, rows = start, []
    for _ in range(4):
        state, metrics = step(state)
        rows.append({k: float(v) for k, v in metrics.items()})
    assert rows[0].keys() >= {'texture', 'g/adv', 'd/adv'}
    assert all(np.isfinite(list(row.values())).all() for row in rows), rows
    assert rows[-1]['texture'] < rows[0]['texture']
    for name, params in state.params.items():
        pairs = zip(jax.tree.leaves(params), jax.tree.leaves(start.params[name]))
        assert all(bool((a != b).any()) for a, b in pairs), name


def test_no_frame_leaves_the_range_of_the_data(coder):
    """Of any code, however far a path or an edit goes."""
    cfg, params = coder
    codes = 1000 * jax.random.normal(jax.random.key(0), (8, cfg.model.latent))
    made = np.asarray(vae.decode(cfg, params, codes))
    assert np.abs(made).max() <= 1 and np.abs(made).max() > 0.5


def test_samples_are_drawn_from_the_gaussian_of_the_codes(monkeypatch):
    """A step averages the codes' mean and second moments, and what is drawn has them."""
    cfg = config('vae', **{'model.latent': 6})
    batch = batch_of(cfg, 256)
    flat = jax.random.randint(jax.random.key(2), (256, 1, 1, 3), 0, 256)
    batch['image'] = jnp.broadcast_to(flat, batch['image'].shape).astype(jnp.uint8)
    state = jax.jit(lambda key: vae.init(cfg, key))(jax.random.key(0)).replace(horizon=jnp.int32(cfg.steps))
    after, _ = jax.jit(lambda state: vae.step(cfg, state, batch))(state)

    encoder = {'params': state.params['encoder']}
    mean, log_variance = vae.nets(cfg)['encoder'].module.apply(encoder, batch['image'] / 127.5 - 1)
    expected = np.cov(np.asarray(mean).T, bias=True) + np.diag(np.exp(log_variance).mean(0))
    prior = jax.tree.map(lambda old, new: np.asarray(new - 0.1 * old) / 0.9, *(s.ema['prior'] for s in (state, after)))
    np.testing.assert_allclose(prior['mean'], mean.mean(0), atol=0.25)  # 4 standard errors

    monkeypatch.setattr(vae, 'decode', lambda cfg, params, codes: codes)
    noise = jax.random.normal(jax.random.key(3), (20_000, cfg.model.latent))
    codes = np.asarray(vae.from_noise(cfg, {'prior': prior}, noise))
    np.testing.assert_allclose(codes.mean(0), prior['mean'], atol=0.05)
    np.testing.assert_allclose(np.cov(codes.T), expected, atol=0.25)
    near = np.asarray(vae.from_noise(cfg, {'prior': prior}, noise, truncation=0.5))
    np.testing.assert_allclose(near - prior['mean'], (codes - prior['mean']) / 2, atol=1e-4)


# GAN


def test_truncation_goes_from_the_mean_style_to_the_style():
    cfg = config('gan')
    params = jax.jit(lambda key: gan.init(cfg, key).ema)(jax.random.key(0))
    noise = jax.random.normal(jax.random.key(1), (5, cfg.model.latent))
    style = {psi: np.asarray(gan.styles(cfg, params, noise, psi)) for psi in (0.0, 0.25, 0.5, 1.0)}
    assert np.ptp(style[0.0], axis=0).max() < 1e-6
    np.testing.assert_allclose(style[0.25] - style[0.0], (style[1.0] - style[0.0]) / 4, atol=1e-6)


@pytest.mark.parametrize('kind', gan.MODELS)
def test_pictures_differ_by_their_noise_from_the_start(kind):
    cfg = config('gan', **{'model.kind': kind})
    noise = jax.random.normal(jax.random.key(1), (32, cfg.model.latent))
    made = jax.jit(lambda key: gan.from_noise(cfg, gan.init(cfg, key).ema, noise))(jax.random.key(0))
    assert np.std(made, 0).mean() > 0.5 * np.std(made)


def test_the_classic_generator_makes_a_picture_the_same_alone_and_in_a_batch():
    """So batch norm uses what it has seen in training, which a step changes."""
    small = {'model': {'kind': 'classic', 'latent': 8, 'width': 4}, 'loss': {'r1': 0.0, 'r2': 0.0}}
    cfg = config('gan', **small)
    state = jax.jit(lambda key: gan.init(cfg, key))(jax.random.key(0)).replace(horizon=jnp.int32(cfg.steps))
    after, _ = jax.jit(lambda state, batch: gan.step(cfg, state, batch))(state, batch_of(cfg, fill=30))
    before, seen = (jax.tree.leaves(s.ema['batch_stats']) for s in (state, after))
    assert all((a != b).any() for a, b in zip(before, seen))
    noise = jax.random.normal(jax.random.key(1), (4, 8))
    together, alone = gan.from_noise(cfg, after.ema, noise), gan.from_noise(cfg, after.ema, noise[:1])
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)
    assert together.shape == (4, 32, 32, 3)


# Diffusion


@pytest.fixture(scope='module')
def denoising():
    """(cfg, params) of the smoke diffusion model, moved a little: at the start it ignores everything."""
    cfg = config('diffusion')
    params = jax.jit(lambda key: diffusion.init(cfg, key).params)(jax.random.key(0))
    rng = np.random.default_rng(0)
    return cfg, jax.tree.map(lambda x: x + rng.normal(0, 0.05, x.shape).astype(np.float32), params)


def test_guidance_goes_from_the_guess_without_labels_to_that_with_them_and_beyond(denoising):
    cfg, params = denoising
    x = jax.random.normal(jax.random.key(0), (2, 32, 32, 3)) * 0.3
    labels = jnp.array([[1.0, 0.0], [-1.0, 1.0]])
    guess = {g: diffusion.denoiser(cfg, params, labels, g)(x, 500) for g in (0.0, 0.5, 1.0)}
    untold = diffusion.denoiser(cfg, params)(x, 500)
    np.testing.assert_allclose(guess[0.0], untold, atol=1e-5)
    assert float(jnp.abs(guess[1.0] - untold).max()) > 1e-3
    np.testing.assert_allclose(guess[0.5], (guess[1.0] + untold) / 2, atol=1e-5)
    assert float(jnp.abs(guess[1.0]).max()) <= 1


def test_labels_that_are_not_known_are_not_looked_at(denoising):
    cfg, params = denoising
    state = jax.jit(lambda key: diffusion.init(cfg, key))(jax.random.key(0))
    state = state.replace(params=params, horizon=jnp.int32(cfg.steps))
    compiled = jax.jit(lambda state, batch: diffusion.step(cfg, state, batch)[1]['error'])
    step = lambda batch: compiled(state, batch)
    batch = batch_of(cfg)
    unknown = batch | {'known': 0 * batch['known']}
    other = unknown | {'label': 0 * batch['label']}
    assert float(step(unknown)) == float(step(other)) != float(step(batch))

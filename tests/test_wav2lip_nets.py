"""Wav2Lip's nets of other sizes: their files, what is refused, and the losses of sync."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_golden_wav2lip import module_of

from dfjax.errors import InputError
from dfjax.losses.sync import binary_cross_entropy, contrastive, likeness
from dfjax.models.syncnet import SyncNet
from dfjax.models.wav2lip import Discriminator, Generator
from dfjax.weights.layers import compare, convert, expected
from dfjax.weights.wav2lip import NETS

AUDIO = {'widths': (2, 3, 4, 5, 6), 'blocks': (1, 0, 2, 1)}
RNG = np.random.default_rng(0)


def sizes_of(net: str, **parts) -> dict:
    return {f'{net}.{k}': list(v) if isinstance(v, tuple) else v for k, v in parts.items()}


SMALL = sizes_of('g', encoder=(2, 3, 4, 5, 7), encoder_blocks=(1, 0, 2, 1), decoder=(6, 5, 4, 3, 2))
SMALL |= sizes_of('g', decoder_blocks=(0, 1, 2, 0), last=3, outputs=3)
SMALL |= {f'g.audio.{k}': list(v) for k, v in AUDIO.items()} | {'g.audio.code': 8, 'size': 32}
SYNC = {f'sync.audio.{k}': list(v) for k, v in AUDIO.items()}
SYNC |= {'sync.face.widths': [4, 5, 6], 'sync.face.blocks': [0, 2, 1], 'sync.code': 8, 'frames': 7}


def arguments(net: str, sizes: dict) -> list[np.ndarray]:
    mel = RNG.normal(size=(2, 80, 16, 1)).astype(np.float32)
    if net == 'g':
        return [mel, RNG.uniform(size=(2, sizes['size'], sizes['size'], 6)).astype(np.float32)]
    if net == 'sync':
        return [mel, RNG.uniform(size=(2, 24, 48, 3 * sizes['frames'])).astype(np.float32)]
    return [RNG.uniform(size=(2, 3, 48, 48, 3)).astype(np.float32)]


@pytest.mark.parametrize(
    ('net', 'sizes'),
    [
        ('g', SMALL),
        ('g', SMALL | {'g.encoder': [2, 3, 4, 7], 'g.encoder_blocks': [0, 1, 1], 'size': 12}
         | {'g.decoder': [6, 5, 4, 3], 'g.decoder_blocks': [1, 0, 1]}),
        ('sync', SYNC),
        ('d', {'d.widths': [2, 3, 4, 5, 6, 7]}),
    ],
)  # fmt: skip
def test_a_file_of_another_geometry_is_read(net, sizes):
    module, model = module_of(net, sizes)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *arguments(net, sizes))
    names = expected(NETS[net].layers(model), shapes).values()
    weights = {name: RNG.uniform(0.5, 1.5, shape).astype(np.float32) for name, _, shape in names}
    found = NETS[net].sizes(weights)
    assert found == sizes
    module, model = module_of(net, found)
    table = NETS[net].layers(model)
    assert compare(weights, table, shapes) == []
    jax.eval_shape(module.apply, convert(weights, table, shapes), *arguments(net, sizes))
    weights.pop(next(iter(weights)))
    assert 'missing' in '\n'.join(compare(weights, table, shapes))


@pytest.mark.parametrize(('side', 'halvings'), [(96, 5), (192, 6), (256, 6), (64, 5)])
def test_faces_come_out_as_large_as_they_went_in(side, halvings):
    widths = (2,) * (halvings + 2)
    net = Generator(widths, (0,) * (halvings + 1), widths, (0,) * (halvings + 1))
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 80, 16, 1), (1, side, side, 6))]
    assert jax.eval_shape(net.init_with_output, jax.random.key(0), *arrays)[0].shape == (1, side, side, 3)


def test_what_does_not_fit_is_refused():
    start = lambda net, *shapes: jax.eval_shape(net.init, jax.random.key(0), *map(jnp.zeros, shapes))
    with pytest.raises(InputError, match='faces of 80x80 do not fit'):
        start(Generator(), (1, 80, 16, 1), (1, 80, 80, 6))
    with pytest.raises(InputError, match='2 rows are left'):
        start(SyncNet(), (1, 80, 16, 1), (1, 32, 64, 15))
    with pytest.raises(InputError, match='needs 96 pixels a side'):
        start(Discriminator(), (1, 64, 64, 3))


def test_contrastive_is_low_for_partners_and_blind_to_silence():
    x = RNG.normal(size=(6, 16))
    x = jnp.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), jnp.float32)
    loss, right = contrastive(x, x, 0.05, smoothing=0.0)
    assert float(loss) < 0.05 and float(right) == pytest.approx(1)
    wrong, none = contrastive(x, jnp.roll(x, 1, 0), 0.05, smoothing=0.0)
    assert float(wrong) > 5 and float(none) == 0
    nothing, _ = contrastive(jnp.ones((6, 1)), jnp.ones((6, 1)), 0.1)
    assert float(nothing) == pytest.approx(np.log(6), abs=1e-5)
    silent = x.at[2].set(-x[2])
    heard = jnp.ones(6).at[2].set(0.0)
    assert float(contrastive(silent, x, 0.05, heard)[1]) == pytest.approx(1)
    np.testing.assert_allclose(likeness(x, x), 1, atol=1e-5)


def test_cross_entropy_is_finite_where_a_probability_is_0_or_1():
    p = jnp.array([0.0, 1.0, 0.5])
    assert float(binary_cross_entropy(p, jnp.array([0.0, 1.0, 1.0]))) == pytest.approx(np.log(2) / 3, abs=1e-6)
    assert float(binary_cross_entropy(p[:1], 1.0)) == pytest.approx(100)
    assert np.isfinite(jax.grad(lambda p: binary_cross_entropy(p, 1.0))(p)).all()

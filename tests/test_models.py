"""Nets: shapes, sizes, reach, computation type."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.models import autoencoder
from dfjax.models.patchgan import PatchGAN
from dfjax.systems import faceswap


def shapes(net, *args):
    """Outputs and parameters of a net as shapes, without computing them."""
    out, variables = jax.eval_shape(lambda: net.init_with_output(jax.random.key(0), *args))
    return out, variables['params']


def count(params) -> int:
    return sum(x.size for x in jax.tree.leaves(params))


def autoencoder_shapes(plan: dict, side: int):
    code, encoder = shapes(autoencoder.Encoder(**plan['encoder']), jnp.zeros((2, side, side, 3)))
    (picture, mask), decoder = shapes(autoencoder.Decoder(**plan['decoder']), jnp.zeros(code.shape))
    return code, picture, mask, encoder, decoder


def test_original_is_the_first_face_swapper():
    code, picture, mask, encoder, decoder = autoencoder_shapes(autoencoder.ORIGINAL, 64)
    assert code.shape == (2, 8, 8, 512)
    assert picture.shape == (2, 64, 64, 3) and mask.shape == (2, 64, 64, 1)
    assert count(encoder) + 2 * count(decoder) == 82_062_470
    kernels = [x.shape for x in jax.tree.leaves(encoder) if x.ndim == 4]
    assert kernels == [(5, 5, 3, 128), (5, 5, 128, 256), (5, 5, 256, 512), (5, 5, 512, 1024), (3, 3, 1024, 2048)]


def test_light_reads_and_writes_the_sizes_of_the_default_config_with_few_parameters():
    cfg = faceswap.default_config()
    size = cfg.data.size
    _, picture, mask, encoder, decoder = autoencoder_shapes(cfg.model, cfg.input_size)
    assert picture.shape == (2, size, size, 3) and mask.shape == (2, size, size, 1)
    assert count(encoder) + 2 * count(decoder) < 10e6


@pytest.fixture(scope='module')
def decoded():
    """The light decoder on codes of huge values."""
    net = autoencoder.Decoder([8, 8], 1, 4, 3, True)
    code = 100 * jax.random.normal(jax.random.key(1), (2, 4, 4, 8))
    return jax.jit(lambda: net.init_with_output(jax.random.key(0), code)[0])()


def test_decoder_stays_in_range(decoded):
    picture, mask = decoded
    assert picture.shape == (2, 64, 64, 3) and mask.shape == (2, 64, 64, 1)
    assert -1 <= picture.min() < -0.5 and 0.5 < picture.max() <= 1  # and uses it
    assert mask.min() >= 0 and mask.max() <= 1


def test_landmarks_move_the_code():
    """The encoder listens to what it is told, and can do without."""
    encoder = autoencoder.Encoder(2, [4], 3, 4, [2, 4], 0)
    x = jnp.ones((2, 8, 8, 3))
    offsets = jnp.zeros((2, 68, 2)).at[1].set(-0.25)  # told two things of the same picture
    codes = jax.jit(lambda: encoder.init_with_output(jax.random.key(0), x, offsets)[0])()
    assert jnp.abs(codes[0] - codes[1]).max() > 1e-3
    assert shapes(encoder, x)[0].shape == codes.shape


@pytest.mark.parametrize('layers, patch, side', [(3, 70, 30), (2, 34, 62)])
def test_a_patchgan_logit_sees_its_patch_and_no_more(layers, patch, side):
    net = PatchGAN(width=4, layers=layers, norm='none')
    x = jax.random.normal(jax.random.key(1), (1, 256, 256, 3))
    out, _ = shapes(net, x)
    assert out.shape == (1, side, side, 1)

    def seen():
        params = net.init(jax.random.key(0), x)
        middle = side // 2
        return jax.grad(lambda x: net.apply(params, x)[0, middle, middle, 0])(x)

    rows = np.flatnonzero(np.abs(jax.jit(seen)()).sum((0, 2, 3)))
    assert rows.max() - rows.min() + 1 == patch


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_computation_type_leaves_parameters_and_outputs_float32(dtype):
    light = faceswap.default_config().model
    encoder = autoencoder.Encoder(**light.encoder, dtype=dtype)
    code, params = shapes(encoder, jnp.zeros((1, 64, 64, 3)))
    assert code.dtype == dtype
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype('float32')}
    out, _ = shapes(autoencoder.Decoder(**light.decoder, dtype=dtype), jnp.zeros(code.shape, dtype))
    assert {x.dtype for x in out} == {jnp.dtype('float32')}
    assert shapes(PatchGAN(dtype=dtype), jnp.zeros((1, 64, 64, 3)))[0].dtype == jnp.float32

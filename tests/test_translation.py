"""The nets of pix2pix, CycleGAN and StarGAN and their losses, where a closed form says what they must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.losses.adversarial import wgan_gp
from dfjax.losses.labels import binary_cross_entropy
from dfjax.models import stargan
from dfjax.models.norm import InstanceNorm
from dfjax.models.patchgan import PatchGAN
from dfjax.models.resnet import ResNet
from dfjax.models.unet import UNet
from dfjax.systems import pix2pix


def shapes(module, *arguments):
    return jax.eval_shape(module.init_with_output, jax.random.key(0), *arguments)


def drawn(module, x):
    """Variables without `init`, which a CPU takes long to compile."""
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda a: jnp.float32(abs(rng.normal(0.5, 0.3, a.shape))), shapes(module, x)[1])


# Normalisation


@pytest.mark.parametrize('mean, deviation', [(0, 1), (1000, 0.01), (0, 1e-4)])
def test_instance_norm_uses_each_pictures_own_numbers(mean, deviation):
    x = np.random.default_rng(0).normal(mean, deviation, (2, 5, 7, 3)).astype(np.float32)
    exact = x.astype(np.float64)
    exact = exact - exact.mean((1, 2), keepdims=True)
    exact = exact / np.sqrt((exact**2).mean((1, 2), keepdims=True) + 1e-5)
    found = np.asarray(InstanceNorm().apply({}, x))
    np.testing.assert_allclose(found, exact, atol=0.03 if mean else 1e-5)  # E[x^2] - E[x]^2 would be off by 8
    affine = {'params': {'scale': jnp.array([1.0, 2, 3]), 'bias': jnp.array([4.0, 5, 6])}}
    np.testing.assert_allclose(InstanceNorm(affine=True).apply(affine, x), found * [1, 2, 3] + [4.0, 5, 6], atol=1e-5)


def test_batch_norm_averages_while_training_only():
    net = PatchGAN(width=2, layers=1, norm='batch')
    x = 1 + np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype(np.float32)
    variables = drawn(net, x)
    _, moved = net.apply(variables, x, train=True, mutable=['batch_stats'])
    before, after = (v['batch_stats']['norm_1'] for v in (variables, moved))
    assert not np.allclose(before['mean'], after['mean'])
    one = net.apply(variables, x[:1])
    np.testing.assert_allclose(net.apply(variables, x)[:1], one, rtol=1e-5)  # no picture sees another


def test_dropout_is_of_training_alone():
    net = ResNet(width=2, blocks=1, dropout=0.5)
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
    variables = drawn(net, x)
    plain = jax.jit(net.apply)(variables, x)
    noisy = jax.jit(lambda key: net.apply(variables, x, train=True, rngs={'dropout': key}))
    one, two = noisy(jax.random.key(1)), noisy(jax.random.key(2))
    assert float(abs(one - two).max()) > 1e-4
    assert float(abs(one - plain).max()) > 1e-4


# Sizes and types


@pytest.mark.parametrize('side', [(8, 8), (12, 20)])
def test_generators_keep_the_side(side):
    x = jnp.zeros((1, *side, 3))
    assert shapes(ResNet(width=2, blocks=1), x)[0].shape == x.shape
    assert shapes(stargan.Generator(labels=2, width=2, blocks=1), x, jnp.zeros((1, 2)))[0].shape == x.shape
    assert shapes(UNet(width=2, depth=2), x)[0].shape == x.shape


@pytest.mark.parametrize(
    'module, side, line',
    [
        (ResNet(), 7, '7x7 are too small for a residual generator; it needs 8'),
        (UNet(), 128, '128x128 do not fit a U-Net of depth 8; their sides have to be multiples of 256'),
        (PatchGAN(), 23, '23x23 are too small for a patch discriminator of 3 layers; it needs 24'),
        (stargan.Discriminator(), 64, '64x64 were given to a discriminator of 128x128'),
        (stargan.Discriminator(size=32), 32, '32 pixels are too small for 6 layers'),
        (PatchGAN(norm='group'), 64, "norm 'group' does not exist; there are: instance, affine, batch, none"),
    ],
)
def test_what_does_not_fit_is_one_line(module, side, line):
    with pytest.raises(InputError, match=line):
        shapes(module, jnp.zeros((1, side, side, 3)))


def test_the_smallest_pictures_are_the_ones_stated():
    for layers in (1, 2, 3, 4):
        side = 3 * 2**layers
        assert shapes(PatchGAN(width=2, layers=layers), jnp.zeros((1, side, side, 3)))[0].shape == (1, 1, 1, 1)


def test_unknown_words():
    with pytest.raises(InputError, match=r"'model\.g\.kind' is one of unet, resnet, light, not 'vit'"):
        build(pix2pix.default_config(), {'model.g.kind': 'vit'})
    with pytest.raises(InputError, match='3 labels were given to a generator of 5'):
        shapes(stargan.Generator(), jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 3)))


# Losses


def test_gradient_penalty_of_a_plane_and_of_a_constant():
    slope = np.random.default_rng(0).normal(size=(4, 4, 3))
    real, fake = (np.random.default_rng(i).normal(size=(2, 4, 4, 3)) for i in (1, 2))
    alpha = np.array([0.2, 0.9]).reshape(2, 1, 1, 1)
    plane = lambda x: (x * slope).sum((1, 2, 3))
    truth = (np.linalg.norm(slope) - 1) ** 2
    assert np.isclose(wgan_gp(plane, real, fake, alpha), truth, rtol=1e-5)
    # At the middle points only: the gradient of half the squared norm is the point itself.
    points = alpha * real + (1 - alpha) * fake
    truth = np.mean((np.sqrt((points**2).sum((1, 2, 3))) - 1) ** 2)
    assert np.isclose(wgan_gp(lambda x: (x**2).sum((1, 2, 3)) / 2, real, fake, alpha), truth, rtol=1e-5)
    # Where the critic is flat the penalty is 1, and its own gradient finite.
    value, grad = jax.value_and_grad(lambda w: wgan_gp(lambda x: w * x.sum((1, 2, 3)), real, fake, alpha))(0.0)
    assert value == 1 and np.isfinite(grad)


def test_classification_losses():
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 30.0, -30.0]])
    labels = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    p = 1 / (1 + np.exp(-logits))
    each = -(labels * np.log(p) + (1 - labels) * np.log1p(-np.minimum(p, 1 - 1e-16)))
    logits, labels = np.float32(logits), np.float32(labels)
    assert np.isclose(binary_cross_entropy(logits, labels), each.sum() / 2, rtol=1e-5)
    known = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert np.isclose(binary_cross_entropy(logits, labels, known), (each * known).sum() / 2, rtol=1e-5)

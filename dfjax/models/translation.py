"""The nets of pix2pix, CycleGAN and StarGAN, as the `model` section of a config says them.

    MODELS['stargan']                 the section, with the original's sizes
    nets('stargan', cfg.model)        the modules by name: 'g', 'd'; CycleGAN has 'g_ab', 'g_ba', 'd_a', 'd_b'
    example('stargan', cfg.model, 'd')    shapes that the net can be initialised with

Keys, and what the originals call them:

    g.kind       'unet' or 'resnet': netG; or 'light'             g.dropout    rate: 0.5, or 0 for no_dropout
    g.width      ngf, conv_dim                                    g.blocks     residual blocks: n_blocks, repeat_num
    g.depth      halvings of a U-Net: num_downs                   g.norm, d.norm    norm: 'instance' or 'batch'
    g.labels, d.labels    c_dim                                   d.width, d.layers ndf and n_layers, repeat_num
    size         of StarGAN's pictures: image_size                inputs, outputs   channels: input_nc, output_nc

A kind of generator reads the keys that are its own: `depth` is the U-Net's, `blocks` the others'. 'light' is for two
CPU cores, see `light.py`; StarGAN has 'resnet' and 'light'.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models import stargan
from dfjax.models.light import LightGenerator
from dfjax.models.patchgan import PatchGAN
from dfjax.models.resnet import ResNet
from dfjax.models.unet import UNet

MODELS = {
    'pix2pix': dict(
        inputs=3,
        outputs=3,
        g=dict(kind='unet', width=64, depth=8, blocks=9, norm='batch', dropout=0.5),
        d=dict(width=64, layers=3, norm='batch'),
    ),
    'cyclegan': dict(
        inputs=3,  # of pictures a
        outputs=3,  # of pictures b
        g=dict(kind='resnet', width=64, depth=8, blocks=9, norm='instance', dropout=0.0),
        d=dict(width=64, layers=3, norm='instance'),
    ),
    'stargan': dict(
        size=128,
        g=dict(kind='resnet', labels=5, width=64, blocks=6),
        d=dict(labels=5, width=64, layers=6),
    ),
}


def nets(system: str, model: Mapping, dtype: jnp.dtype = jnp.float32) -> dict[str, nn.Module]:
    """The Linen modules of a system by their names in `State.params`.

    Args:
        model: of the form of `MODELS[system]`.
        dtype: computation type.

    Raises:
        InputError: if a generator's kind does not exist.
    """
    if system == 'stargan':
        return {
            'g': stargan.Generator(**model['g'], dtype=dtype),
            'd': stargan.Discriminator(size=model['size'], **model['d'], dtype=dtype),
        }
    critic = PatchGAN(**model['d'], dtype=dtype)
    if system == 'pix2pix':
        return {'g': _generator(model['g'], model['outputs'], dtype), 'd': critic}
    there, back = (_generator(model['g'], model[key], dtype) for key in ('outputs', 'inputs'))
    return {'g_ab': there, 'g_ba': back, 'd_a': critic, 'd_b': critic}


def example(system: str, model: Mapping, net: str) -> tuple[tuple[int, ...], ...]:
    """The shapes of a net's arguments, for one picture of a side that it takes."""
    if system == 'stargan':
        picture = (1, model['size'], model['size'], 3)
        return (picture, (1, model['g']['labels'])) if net == 'g' else (picture,)
    a, b = model['inputs'], model['outputs']
    channels = {'g': a, 'd': a + b, 'g_ab': a, 'g_ba': b, 'd_a': a, 'd_b': b}[net]
    if net.startswith('d'):
        side = 3 * 2 ** model['d']['layers']
    else:
        side = 2 ** model['g']['depth'] if model['g']['kind'] == 'unet' else 8
    return ((1, side, side, channels),)


def _generator(g: Mapping, outputs: int, dtype: jnp.dtype) -> nn.Module:
    shared = dict(width=g['width'], norm=g['norm'], outputs=outputs, dropout=g['dropout'], dtype=dtype)
    if g['kind'] == 'unet':
        return UNet(depth=g['depth'], **shared)
    if g['kind'] == 'resnet':
        return ResNet(blocks=g['blocks'], **shared)
    if g['kind'] == 'light':
        return LightGenerator(blocks=g['blocks'], **shared)
    raise InputError(f"config key 'model.g.kind' is 'unet', 'resnet' or 'light', not {g['kind']!r}")


def sized(model: Mapping, size: int) -> dict:
    """The section with the residual blocks that pictures of `size` are best made with where `g.blocks` is 0.

    Six, and nine from 256 pixels on (Zhu et al. 2017, appendix 7.2).
    """
    blocks = model['g']['blocks'] or (9 if size >= 256 else 6)
    return {**model, 'g': {**model['g'], 'blocks': blocks}}


def multiple(system: str, model: Mapping) -> int:
    """What the sides of a generator's pictures are to be divided by, so that they come out as they went in."""
    if system != 'stargan' and model['g']['kind'] == 'unet':
        return 2 ** model['g']['depth']
    return 4

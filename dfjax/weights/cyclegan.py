"""CycleGAN's nets, as its checkpoints name them; `dfjax import` says which of its files is which of ours."""

from dfjax.weights.pix2pix import (
    assumed,
    config,
    discriminator,
    discriminator_sizes,
    generator,
    generator_sizes,
    prepare,
    prepare_discriminator,
)
from dfjax.weights.reader import Reader

__all__ = ['NETS', 'assumed', 'config']

NETS = {
    'g_ab': Reader(generator_sizes('inputs', 'outputs'), generator, prepare),
    'g_ba': Reader(generator_sizes('outputs', 'inputs'), generator, prepare),
    'd_a': Reader(discriminator_sizes('inputs'), discriminator, prepare_discriminator),
    'd_b': Reader(discriminator_sizes('outputs'), discriminator, prepare_discriminator),
}

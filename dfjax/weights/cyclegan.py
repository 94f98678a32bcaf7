"""CycleGAN's nets, as its checkpoints name them; `dfjax import` says which of its files is which of ours."""

from dfjax.weights.pix2pix import config, discriminator, discriminator_sizes, generator, generator_sizes
from dfjax.weights.reader import Reader

__all__ = ['NETS', 'config']

NETS = {
    'g_ab': Reader(generator_sizes('inputs', 'outputs'), generator),
    'g_ba': Reader(generator_sizes('outputs', 'inputs'), generator),
    'd_a': Reader(discriminator_sizes('inputs'), discriminator),
    'd_b': Reader(discriminator_sizes('outputs'), discriminator),
}

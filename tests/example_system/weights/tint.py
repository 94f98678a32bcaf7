"""Tint's net, as a PyTorch program with one `nn.Conv2d` called `colour` saves it."""

from dfjax.weights.layers import conv
from dfjax.weights.reader import Reader, Weights, side


def sizes(weights: Weights) -> dict:
    """What the shapes say of `cfg.model`."""
    return {'kernel': side(weights, 'colour.weight', 2, 1)}


NETS = {'g': Reader(sizes, lambda model: {'colour': conv('colour')})}

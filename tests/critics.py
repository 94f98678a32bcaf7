"""Discriminators of the originals by their names and shapes, and weights drawn for them. It is not a test."""

import numpy as np


def drawn(shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {name: rng.normal(size=shape).astype(np.float32) * 0.3 for name, shape in shapes.items()}


def critic(inputs: int = 3, width: int = 4, layers: int = 2) -> dict[str, tuple]:
    """Names and shapes of a patch discriminator with instance norm."""
    shapes = {'model.0.weight': (width, inputs, 4, 4), 'model.0.bias': (width,)}
    c = width
    for i in range(1, layers + 1):
        wider = width * min(2**i, 8)
        shapes |= {f'model.{3 * i - 1}.weight': (wider, c, 4, 4), f'model.{3 * i - 1}.bias': (wider,)}
        c = wider
    last = 3 * layers + 2
    return shapes | {f'model.{last}.weight': (1, c, 4, 4), f'model.{last}.bias': (1,)}


def star_critic(size: int = 12, width: int = 4, labels: int = 2, layers: int = 2) -> dict[str, tuple]:
    shapes, c = {}, 3
    for i in range(layers):
        shapes |= {f'main.{2 * i}.weight': (width * 2**i, c, 4, 4), f'main.{2 * i}.bias': (width * 2**i,)}
        c = width * 2**i
    side = size // 2**layers
    return shapes | {'conv1.weight': (1, c, 3, 3), 'conv2.weight': (labels, c, side, side)}

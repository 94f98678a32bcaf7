"""The convolutions of VGG-19 (Simonyan & Zisserman 2015), for their features: layers 'conv1_1' to 'conv5_1'.

    features(weights, pictures, ['conv1_1', 'conv4_2'])

The weights are the user's, read by `weights.vgg`.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dfjax.errors import InputError

LAYERS = {  # name: channels in and out, of those that are used; a block ends with a pooling
    **{'conv1_1': (3, 64), 'conv1_2': (64, 64)},
    **{'conv2_1': (64, 128), 'conv2_2': (128, 128)},
    **{'conv3_1': (128, 256), 'conv3_2': (256, 256), 'conv3_3': (256, 256), 'conv3_4': (256, 256)},
    **{'conv4_1': (256, 512), 'conv4_2': (512, 512), 'conv4_3': (512, 512), 'conv4_4': (512, 512)},
    **{'conv5_1': (512, 512)},
}
TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)  # what they are in its `features`
STYLE = ('conv1_1', 'conv2_1', 'conv3_1', 'conv4_1', 'conv5_1')  # Gatys et al. 2016, section 2
CONTENT = ('conv4_2',)
LEAST = 32  # pixels a side for textures: two are left after four poolings
SMALLEST = 16  # pixels a side: one is left
MEAN, DEVIATION = (
    np.float32([0.485, 0.456, 0.406]),
    np.float32([0.229, 0.224, 0.225]),
)  # torchvision's, of RGB in [0, 1]
Weights = Mapping[str, Mapping[str, jax.Array]]


def features(weights: Weights, pictures: jax.Array, names: Sequence[str]) -> list[jax.Array]:
    """Layers after their ReLU: [B, h, w, C] each, in the order of `names`.

    Args:
        weights: {'conv1_1': {'kernel': [3, 3, I, O], 'bias': [O]}, ...}; 'conv1_1' may have the 'mean' [3] of RGB in
            [0, 1] that its net takes off, else it is torchvision's.
        pictures: [B, H, W, 3] in [-1, 1].
        names: of `LAYERS`.

    Raises:
        InputError: if a side is less than SMALLEST.
    """
    h, w = pictures.shape[1:3]
    if min(h, w) < SMALLEST:
        raise InputError(f'pictures of {w}x{h} are too small for VGG-19; it needs {SMALLEST} pixels a side')
    x, found, block = (pictures * 0.5 + 0.5 - weights['conv1_1'].get('mean', MEAN)) / DEVIATION, {}, '1'
    last = max(names)
    for name in LAYERS:
        if name[4] != block:
            x, block = _pooled(x), name[4]
        kernel, bias = (jnp.asarray(weights[name][leaf]) for leaf in ('kernel', 'bias'))
        x = lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')) + bias
        x = found[name] = jax.nn.relu(x)
        if name == last:
            return [found[name] for name in names]
    raise ValueError(f'no layer {last}; there are: {", ".join(LAYERS)}')


def _pooled(x: jax.Array) -> jax.Array:
    """The largest of every 2x2: [B, H, W, C] -> [B, H // 2, W // 2, C]."""
    b, h, w, c = x.shape  # by reshaping: the gradient of a window's maximum is slow on a CPU
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).max((2, 4))

"""dlib's face descriptor (King 2017): a residual net of 29 convolutions that tells people apart, differentiable here.

    module = Descriptor()
    codes = module.apply({'params': read_descriptor(path)}, chips)      weights.dlib; [B, 128]

Descriptors of one person's faces are less than 0.6 apart. A net that is used as a loss is no measure of what it made.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.conv import Conv

SIDE = 150  # pixels of a chip: a face cut out by `data.faces.identity.face_chip`
MEAN = np.float32([122.782, 117.001, 104.298])  # taken off RGB in [0, 255], before a division by 256
LEVELS = ((32, 3), (64, 4), (128, 3), (256, 3), (256, 1))  # channels, residual blocks; all but the first halve the side
CODE = 128


class Descriptor(nn.Module):
    """Chips [B, 150, 150, 3] in [-1, 1] -> descriptors [B, 128].

    dlib's scale and shift of each channel, which follow every convolution, are a part of its kernel and bias here.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv = lambda width, size, stride, pad, name: Conv(width, size, stride, pad=pad, dtype=self.dtype, name=name)
        x = (x * 127.5 + 127.5 - MEAN) / 256
        x = nn.relu(conv(LEVELS[0][0], 7, 2, 'none', 'first')(x))  # [B, 72, 72, 32]
        x = nn.max_pool(x, (3, 3), (2, 2))  # [B, 35, 35, 32]
        for level, (width, blocks) in enumerate(LEVELS):
            for block in range(blocks):
                name, halves = f'level_{level}_{block}', level > 0 and block == 0
                first = conv(width, 3, 2, 'none', f'{name}a') if halves else conv(width, 3, 1, 'zeros', f'{name}a')
                y = conv(width, 3, 1, 'zeros', f'{name}b')(nn.relu(first(x)))
                x = nn.relu(_sum(y, nn.avg_pool(x, (2, 2), (2, 2)) if halves else x))
        return nn.Dense(CODE, use_bias=False, name='code')(x.mean((1, 2)).astype(jnp.float32))


def _sum(x: jax.Array, y: jax.Array) -> jax.Array:
    """x + y; where one is smaller, zeros are put right of it, below it and after its channels."""
    shape = np.maximum(x.shape, y.shape)
    x, y = (jnp.pad(z, [(0, int(n - m)) for n, m in zip(shape, z.shape)]) for z in (x, y))
    return x + y

"""The patch discriminator (Isola et al. 2017, appendix 6.1.2)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.models.conv import Conv


class PatchGAN(nn.Module):
    """[B, H, W, C] -> logits [B, h, w, 1], one a patch: 70 x 70 pixels with three layers.

    Attributes:
        width: channels of the first convolution; doubled up to eight times.
        layers: convolutions of stride 2; two of stride 1 follow.
        norm: instance normalisation (without parameters) between them.
    """

    width: int = 64
    layers: int = 3
    norm: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.leaky_relu(Conv(self.width, 4, 2, dtype=self.dtype)(x), 0.2)
        for i in range(1, self.layers + 1):
            stride = 2 if i < self.layers else 1
            x = Conv(self.width * min(2**i, 8), 4, stride, use_bias=not self.norm, dtype=self.dtype)(x)
            if self.norm:
                x = nn.InstanceNorm(epsilon=1e-5, use_bias=False, use_scale=False, dtype=self.dtype)(x)
            x = nn.leaky_relu(x, 0.2)
        return Conv(1, 4, dtype=self.dtype)(x).astype(jnp.float32)

"""The nets of First Order Motion Model (Siarohin et al. 2019): keypoints, and the generator that moves a picture.

Pictures are [B, H, W, C] in [0, 1]. Points [B, K, 2] and grids are (x, y) in [-1, 1], see `ops.motion`. A point's
jacobian [B, K, 2, 2] says how its surroundings are bent, against a reference frame that the two pictures share.

What the motion is computed with is float32 at full precision whatever `dtype` is: in bfloat16 a grid has 8 bits.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.hourglass import INIT, DownBlock, Hourglass, ResBlock, SameBlock, UpBlock
from dfjax.ops.exact import einsum
from dfjax.ops.motion import coordinate_grid, gaussians, inverse, product, sample, shrink, stretch

IDENTITY = np.eye(2, dtype=np.float32)


class KeypointDetector(nn.Module):
    """Pictures -> keypoints, value [B, K, 2] and jacobian [B, K, 2, 2] (the identity where none is estimated).

    Attributes:
        keypoints: K.
        width, max_width, blocks: of the hourglass.
        scale: of the picture that it sees, 1 over a whole number.
        pad: zeros around the last convolutions' picture; without any, points stay 3 pixels off its rim.
        temperature: of the softmax over places.
        jacobian: whether jacobians are estimated.
        single_jacobian_map: whether all points share one map of them.
        bias: see `hourglass.SameBlock`.
    """

    keypoints: int = 10
    width: int = 32
    max_width: int = 1024
    blocks: int = 5
    scale: float = 0.25
    pad: int = 0
    temperature: float = 0.1
    jacobian: bool = True
    single_jacobian_map: bool = False
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        x = shrink(x, self.scale)
        x = Hourglass(self.width, self.max_width, self.blocks, self.bias, self.dtype, name='hourglass')(x, train)
        if self.pad:
            x = jnp.pad(x, ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0)))
        if min(x.shape[1:3]) < 8:
            raise InputError(f'keypoints are sought in {x.shape[2]}x{x.shape[1]} pixels; give larger pictures')
        options = {'pad': 'none', 'dtype': self.dtype}
        logits = Conv(self.keypoints, 7, kernel_init=INIT, name='value', **options)(x)  # [B, h, w, K]
        b, h, w, k = logits.shape
        heat = jax.nn.softmax(logits.astype(jnp.float32).reshape(b, h * w, k) / self.temperature, axis=1)
        grid = coordinate_grid(h, w).reshape(h * w, 2)
        value = einsum('bpk,pd->bkd', heat, grid)
        if not self.jacobian:
            return value, jnp.broadcast_to(IDENTITY, (b, k, 2, 2))
        maps = 1 if self.single_jacobian_map else k
        start = lambda key, shape, dtype=jnp.float32: jnp.tile(jnp.asarray(IDENTITY.reshape(4), dtype), maps)
        zeros = nn.initializers.zeros_init()
        bent = Conv(4 * maps, 7, kernel_init=zeros, bias_init=start, name='jacobian', **options)(x)
        bent = bent.astype(jnp.float32).reshape(b, h * w, maps, 4)
        bent = jnp.broadcast_to(bent, (b, h * w, k, 4))
        return value, einsum('bpk,bpkj->bkj', heat, bent).reshape(b, k, 2, 2)


class DenseMotion(nn.Module):
    """A picture and two sets of keypoints -> where every pixel of the other picture lies in it.

    Attributes:
        width, max_width, blocks: of the hourglass.
        scale: of the picture that it sees.
        occlusion: whether it says what is hidden in the picture.
        align_corners: see `ops.motion.sample`.
        bias: see `hourglass.SameBlock`.
    """

    width: int = 64
    max_width: int = 1024
    blocks: int = 5
    scale: float = 0.25
    occlusion: bool = True
    align_corners: bool = True
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        source: jax.Array,
        source_value: jax.Array,
        source_jacobian: jax.Array,
        driving_value: jax.Array,
        driving_jacobian: jax.Array,
        train: bool = False,
    ) -> dict[str, jax.Array]:
        """Arrays at the scale: 'deformation' [B, h, w, 2], 'mask' [B, h, w, K + 1], which motion counts where,
        'occlusion_map' [B, h, w, 1], 0 where the source has nothing, and 'sparse_deformed' [B, K + 1, h, w, C]."""
        source = shrink(source, self.scale)
        b, h, w, c = source.shape
        motions = sparse_motions(h, w, source_value, source_jacobian, driving_value, driving_jacobian)
        k = motions.shape[1]
        deformed = sample(source, motions.reshape(b, k * h, w, 2), self.align_corners).reshape(b, k, h, w, c)
        heat = gaussians(driving_value, h, w) - gaussians(source_value, h, w)  # [B, h, w, K]
        heat = jnp.pad(heat, ((0, 0), (0, 0), (0, 0), (1, 0)))  # the background has none
        x = jnp.concatenate([heat[..., None], deformed.transpose(0, 2, 3, 1, 4)], -1).reshape(b, h, w, k * (c + 1))
        x = Hourglass(self.width, self.max_width, self.blocks, self.bias, self.dtype, name='hourglass')(x, train)
        last = lambda features, name: Conv(features, 7, dtype=self.dtype, kernel_init=INIT, name=name)(x)
        mask = jax.nn.softmax(last(k, 'mask').astype(jnp.float32), -1)
        if self.occlusion:
            shown = nn.sigmoid(last(1, 'occlusion').astype(jnp.float32))
        else:
            shown = jnp.ones((b, h, w, 1))
        deformation = (mask.transpose(0, 3, 1, 2)[..., None] * motions).sum(1)
        return {'deformation': deformation, 'mask': mask, 'occlusion_map': shown, 'sparse_deformed': deformed}


def sparse_motions(
    h: int,
    w: int,
    source_value: jax.Array,
    source_jacobian: jax.Array,
    driving_value: jax.Array,
    driving_jacobian: jax.Array,
) -> jax.Array:
    """Where each pixel of a driving picture lies in the source, by each keypoint alone: [B, K + 1, H, W, 2].

    The first is the background, which stays. The others are first-order expansions around the keypoints (eq. 4).
    """
    grid = coordinate_grid(h, w)
    away = grid - driving_value[:, :, None, None]  # [B, K, H, W, 2]
    bend = product(source_jacobian, inverse(driving_jacobian))  # [B, K, 2, 2]
    moved = (bend[:, :, None, None] * away[..., None, :]).sum(-1) + source_value[:, :, None, None]
    background = jnp.broadcast_to(grid, (moved.shape[0], 1, h, w, 2))
    return jnp.concatenate([background, moved], 1)


class Generator(nn.Module):
    """The source as it is when its keypoints move to the driving ones: `OUTPUTS`, in that order.

    Attributes:
        width: channels after the first convolution.
        max_width: the most there are.
        downs: halvings; sides are multiples of 2^downs.
        blocks: residual blocks.
        outputs: channels of the picture.
        motion: `DenseMotion`'s attributes.
        align_corners: see `ops.motion.sample`.
        bias: see `hourglass.SameBlock`.
    """

    OUTPUTS = ('prediction', 'deformed', 'occlusion_map', 'mask', 'deformation')

    width: int = 64
    max_width: int = 512
    downs: int = 2
    blocks: int = 6
    outputs: int = 3
    motion: dict | None = None
    align_corners: bool = True
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        source: jax.Array,
        source_value: jax.Array,
        source_jacobian: jax.Array,
        driving_value: jax.Array,
        driving_jacobian: jax.Array,
        train: bool = False,
    ) -> tuple[jax.Array, ...]:
        options = {'bias': self.bias, 'dtype': self.dtype}
        features = [min(self.max_width, self.width * 2**i) for i in range(self.downs + 1)]
        x = SameBlock(self.width, 7, name='first', **options)(source, train)
        for i in range(self.downs):
            x = DownBlock(features[i + 1], name=f'down_{i}', **options)(x, train)

        motion = DenseMotion(**(self.motion or {}), align_corners=self.align_corners, name='motion', **options)
        motion = motion(source, source_value, source_jacobian, driving_value, driving_jacobian, train)
        self.sow('intermediates', 'sparse_deformed', motion['sparse_deformed'])
        deform = lambda x: sample(x, stretch(motion['deformation'], *x.shape[1:3]), self.align_corners)
        x = deform(x.astype(jnp.float32)) * stretch(motion['occlusion_map'], *x.shape[1:3])
        x = x.astype(self.dtype)

        for i in range(self.blocks):
            x = ResBlock(name=f'block_{i}', **options)(x, train)
        for i in range(self.downs):
            x = UpBlock(features[self.downs - 1 - i], name=f'up_{i}', **options)(x, train)
        x = Conv(self.outputs, 7, dtype=self.dtype, kernel_init=INIT, name='last')(x)
        found = {'prediction': nn.sigmoid(x.astype(jnp.float32)), 'deformed': deform(source)} | motion
        return tuple(found[name] for name in self.OUTPUTS)

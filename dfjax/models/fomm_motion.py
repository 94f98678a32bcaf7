"""Where every pixel of a driving picture lies in the source: First Order Motion Model's dense motion, and past it
splines in place of affine maps, a background that moves, and several occlusion maps (Zhao & Zhang 2022).

Coordinates are those of `ops.motion`. All of it is float32 at full precision whatever `dtype` is: in bfloat16 a grid
has 8 bits.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.models.conv import Conv
from dfjax.models.hourglass import INIT, DownBlock, Hourglass
from dfjax.ops.motion import coordinate_grid, gaussians, inverse, product, sample, shrink
from dfjax.ops.splines import spline

STILL = np.eye(2, 3, dtype=np.float32)  # the affine map of a background that stays
LEFT_OUT = -1e9  # logit of a motion that is


class DenseMotion(nn.Module):
    """A picture and two sets of keypoints -> where every pixel of the other picture lies in it.

    Attributes:
        width, max_width, blocks: of the hourglass.
        scale: of the picture that it sees.
        occlusion: whether it says what is hidden in the picture.
        masks: maps of that.
        points: keypoints that each thin-plate spline goes through; 0: every keypoint has an affine map of its own.
        align_corners: see `ops.motion.sample`.
        bias: see `hourglass.SameBlock`.
    """

    width: int = 64
    max_width: int = 1024
    blocks: int = 5
    scale: float = 0.25
    occlusion: bool = True
    masks: int = 1
    points: int = 0
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
        background: jax.Array | None = None,
        kept: jax.Array | None = None,
        train: bool = False,
    ) -> dict[str, jax.Array]:
        """Arrays at the scale, of M motions: 'deformation' [B, h, w, 2], 'mask' [B, h, w, M], which motion counts
        where, 'occlusion_map' [B, h, w, masks], 0 where the source has nothing, 'sparse_deformed' [B, M, h, w, C].

        Args:
            background: affine maps [B, 2, 3] of its coordinates to the source's; none: it stays.
            kept: bool [B, M], which motions are to be mixed; none: all.
        """
        source = shrink(source, self.scale)
        b, h, w, c = source.shape
        here, there = (source_value, source_jacobian), (driving_value, driving_jacobian)
        motions = sparse_motions(h, w, *here, *there, self.points, background)
        k = motions.shape[1]
        deformed = sample(source, motions.reshape(b, k * h, w, 2), self.align_corners).reshape(b, k, h, w, c)
        heat = gaussians(driving_value, h, w) - gaussians(source_value, h, w)  # [B, h, w, K]
        seen = deformed.transpose(0, 2, 3, 1, 4)  # [B, h, w, M, C]
        if self.points:
            x = jnp.concatenate([heat, seen.reshape(b, h, w, k * c)], -1)
        else:
            heat = jnp.pad(heat, ((0, 0), (0, 0), (0, 0), (1, 0)))  # the background has none
            x = jnp.concatenate([heat[..., None], seen], -1).reshape(b, h, w, k * (c + 1))
        x = Hourglass(self.width, self.max_width, self.blocks, self.bias, self.dtype, name='hourglass')(x, train)
        last = lambda features, name: Conv(features, 7, dtype=self.dtype, kernel_init=INIT, name=name)(x)
        logits = last(k, 'mask').astype(jnp.float32)
        mask = jax.nn.softmax(logits if kept is None else jnp.where(kept[:, None, None], logits, LEFT_OUT), -1)
        if self.occlusion:
            shown = nn.sigmoid(last(self.masks, 'occlusion').astype(jnp.float32))
        else:
            shown = jnp.ones((b, h, w, self.masks))
        deformation = (mask.transpose(0, 3, 1, 2)[..., None] * motions).sum(1)
        return {'deformation': deformation, 'mask': mask, 'occlusion_map': shown, 'sparse_deformed': deformed}


def sparse_motions(
    h: int,
    w: int,
    source_value: jax.Array,
    source_jacobian: jax.Array,
    driving_value: jax.Array,
    driving_jacobian: jax.Array,
    points: int = 0,
    background: jax.Array | None = None,
) -> jax.Array:
    """Where each pixel of a driving picture lies in the source, by each motion alone: [B, M, H, W, 2].

    The first is the background's. The others are first-order expansions around the keypoints (eq. 4), or splines
    through `points` of them each. Arguments are as `DenseMotion` has them.
    """
    grid = coordinate_grid(h, w)
    if background is None:
        behind = jnp.broadcast_to(grid, (driving_value.shape[0], h, w, 2))
    else:
        behind = (background[:, None, None, :, :2] * grid[..., None, :]).sum(-1) + background[:, None, None, :, 2]
    if points:
        source, driving = (x.reshape(x.shape[0], -1, points, 2) for x in (source_value, driving_value))
        moved = spline(driving, source, grid.reshape(-1, 2)).reshape(*driving.shape[:2], h, w, 2)
        return jnp.concatenate([behind[:, None], moved], 1)
    away = grid - driving_value[:, :, None, None]  # [B, K, H, W, 2]
    bend = product(source_jacobian, inverse(driving_jacobian))  # [B, K, 2, 2]
    moved = (bend[:, :, None, None] * away[..., None, :]).sum(-1) + source_value[:, :, None, None]
    return jnp.concatenate([behind[:, None], moved], 1)


class Background(nn.Module):
    """Source and driving pictures [B, H, W, C] -> the driving one's background in the source: affine maps [B, 2, 3] of
    its coordinates, at first the identity.

    Attributes:
        width, max_width, blocks: of the halvings, as an hourglass's.
        scale: of the pictures that it sees.
        bias: see `hourglass.SameBlock`.
    """

    width: int = 32
    max_width: int = 256
    blocks: int = 4
    scale: float = 0.25
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, source: jax.Array, driving: jax.Array, train: bool = False) -> jax.Array:
        x = jnp.concatenate([shrink(source, self.scale), shrink(driving, self.scale)], -1).astype(self.dtype)
        for i in range(self.blocks):
            features = min(self.max_width, self.width * 2**i)
            x = DownBlock(features, bias=self.bias, dtype=self.dtype, name=f'down_{i}')(x, train)
        zeros = nn.initializers.zeros_init()
        x = nn.Dense(6, kernel_init=zeros, name='last')(x.reshape(x.shape[0], -1).astype(jnp.float32))
        return STILL + x.reshape(-1, 2, 3)


def round_trip(there: jax.Array, back: jax.Array) -> jax.Array:
    """How far affine maps [B, 2, 3] are from undoing each other, the mean over the products' elements: a scalar."""
    row = jnp.broadcast_to(np.float32([[0, 0, 1]]), (there.shape[0], 1, 3))
    one, other = (jnp.concatenate([x, row], 1) for x in (there, back))
    return jnp.abs(product(one, other) - jnp.eye(3)).mean()


def left_motions(keys: jax.Array, share: jax.Array | float, count: int) -> jax.Array:
    """Which of `count` motions are left for pictures of keys [B] where a share is left out, and the background, which
    never is: bool [B, 1 + count]."""
    draw = lambda key: jax.random.bernoulli(jax.random.fold_in(key, 3), 1 - share, (count,))
    return jnp.pad(jax.vmap(draw)(keys), ((0, 0), (1, 0)), constant_values=True)

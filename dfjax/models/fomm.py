"""The nets of First Order Motion Model (Siarohin et al. 2019): keypoints, and the generator that moves a picture.

Pictures are [B, H, W, C] in [0, 1]. Points [B, K, 2] and grids are (x, y) in [-1, 1], see `ops.motion`. A point's
jacobian [B, K, 2, 2] says how its surroundings are bent, against a reference frame that the two pictures share.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.models.conv import Conv
from dfjax.models.fomm_motion import DenseMotion
from dfjax.models.hourglass import INIT, DownBlock, Hourglass, ResBlock, SameBlock, UpBlock
from dfjax.ops.exact import einsum
from dfjax.ops.motion import coordinate_grid, sample, shrink, stretch

IDENTITY = np.eye(2, dtype=np.float32)
LEAST_SCALE = 1 / 64  # the smallest that a net may see a picture at, a share of its side


def default_config() -> dict:
    """A config's section: the original's for VoxCeleb with a discriminator.

    What the original calls its keys: `keypoints` num_kp; `kp`, `g`, `g.motion`, `d` the nets, in which `width` is
    block_expansion, `max_width` max_features, `blocks` num_blocks (of g num_bottleneck_blocks), `downs`
    num_down_blocks, `scale` scale_factor, `occlusion` estimate_occlusion_map, `points` use_kp, `spectral` sn;
    `jacobian` estimate_jacobian. `align_corners`: on which grid pictures are looked up, see `ops.motion`. `bias`:
    whether convolutions have one before a norm, as the original's have.
    """
    hourglass = lambda width, blocks=5, most=1024: dict(
        width=r.size(width),
        max_width=r.size(most),
        blocks=r.count(blocks),
        scale=r.between(LEAST_SCALE, 1, 0.25),
    )
    return dict(
        keypoints=r.count(10, least=1),
        channels=r.size(3),  # channels of pictures
        align_corners=True,
        bias=True,
        kp=hourglass(32)
        | dict(pad=r.size(0, least=0), temperature=r.positive(0.1), jacobian=True, single_jacobian_map=False),
        g=dict(
            width=r.size(64),
            max_width=r.size(512),
            downs=r.count(2),
            blocks=r.count(6),
            skips=False,  # whether maps of every size go on to the decoder, moved and each under an occlusion map
            motion=hourglass(64)
            | dict(
                occlusion=True,
                points=r.count(0),  # keypoints of a thin-plate spline; 0: an affine map round every keypoint
            ),
        ),
        d=dict(
            scales=r.between(LEAST_SCALE, 1, [1.0]),
            width=r.size(32),
            max_width=r.size(512),
            blocks=r.count(4),
            points=True,  # whether it sees the keypoints
            spectral=False,  # whether its convolutions are divided by their spectral norms
        ),
        background=False,  # whether the background moves too, by an affine map that a net finds
        bg=hourglass(32, 4, 256),
    )


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


class Generator(nn.Module):
    """The source as it is when its keypoints move to the driving ones: `OUTPUTS`, in that order.

    Attributes:
        width: channels after the first convolution.
        max_width: the most there are.
        downs: halvings; sides are multiples of 2^downs.
        blocks: residual blocks.
        outputs: channels of the picture.
        skips: whether the source's maps of every size go on to the decoder beside what comes up, moved and under an
            occlusion map of that size, and the moved source itself under one into the picture.
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
    skips: bool = False
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
        background: jax.Array | None = None,
        kept: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, ...]:
        """See `DenseMotion`."""
        options = {'bias': self.bias, 'dtype': self.dtype}
        features = [min(self.max_width, self.width * 2**i) for i in range(self.downs + 1)]
        levels = [SameBlock(self.width, 7, name='first', **options)(source, train)]
        for i in range(self.downs):
            levels.append(DownBlock(features[i + 1], name=f'down_{i}', **options)(levels[-1], train))

        motion = dict(self.motion or {}) | {'masks': self.downs + 2 if self.skips else 1}
        motion = DenseMotion(**motion, align_corners=self.align_corners, name='motion', **options)
        points = source_value, source_jacobian, driving_value, driving_jacobian
        motion = motion(source, *points, background, kept, train)
        self.sow('intermediates', 'sparse_deformed', motion['sparse_deformed'])
        deform = lambda x: sample(
            x.astype(jnp.float32), stretch(motion['deformation'], *x.shape[1:3]), self.align_corners
        )
        shown = lambda x, i: stretch(motion['occlusion_map'][..., i : i + 1], *x.shape[1:3])  # the coarsest first
        x = levels.pop()
        x = (deform(x) * shown(x, 0)).astype(self.dtype)

        for i in range(self.blocks):
            x = ResBlock(name=f'block_{i}', **options)(x, train)
        for i in range(self.downs):
            x = UpBlock(features[self.downs - 1 - i], name=f'up_{i}', **options)(x, train)
            if self.skips:
                beside = levels.pop()
                x = jnp.concatenate([x, (deform(beside) * shown(beside, i + 1)).astype(self.dtype)], -1)
        x = Conv(self.outputs, 7, dtype=self.dtype, kernel_init=INIT, name='last')(x)
        x, moved = nn.sigmoid(x.astype(jnp.float32)), deform(source)
        if self.skips:
            x += shown(source, self.downs + 1) * (moved - x)
        found = {'prediction': x, 'deformed': moved} | motion
        return tuple(found[name] for name in self.OUTPUTS)

"""The face autoencoder that is told 68 landmarks: as coordinates in its code, and drawn, as its decoders paint.

Pictures are NHWC in [-1, 1], landmarks [B, 68, 2] in units of the side. `ORIGINAL` gives the 64-px network that Hegde's
deepfakes (2020) has: the first face swapper's, with 136 numbers of its code the landmarks, and a doubling more.
"""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dfjax import ranges as r
from dfjax.data.sets.conditions import LINES
from dfjax.errors import InputError
from dfjax.models import autoencoder
from dfjax.models.blocks import Upscale
from dfjax.models.conv import Conv
from dfjax.ops.image import pixel_shuffle, pooled

ORIGINAL = dict(
    encoder=dict(patch=1, widths=[128, 256, 512, 1024], kernel=5, latent=1024, grid=[4, 1024]),
    decoder=dict(widths=[512, 256, 128, 64], shuffle=1, kernel=5, mask=False),
    drawn=False,
)

COORDINATES = 2 * 68
PEN = 0.012  # standard deviation of a line's width, in sides of the picture
COLOURS = sorted({colour for _, _, colour in LINES})  # jaw, brows, nose, eyes, outer and inner lips have one each


def default_config() -> dict:
    """The section `model`: arguments of `Encoder` and `Decoder`, and whether decoders see landmarks drawn."""
    return dict(
        encoder=dict(
            patch=r.size(4), widths=r.size([96, 160, 256]), kernel=r.size(3), latent=r.size(128), grid=r.size([8, 128])
        ),
        decoder=dict(widths=r.size([96, 48]), shuffle=r.size(4), kernel=r.size(3), mask=True),
        drawn=True,  # whether decoders see landmarks as lines, beside their coordinates in the code
    )


def draw(landmarks: jax.Array, size: int) -> jax.Array:
    """Landmarks [B, 68, 2] as soft lines [B, size, size, colours]: 1 in the middle of a line, 0 away from it."""
    i = (jnp.arange(size) + 0.5) / size
    at = jnp.stack(jnp.meshgrid(i, i), -1)[:, :, None]  # [S, S, 1, 2]
    pictures = []
    for colour in COLOURS:
        ends = np.array([pair for places, closed, own in LINES if own == colour for pair in _pairs(places, closed)])
        start, end = (landmarks[:, None, None, ends[:, k]] for k in range(2))  # [B, 1, 1, N, 2]
        along, away = end - start, at - start  # [B, S, S, N, 2]
        share = (away * along).sum(-1) / jnp.maximum(jnp.square(along).sum(-1), 1e-12)
        nearest = away - jnp.clip(share, 0, 1)[..., None] * along
        pictures.append(jnp.exp(-0.5 * jnp.square(nearest).sum(-1).min(-1) / PEN**2))
    return jnp.stack(pictures, -1)


def _pairs(places: range, closed: bool) -> list[tuple[int, int]]:
    """The landmarks that each stretch of a line lies between."""
    return list(itertools.pairwise([*places, places[0]] if closed else places))


class Encoder(nn.Module):
    """[B, S, S, 3] and landmarks [B, 68, 2] -> [B, s, s, C], whose last 136 numbers are x and y of the landmarks.

    Attributes:
        patch, widths, kernel, latent: see `autoencoder.Encoder`.
        grid: s and C.

    Raises:
        InputError: if S is no multiple of `patch`, or the code is too small for landmarks.
    """

    patch: int
    widths: list[int]
    kernel: int
    latent: int
    grid: list[int]
    dtype: jnp.dtype = jnp.float32

    def room(self) -> int:
        """How many numbers of the code are the picture's."""
        if len(self.grid) != 2 or self.grid[0] ** 2 * self.grid[1] <= COORDINATES:
            raise InputError(
                'config key model.encoder.grid is a side and a number of channels, with more than '
                f'{COORDINATES} numbers in all, not {list(self.grid)}'
            )
        return self.grid[0] ** 2 * self.grid[1] - COORDINATES

    @nn.compact
    def __call__(self, x: jax.Array, landmarks: jax.Array) -> jax.Array:
        own = (self.patch, self.widths, self.kernel, self.latent, [1, self.room()], 0, self.dtype)
        seen = autoencoder.Encoder(*own, name='seen')(x).reshape(x.shape[0], -1)
        where = (2 * landmarks - 1).transpose(0, 2, 1).reshape(x.shape[0], -1)  # [B, 136], all x and then all y
        code = jnp.concatenate([seen.astype(jnp.float32), where], -1)
        return code.reshape(-1, self.grid[0], self.grid[0], self.grid[1])


class Decoder(nn.Module):
    """[B, s, s, C], and landmarks drawn on [B, T, T, colours] or None -> picture [B, S, S, 3] in [-1, 1] and mask
    [B, S, S, 1] in [0, 1], ones where there is none.

    Attributes:
        widths: channels after each doubling; T is the side after the last.
        shuffle: the last convolution writes pixels by depth to space of this factor.
        kernel: size of the last convolution.
        mask: whether a mask is predicted too.
    """

    widths: list[int]
    shuffle: int
    kernel: int
    mask: bool
    dtype: jnp.dtype = jnp.float32

    def drawn(self, code: int) -> int:
        """T, by the side of the codes."""
        return code * 2 ** len(self.widths)

    @nn.compact
    def __call__(self, x: jax.Array, drawn: jax.Array | None = None) -> tuple[jax.Array, jax.Array]:
        beside = lambda x: x if drawn is None else jnp.concatenate([x, pooled(drawn, x.shape[1]).astype(x.dtype)], -1)
        for width in self.widths:
            x = Upscale(width, self.dtype)(beside(x.astype(self.dtype)))
        x = Conv((3 + self.mask) * self.shuffle**2, self.kernel, dtype=self.dtype)(beside(x))
        x = pixel_shuffle(x, self.shuffle) if self.shuffle > 1 else x  # [B, S, S, 3 or 4]
        x = nn.sigmoid(x.astype(jnp.float32))
        return 2 * x[..., :3] - 1, x[..., 3:] if self.mask else jnp.ones_like(x[..., :1])

"""DeepFaceLab's AMP: an encoder to a code, an inter a person that unfolds it to a map, and one decoder of both.

Encoder and decoder are SAEHD's with the options u, d and t; see `models.saehd` for the order of numbers in a row.
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax import ranges as r
from dfjax.errors import InputError
from dfjax.models import saehd

STEP = 32  # sides of pictures are multiples of it: pixels a side of what a place of an inter's map makes


def default_config() -> dict:
    """A config's section: DeepFaceLab's sizes."""
    return dict(
        code=r.size(256),  # length of a code
        inter=r.size(1024),  # channels of an inter's map, which are mixed
        width=r.size(64),  # channels of the encoder's first map
        decoder_width=r.size(64),  # channels of the decoder's last map
        mask_width=r.size(22),  # channels of the mask's last map
    )


def check(size: int) -> None:
    """Raises InputError for pictures of a side that the nets cannot take."""
    if size % STEP or not saehd.SMALLEST <= size <= saehd.LARGEST:
        raise InputError(
            f'config key data.size is {saehd.SMALLEST} to {saehd.LARGEST} and a multiple of {STEP}, not {size}'
        )


def generator(model: Mapping, size: int, dtype: jnp.dtype) -> dict[str, nn.Module]:
    """The nets by name, of a section as `default_config` gives."""
    inter = Inter(size // STEP, model['inter'], dtype)
    decoder = saehd.Decoder(model['decoder_width'], model['mask_width'], 'dt', dtype)
    return {
        'encoder': Encoder(model['width'], model['code'], dtype),
        'inter_a': inter,
        'inter_b': inter,
        'decoder': decoder,
    }


class Encoder(nn.Module):
    """[B, S, S, 3] -> codes [B, code].

    Attributes:
        width: channels of the first map, which double up to eight times as many.
        code: length of a code.
    """

    width: int
    code: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        row = saehd.Encoder(self.width, 'ut', self.dtype, name='seen')(x)
        return nn.Dense(self.code, dtype=self.dtype, name='dense')(row).astype(jnp.float32)


class Inter(nn.Module):
    """Codes [B, code] -> [B, side, side, width]."""

    side: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, code: jax.Array) -> jax.Array:
        x = nn.Dense(self.side**2 * self.width, dtype=self.dtype, name='dense')(code)
        return x.reshape(-1, self.width, self.side, self.side).transpose(0, 2, 3, 1).astype(jnp.float32)

"""SyncNet as Wav2Lip has it (Chung & Zisserman 2016; Prajwal et al. 2020): mouths and their speech lie close together.

`FaceEncoder` and `AudioEncoder` are its halves; an embedding is of length 1, and never negative where `relu` is on.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from dfjax.errors import InputError
from dfjax.models.wav2lip import AudioEncoder, Block


class FaceEncoder(nn.Module):
    """Lower halves of the faces of T frames [B, S / 2, S, 3 T], a frame's channels together -> [B, h, w, code].

    Attributes:
        widths: channels at each halving, the first of which halves the width alone.
        blocks: residual blocks at each.
        code: channels out.
        relu: whether codes are never negative.
        bias: see `Block`.
    """

    widths: Sequence[int] = (32, 64, 128, 256, 512)
    blocks: Sequence[int] = (0, 2, 3, 2, 2)
    code: int = 512
    relu: bool = True
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        options = {'bias': self.bias, 'dtype': self.dtype}
        for i, (width, count) in enumerate(zip(self.widths, self.blocks)):
            if i == 1:  # the original's 5x5 has one row of zeros around, where two would keep the side
                x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
                x = Block(width, 5, (1, 2), 'none', name='down_1', **options)(x, train)
            else:
                x = Block(width, 3 if i else 7, 2 if i else 1, name=f'down_{i}', **options)(x, train)
            for j in range(count):
                x = Block(width, residual=True, name=f'block_{i}_{j}', **options)(x, train)
        x = Block(self.code, 3, 2, name='last', **options)(x, train)
        if min(x.shape[1:3]) < 3:
            raise InputError(
                f'faces are too small for a SyncNet of {len(self.widths)} sizes: {x.shape[1]} rows are left'
            )
        x = Block(self.code, pad='none', name='whole', **options)(x, train)
        return Block(self.code, 1, relu=self.relu, name='code', **options)(x, train)


class SyncNet(nn.Module):
    """Speech [B, 80, T, 1] and mouths (see `FaceEncoder`) -> the embeddings of both, [B, code] each.

    Attributes:
        face, audio: `FaceEncoder`'s attributes and `AudioEncoder`'s.
        code: length of an embedding.
        relu: whether embeddings are never negative (the original's).
        bias: see `Block`.
    """

    face: dict | None = None
    audio: dict | None = None
    code: int = 512
    relu: bool = True
    bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, mel: jax.Array, face: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        options = {'code': self.code, 'relu': self.relu, 'bias': self.bias, 'dtype': self.dtype}
        heard = AudioEncoder(**({'blocks': (2, 2, 2, 2)} | dict(self.audio or {})), name='audio', **options)(mel, train)
        seen = FaceEncoder(**(self.face or {}), name='face', **options)(face, train)
        return embedding(heard), embedding(seen)


def embedding(x: jax.Array) -> jax.Array:
    """The mean over places of [B, h, w, C], at length 1: [B, C]."""
    x = x.astype(jnp.float32).mean((1, 2))
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))

"""The nets of StarGAN, CycleGAN and pix2pix in NumPy alone, NCHW, float64, as PyTorch's definitions have them.

Written from the originals' layers, and sharing nothing with `dfjax`. Weights come to be as a net asks for them, by the
recipe of the golden files, so that a net of any size is a call:

    weights = Weights()
    y = unet(weights, x, outputs=2, width=4, depth=5, kind='instance')
    write_zip(path, weights.made)

It is not a test.
"""

import golden
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Weights:
    """Named arrays, drawn when they are asked for; `made` are those of a checkpoint, as float32."""

    def __init__(self, salt: str = 'another size'):
        self.salt, self.made = salt, {}

    def __call__(self, name: str, *shape: int, dtype: str = 'float32') -> np.ndarray:
        entry = {'name': name, 'shape': list(shape), 'dtype': dtype}
        self.made |= golden.recipe().make_state_dict({'salt': self.salt, 'gain': 1.0, 'state_dict': [entry]})
        return self.made[name].astype(np.float64)


# Layers


def slide(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Correlation of [B, I, H, W] with [O, I, k, k]."""
    windows = sliding_window_view(x, kernel.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum('bihwkl,oikl->bohw', windows, kernel, optimize=True)


def framed(x: np.ndarray, before: int, after: int | None = None, mode: str = 'constant') -> np.ndarray:
    side = (before, before if after is None else after)
    return np.pad(x, ((0, 0), (0, 0), side, side), mode)


def conv(w: Weights, name: str, x, out: int, k: int, stride: int = 1, pad: int = 0, bias: bool = True):
    y = slide(framed(x, pad), w(f'{name}.weight', out, x.shape[1], k, k), stride)
    return y + w(f'{name}.bias', out)[:, None, None] if bias else y


def up(w: Weights, name: str, x, out: int, k: int, pad: int, extra: int = 0, bias: bool = True):
    """A transposed convolution of stride 2: the gradient of the convolution, so the kernel is turned round."""
    kernel = w(f'{name}.weight', x.shape[1], out, k, k).transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    spread = np.zeros((*x.shape[:2], 2 * x.shape[2] - 1, 2 * x.shape[3] - 1))
    spread[:, :, ::2, ::2] = x
    y = slide(framed(spread, k - 1 - pad, k - 1 - pad + extra), kernel, 1)
    return y + w(f'{name}.bias', out)[:, None, None] if bias else y


def norm(w: Weights, name: str, x, kind: str):
    """'instance' has no weights; 'affine' is that of StarGAN, whose running averages do not count; 'batch'; 'none'.

    'kept' and 'running' are 'instance' with running averages in the file, which do not count, or do.
    """
    c = x.shape[1]
    if kind == 'none':
        return x
    mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    if kind in ('kept', 'running'):
        average, spread = (w(f'{name}.{part}', c)[:, None, None] for part in ('running_mean', 'running_var'))
        mean, var = (average, spread) if kind == 'running' else (mean, var)
    if kind in ('instance', 'kept', 'running'):
        return (x - mean) / np.sqrt(var + 1e-5)
    scale, shift, average, spread = (
        w(f'{name}.{part}', c)[:, None, None] for part in ('weight', 'bias', 'running_mean', 'running_var')
    )
    w(f'{name}.num_batches_tracked', dtype='int64')
    mean, var = (average, spread) if kind == 'batch' else (mean, var)
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def relu(x, slope: float = 0.0):
    return np.where(x > 0, x, slope * x)


# StarGAN


def star_generator(w: Weights, x, c, width: int, blocks: int):
    maps = np.broadcast_to(c[:, :, None, None], (*c.shape, *x.shape[2:]))
    layer = lambda h, at: norm(w, f'main.{at}', h, 'affine')
    h = relu(layer(conv(w, 'main.0', np.concatenate([x, maps], 1), width, 7, 1, 3, False), 1))
    for at in (3, 6):
        h = relu(layer(conv(w, f'main.{at}', h, 2 * h.shape[1], 4, 2, 1, False), at + 1))
    for i in range(9, 9 + blocks):
        inner = conv(w, f'main.{i}.main.0', h, h.shape[1], 3, 1, 1, False)
        inner = relu(layer(inner, f'{i}.main.1'))
        h = h + layer(conv(w, f'main.{i}.main.3', inner, h.shape[1], 3, 1, 1, False), f'{i}.main.4')
    for at in (9 + blocks, 12 + blocks):
        h = relu(layer(up(w, f'main.{at}', h, h.shape[1] // 2, 4, 1, 0, False), at + 1))
    return np.tanh(conv(w, f'main.{15 + blocks}', h, 3, 7, 1, 3, False))


def star_discriminator(w: Weights, x, width: int, labels: int, layers: int):
    h = x
    for i in range(layers):
        h = relu(conv(w, f'main.{2 * i}', h, width * 2**i, 4, 2, 1), 0.01)
    classes = conv(w, 'conv2', h, labels, h.shape[2], bias=False)[:, :, 0, 0]
    return conv(w, 'conv1', h, 1, 3, 1, 1, False), classes


# CycleGAN and pix2pix


def biased(kind: str) -> bool:
    """Whether the originals' convolutions before a normalisation have a bias."""
    return kind in ('instance', 'kept', 'running')


def enlarged(x: np.ndarray, kind: str) -> np.ndarray:
    """[B, C, H, W] -> [B, C, 2H, 2W] as nn.Upsample has it: 'nearest', or 'bilinear' without aligned corners."""
    for axis in (2, 3):
        n = x.shape[axis]
        at = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.floor(at).astype(int)
        share = np.expand_dims(at - low, tuple(range(1, 4 - axis)))
        if kind == 'nearest':
            x = x.take(np.arange(2 * n) // 2, axis)
        else:
            x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, n - 1), axis) * share
    return x


def resnet(w: Weights, x, outputs: int, width: int, kind: str, dropout: bool, blocks: int, pad='reflect', upsample=''):
    bias = biased(kind)
    around = lambda h: framed(h, 1, mode={'zeros': 'constant', 'replicate': 'edge'}.get(pad, pad))
    h = relu(norm(w, 'model.2', conv(w, 'model.1', framed(x, 3, mode='reflect'), width, 7, bias=bias), kind))
    for at in (4, 7):
        h = relu(norm(w, f'model.{at + 1}', conv(w, f'model.{at}', h, 2 * h.shape[1], 3, 2, 1, bias), kind))
    for i in range(10, 10 + blocks):
        name, layer = f'model.{i}.conv_block', int(pad != 'zeros')  # padding by zeros is no layer
        inner, first, second = h, layer, 2 * layer + 3 + dropout
        for at in (first, second):
            inner = conv(w, f'{name}.{at}', around(inner), h.shape[1], 3, bias=bias)
            inner = norm(w, f'{name}.{at + 1}', inner, kind)
            inner = relu(inner) if at == first else inner
        h = h + inner
    at = 10 + blocks
    for _ in range(2):
        half = h.shape[1] // 2
        if upsample:
            at += 2
            h = conv(w, f'model.{at}', framed(enlarged(h, upsample), 1, mode='reflect'), half, 3, bias=bias)
        else:
            h = up(w, f'model.{at}', h, half, 3, 1, 1, bias)
        h = relu(norm(w, f'model.{at + 1}', h, kind))
        at += 3
    return np.tanh(conv(w, f'model.{at + 1}', framed(h, 3, mode='reflect'), outputs, 7))


def unet(w: Weights, x, outputs: int, width: int, depth: int, kind: str, upsample=''):
    bias = biased(kind)

    def grown(h, at: str, place: int, out: int, bias: bool = True):
        """(twice as large, the place of what follows)."""
        if upsample:
            made = conv(w, f'{at}.{place + 2}', framed(enlarged(h, upsample), 1, mode='reflect'), out, 3, bias=bias)
            return made, f'{at}.{place + 3}'
        return up(w, f'{at}.{place}', h, out, 4, 1, 0, bias), f'{at}.{place + 1}'

    def level(h, at: str, k: int):
        """The block inside the k-th: the leaky ReLU is in place, so what is passed by has gone through it too."""
        h = relu(h, 0.2)
        inner, last = conv(w, f'{at}.model.1', h, width * min(2**k, 8), 4, 2, 1, bias), k == depth - 1
        if not last:
            inner = level(norm(w, f'{at}.model.2', inner, kind), f'{at}.model.3', k + 1)
        inner, after = grown(relu(inner), f'{at}.model', 3 if last else 5, h.shape[1], bias)
        return np.concatenate([h, norm(w, after, inner, kind)], 1)

    h = level(conv(w, 'model.model.0', x, width, 4, 2, 1, bias), 'model.model.1', 1)
    return np.tanh(grown(relu(h), 'model.model', 3, outputs)[0])


def pixel_discriminator(w: Weights, x, width: int, kind: str):
    h = relu(conv(w, 'net.0', x, width, 1), 0.2)
    h = relu(norm(w, 'net.3', conv(w, 'net.2', h, 2 * width, 1, bias=biased(kind)), kind), 0.2)
    return conv(w, 'net.5', h, 1, 1, bias=biased(kind))


def plain_discriminator(w: Weights, x, width: int, layers: int):
    """A patch discriminator without any layers between its convolutions, as those under spectral normalisation."""
    h = x
    for i in range(layers + 1):
        h = relu(conv(w, f'model.{2 * i}', h, width * min(2**i, 8), 4, 2 if i < layers else 1, 1), 0.2)
    return conv(w, f'model.{2 * layers + 2}', h, 1, 4, 1, 1)


def patch_discriminator(w: Weights, x, width: int, layers: int, kind: str):
    h = relu(conv(w, 'model.0', x, width, 4, 2, 1), 0.2)
    for i in range(1, layers + 1):
        stride = 2 if i < layers else 1
        h = conv(w, f'model.{3 * i - 1}', h, width * min(2**i, 8), 4, stride, 1, biased(kind))
        h = relu(norm(w, f'model.{3 * i}', h, kind), 0.2)
    return conv(w, f'model.{3 * layers + 2}', h, 1, 4, 1, 1)

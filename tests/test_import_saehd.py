"""DeepFaceLab's saved nets as a run: its conventions in NumPy alone, and files that are refused."""

import os
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from dfjax.apps.cli import main
from dfjax.errors import InputError
from dfjax.inference.run import load_run
from dfjax.weights.arrays import read_arrays

pytestmark = pytest.mark.whole

SIZE = 64


class Model:
    """A model of DeepFaceLab in float64: NHWC, kernels [k, k, I, O], BGR in [0, 1]. Arrays are drawn as they are asked
    for, and `nets` are what is saved of them."""

    def __init__(self, kind, options):
        self.kind, self.options, self.nets, self.rng = kind, options, {}, np.random.default_rng(0)

    def array(self, net, name, *shape):
        arrays = self.nets.setdefault(net, {})
        if name not in arrays:
            spread = 0.3 if 'bias' in name else np.sqrt(1.5 / np.prod(shape[:-1]))
            arrays[name] = (spread * self.rng.normal(size=shape)).astype(np.float32)
        return arrays[name].astype(np.float64)

    def act(self, x, slope):
        return x * np.cos(x) if 'c' in self.options else np.where(x > 0, x, slope * x)

    def conv(self, net, name, x, out, k, stride=1):
        x = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)))
        windows = sliding_window_view(x, (k, k), (1, 2))[:, ::stride, ::stride]  # [B, h, w, I, k, k]
        kernel = self.array(net, f'{name}/weight:0', k, k, x.shape[-1], out)
        return np.einsum('bhwikl,klio->bhwo', windows, kernel, optimize=True) + self.array(net, f'{name}/bias:0', out)

    def dense(self, net, name, x, out):
        return x @ self.array(net, f'{name}/weight:0', x.shape[-1], out) + self.array(net, f'{name}/bias:0', out)

    def residual(self, net, name, x):
        y = self.act(self.conv(net, f'{name}/conv1', x, x.shape[-1], 3), 0.2)
        return self.act(x + self.conv(net, f'{name}/conv2', y, x.shape[-1], 3), 0.2)

    def up(self, net, name, x, out):
        return shuffled(self.act(self.conv(net, f'{name}/conv1', x, 4 * out, 3), 0.1))

    def encoder(self, x, width):
        tall = 't' in self.options
        for i, times in enumerate((1, 2, 4, 8, 8) if tall else (1, 2, 4, 8)):
            name = f'down{i + 1}/conv1' if tall else f'down1/downs_{i}/conv1'
            x = self.act(self.conv('encoder', name, x, width * times, 5, 2), 0.1)
            if tall and i in (0, 4):
                x = self.residual('encoder', f'res{i + 1}', x)
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
        return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6) if 'u' in self.options else x

    def inter(self, net, x, code, out):
        side = SIZE // (32 if 'd' in self.options else 16)
        x = self.dense(net, 'dense2', self.dense(net, 'dense1', x, code), side * side * out)
        x = x.reshape(len(x), out, side, side).transpose(0, 2, 3, 1)
        return x if 't' in self.options else self.up(net, 'upscale1', x, out)

    def decoder(self, net, code, width, mask_width):
        x = mask = code
        widths = (8, 8, 4, 2) if 't' in self.options else (8, 4, 2)
        for i, times in enumerate(widths):
            x = self.residual(net, f'res{i}', self.up(net, f'upscale{i}', x, times * width))
        outs = [
            self.conv(net, f'out_conv{i or ""}', x, 3, 3 if i else 1) for i in range(4 if 'd' in self.options else 1)
        ]
        x = shuffled(np.concatenate(outs, -1)) if 'd' in self.options else outs[0]
        for i, times in enumerate((*widths, 1) if 'd' in self.options else widths):
            mask = self.up(net, f'upscalem{i}', mask, times * mask_width)
        sigmoid = lambda z: 1 / (1 + np.exp(-z))
        return sigmoid(x), sigmoid(self.conv(net, 'out_convm', mask, 1, 1))

    def swap(self, bgr):
        """What src's face is with dst's expression, and its mask; nets that this needs not are drawn too."""
        row = self.encoder(bgr, 2)
        if self.kind == 'df':
            code = self.inter('inter', row, 6, 6)
            self.decoder('decoder_dst', code, 3, 2)
            return self.decoder('decoder_src', code, 3, 2)
        shared = self.inter('inter_AB', row, 6, 12)
        self.inter('inter_B', row, 6, 12)
        return self.decoder('decoder', np.concatenate([shared, shared], -1), 3, 2)

    def save(self, folder):
        for net, arrays in self.nets.items():
            (folder / f'new_SAEHD_{net}.npy').write_bytes(pickle.dumps(arrays, 4))


def shuffled(x):
    """Channels (row, column, channel) to pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, c // 4)


@pytest.mark.parametrize(
    ('kind', 'options', 'said'), [('liae', 'ud', []), ('df', 'udtc', ['--cosine']), ('df', '', ['--no-normalised'])]
)
def test_an_imported_swap_is_the_originals(tmp_path, kind, options, said, capsys):
    model = Model(kind, options)
    rgb = np.random.default_rng(1).uniform(0, 1, (2, SIZE, SIZE, 3))
    face, mask = model.swap(rgb[..., ::-1])
    (tmp_path / 'model').mkdir()
    model.save(tmp_path / 'model')
    assert main(['import', 'saehd', str(tmp_path / 'model'), '-o', str(tmp_path / 'run'), *said]) == 0
    capsys.readouterr()
    run = load_run(tmp_path / 'run', can='swap')
    assert run.cfg.data.size == SIZE and run.cfg.model.kind == kind and set(run.cfg.model.options) == set(options)
    got, where = run.system.swap(run.cfg, run.params, run.frozen, jnp.float32(2 * rgb - 1), jnp.zeros((2, 68, 2)))
    assert face.std() > 0.02
    np.testing.assert_allclose((got + 1) / 2, face[..., ::-1], atol=2e-5)
    np.testing.assert_allclose(where, mask, atol=2e-5)


class Harmful:
    def __reduce__(self):
        return os.system, ('echo run',)


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (pickle.dumps({'a': Harmful()}), 'refused: it holds the global'),
        (pickle.dumps({'a': np.array([object()], object)}), 'refused'),
        (pickle.dumps({'a': np.zeros(3, '>f4')}), 'big-endian'),
        (pickle.dumps([np.zeros(3, np.float32)]), 'no arrays by name'),
        (pickle.dumps({'a': 3}), 'something that is not an array'),
        (pickle.dumps({'a': np.zeros((50, 50), np.float32)})[:5000], 'damaged'),
        (b'\x93NUMPY\x01\x00', 'one array of NumPy'),
        (b'', 'damaged'),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / 'x.npy'
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as refused:
        read_arrays(path)
    assert str(path) in str(refused.value) and '\n' not in str(refused.value)


def test_a_folder_without_nets_or_with_two_models_is_refused(tmp_path, capsys):
    assert main(['import', 'saehd', str(tmp_path), '-o', str(tmp_path / 'run')]) == 2
    assert 'there is no *_encoder.npy in it' in capsys.readouterr().err
    for name in 'ab':
        (tmp_path / f'{name}_SAEHD_encoder.npy').write_bytes(pickle.dumps({}))
    assert main(['import', 'saehd', str(tmp_path), '-o', str(tmp_path / 'run')]) == 2
    assert 'are of two models' in capsys.readouterr().err
    assert main(['import', 'stargan', str(tmp_path), '-o', str(tmp_path / 'run')]) == 2
    assert 'is a folder; give NET=FILE, NET being one of g, d' in capsys.readouterr().err

"""What pictures are compared by for style: the filter bank against OpenCV, VGG-19 against PyTorch, and its files."""

import json
import math

import cv2
import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate
from torch_files import write_zip
from untrained import smooth_picture

from dfjax.apps import cli
from dfjax.errors import InputError
from dfjax.inference.gatys import stylise
from dfjax.models import features, vgg
from dfjax.weights.vgg import BLOCKS, load, read_features

RNG = np.random.default_rng(0)


# The filter bank


def test_the_bank_is_what_opencv_correlates():
    picture = RNG.uniform(-1, 1, (1, 24, 33, 3)).astype(np.float32)
    style, content = features.bank(jnp.asarray(picture), 1)
    kernels = features.gratings().astype(np.float64)
    reflect = cv2.BORDER_REFLECT_101
    waves = [
        sum(cv2.filter2D(picture[0, ..., c].astype(np.float64), -1, k[..., c], borderType=reflect) for c in range(3))
        for k in np.moveaxis(kernels, -1, 0)
    ]
    first = np.concatenate([np.maximum(waves, 0), np.maximum(-np.array(waves), 0)])  # [62, H, W]
    np.testing.assert_allclose(np.moveaxis(style[0][0], -1, 0), first, atol=2e-6)
    small = cv2.resize(np.ascontiguousarray(np.moveaxis(first, 0, -1)[:, :32]), (16, 12), interpolation=cv2.INTER_AREA)
    for n in range(0, features.MIXED, 17):
        k = features.mixing()[..., n].astype(np.float64)
        mixed = sum(cv2.filter2D(small[..., c], -1, k[..., c], borderType=reflect) for c in range(k.shape[-1]))
        np.testing.assert_allclose(style[1][0, ..., n], np.maximum(mixed, 0), atol=5e-6)
    assert content[0] is style[1]


def test_an_octave_is_a_blur_and_every_other_pixel():
    picture = RNG.normal(size=(1, 20, 13, 3)).astype(np.float32)
    tap = np.array([1, 3, 3, 1]) / 8
    blurred = cv2.sepFilter2D(picture[0], cv2.CV_64F, tap, tap, anchor=(1, 1), borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(features.halved(jnp.asarray(picture))[0], blurred[:20:2, :12:2], atol=1e-6)


def test_gratings_have_no_mean_and_their_gains():
    kernels = features.gratings()[..., :-3].astype(np.float64)
    np.testing.assert_allclose(kernels.sum((0, 1)), 0, atol=1e-6)
    gains = np.repeat(features.GAINS, 2 * np.array(features.DIRECTIONS))
    np.testing.assert_allclose(np.sqrt((kernels**2).sum((0, 1, 2))), gains, rtol=1e-6)
    assert [features.octaves(side) for side in (16, 31, 32, 256)] == [1, 1, 2, 5]


# VGG-19


@pytest.fixture(scope='module')
def torchvision_file(tmp_path_factory):
    """Random weights under torchvision's names, and a part of the classifier."""
    rng, weights = np.random.default_rng(1), {}
    for n, (i, o) in zip(vgg.TORCHVISION, vgg.LAYERS.values()):
        weights[f'features.{n}.weight'] = rng.normal(size=(o, i, 3, 3), scale=math.sqrt(2 / (9 * i))).astype(np.float32)
        weights[f'features.{n}.bias'] = rng.normal(size=o, scale=0.1).astype(np.float32)
    for n in (30, 32, 34):  # those after conv5_1, which are not read
        weights[f'features.{n}.weight'] = np.zeros((512, 512, 3, 3), np.float16)
    weights['classifier.0.bias'] = np.zeros(4096, np.float32)
    path = tmp_path_factory.mktemp('vgg') / 'vgg19.pth'
    write_zip(path, weights)
    return path, weights


def test_vgg_gives_the_numbers_of_torch(torchvision_file):
    torch = pytest.importorskip('torch')
    path, weights = torchvision_file
    picture = RNG.uniform(-1, 1, (1, 48, 35, 3)).astype(np.float32)
    names = ('conv1_2', 'conv2_1', 'conv4_2', 'conv5_1')
    ours = jax.jit(lambda w, x: vgg.features(w, x, names))(read_features(path), picture)
    # torchvision.models.vgg19().features, written out: 'E' of its configurations.
    modules, channels = [], 3
    for c in (64, 64, 'M', 128, 128, 'M', 256, 256, 256, 256, 'M', 512, 512, 512, 512, 'M', 512):
        if c == 'M':
            modules.append(torch.nn.MaxPool2d(2, 2))
        else:
            modules += [torch.nn.Conv2d(channels, c, 3, padding=1), torch.nn.ReLU(inplace=False)]
            channels = c
    net = torch.nn.Sequential(*modules)
    net.load_state_dict({k.removeprefix('features.'): torch.tensor(weights[f'features.{k}']) for k in net.state_dict()})
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x = (torch.tensor(picture).permute(0, 3, 1, 2) / 2 + 0.5 - mean) / deviation
    found = {}
    with torch.no_grad():
        for n, module in enumerate(net):
            x = found[n] = module(x)
    for y, n in zip(ours, (3, 6, 22, 29)):  # the ReLUs after those convolutions
        theirs = found[n].permute(0, 2, 3, 1).numpy()
        assert y.shape == theirs.shape
        np.testing.assert_allclose(y, theirs, atol=2e-4 * np.abs(theirs).max())


def test_features_are_rewritten_for_training_and_used(torchvision_file, tmp_path, capsys):
    path, _ = torchvision_file
    assert cli.main(['stylize', '--features', str(path), '-o', str(tmp_path / 'vgg.npz'), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['layers'] == 13
    one, other = read_features(path), load(tmp_path / 'vgg.npz')
    jax.tree.map(np.testing.assert_array_equal, one, other)
    made, report = stylise(smooth_picture(32, 32), smooth_picture(32, 32, 1), size=32, steps=1, weights=other)
    assert made.shape == (32, 32, 3) and report['gram_after'] < report['gram_before']


def test_a_file_that_is_not_vgg_19_is_refused(torchvision_file, tmp_path):
    _, weights = torchvision_file
    less = {k: v for k, v in weights.items() if not k.startswith('features.28')}
    write_zip(tmp_path / 'less.pth', less)
    with pytest.raises(InputError, match=r'not VGG-19 as torchvision(.|\n)*features\.28\.weight'):
        read_features(tmp_path / 'less.pth')
    np.savez(tmp_path / 'other.npz', x=np.zeros(3))
    (tmp_path / 'damaged.npz').write_bytes(b'PK\x03\x04 and no more')
    for name in ('other.npz', 'damaged.npz'):
        with pytest.raises(InputError, match=f'{name}: not the features of VGG-19'):
            read_features(tmp_path / name)
    with pytest.raises(InputError, match='no such file'):
        read_features(tmp_path / 'none.npz')
    with pytest.raises(InputError, match='too small for VGG-19'):
        vgg.features({}, jnp.zeros((1, 15, 64, 3)), ['conv1_1'])


# Keras's files


LAYOUTS = {
    '2016': '{name}/{name}_{short}_1:0',
    'model': 'model_weights/{name}/{name}/{leaf}:0',
    'weights': '{name}/{name}/{leaf}',
    'version 3': 'layers/conv2d{count}/vars/{number}',
}


def write_keras(path, layout, first, second):
    """Two layers as given; those after them hold zeros, which take no room, and their number as bias."""
    names = [f'block{b}_conv{n + 1}' for b, count in enumerate(BLOCKS, 1) for n in range(count)]
    shapes = [*vgg.LAYERS.values(), (512, 512), (512, 512), (512, 512)]
    with h5py.File(path, 'w') as file:
        for n, (name, (i, o)) in enumerate(zip(names, shapes, strict=True)):
            for number, (leaf, shape) in enumerate({'kernel': (3, 3, i, o), 'bias': (o,)}.items()):
                count = f'_{n}' if n else ''
                key = LAYOUTS[layout].format(name=name, short='Wb'[number], leaf=leaf, number=number, count=count)
                data = {'data': (first, second)[n][number]} if n < 2 else {}
                file.create_dataset(key, shape, np.float32, fillvalue=n if number else 0, **data)
        file.create_dataset('optimizer_weights/block1_conv1/kernel', (3, 3, 3, 64), np.float32)
        file['dense/vars/0'] = np.zeros((7, 5), np.float32)


@pytest.fixture(scope='module')
def two_layers():
    rng = np.random.default_rng(2)
    layer = lambda i, o: (rng.normal(size=(3, 3, i, o)).astype(np.float32), rng.normal(size=o).astype(np.float32))
    return layer(3, 64), layer(64, 64)


@pytest.mark.parametrize('layout', LAYOUTS)
def test_vgg_of_keras_sees_what_keras_shows_it(layout, two_layers, tmp_path):
    write_keras(tmp_path / 'vgg.h5', layout, *two_layers)
    weights = read_features(tmp_path / 'vgg.h5')
    for n, name in enumerate(list(vgg.LAYERS)[2:], 2):
        assert weights[name]['bias'].shape == (vgg.LAYERS[name][1],) and (weights[name]['bias'] == n).all()
    picture = RNG.integers(0, 256, (1, 33, 40, 3), np.uint8)
    ours = vgg.features(weights, jnp.asarray(picture / 127.5 - 1, jnp.float32), ['conv1_1', 'conv1_2'])
    # keras.applications.vgg19.preprocess_input, and what lies beyond the rim is zero after it.
    x = picture[0, ..., ::-1].astype(np.float64) - [103.939, 116.779, 123.68]
    for y, (kernel, bias) in zip(ours, two_layers):
        x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        x = np.stack([correlate(x, kernel[..., o].astype(np.float64), 'valid')[..., 0] for o in range(64)], -1)
        x = np.maximum(x + bias, 0)
        np.testing.assert_allclose(y[0], x, atol=1e-5 * x.max())


def test_features_of_keras_are_rewritten_for_training(two_layers, tmp_path, capsys):
    write_keras(tmp_path / 'vgg.h5', 'weights', *two_layers)
    words = ['stylize', '--features', str(tmp_path / 'vgg.h5'), '-o', str(tmp_path / 'vgg.npz'), '--json']
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)['layers'] == 13
    one, other = read_features(tmp_path / 'vgg.h5'), load(tmp_path / 'vgg.npz')
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_file_of_keras_that_is_not_vgg_19_is_refused(two_layers, tmp_path):
    whole = tmp_path / 'vgg.h5'
    write_keras(whole, 'weights', *two_layers)
    for name, data in (('short', whole.read_bytes()[:9000]), ('other', b'no HDF5'), ('empty', b'')):
        (tmp_path / f'{name}.h5').write_bytes(data)
        with pytest.raises(InputError, match=rf'{name}\.h5: damaged, or not HDF5 \(.*\); copy it again') as error:
            read_features(tmp_path / f'{name}.h5')
        assert '\n' not in str(error.value)
    with h5py.File(whole, 'r+') as file:
        del file['block2_conv1/block2_conv1/kernel'], file['block5_conv1/block5_conv1/bias']
        file['block5_conv1/block5_conv1/bias'] = np.zeros(7, np.float32)
    with pytest.raises(
        InputError, match=r'not VGG-19 as Keras(.|\n)*block2_conv1/kernel: missing(.|\n)*bias: \(7,\), in'
    ):
        read_features(whole)
    write_keras(whole, 'weights', two_layers[0], (two_layers[1][0] * np.nan, two_layers[1][1]))
    with pytest.raises(InputError, match=r'vgg\.h5: layer conv1_2 holds numbers that are not finite'):
        read_features(whole)


def test_numbers_of_other_files_are_not_read(two_layers, tmp_path):
    """HDF5 has links to other files, and data sets whose numbers lie in any file."""
    write_keras(tmp_path / 'there.h5', 'weights', *two_layers)
    (tmp_path / 'secret').write_bytes(bytes(256))
    name = 'block1_conv1/block1_conv1/bias'
    for outside in (h5py.ExternalLink(str(tmp_path / 'there.h5'), name), None):
        write_keras(tmp_path / 'vgg.h5', 'weights', *two_layers)
        with h5py.File(tmp_path / 'vgg.h5', 'r+') as file:
            del file[name]
            if outside is not None:
                file[name] = outside
            else:
                file.create_dataset(name, (64,), np.float32, external=[(str(tmp_path / 'secret'), 0, 256)])
        with pytest.raises(InputError, match='block1_conv1/bias: missing'):
            read_features(tmp_path / 'vgg.h5')

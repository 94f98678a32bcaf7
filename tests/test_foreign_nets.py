"""The originals' nets by `dfjax import` and `dfjax apply`: the golden files, and sizes that are nobody's default."""

import json

import golden
import numpy as np
import numpy_nets as originals
import pytest
import torch_files as tf

from dfjax.apps.cli import main

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(4)


def through_both(folder, system: str, net: str, weights: dict, inputs: list[dict], write=tf.write_zip) -> list[dict]:
    """What `apply` writes for each of some inputs, after `import` of the weights; large files are removed."""
    path = write(folder / 'net.pth', weights)
    assert main(['import', system, f'{net}={path}', '-o', str(folder / 'run')]) == 0
    path.unlink()
    found = []
    for arrays in inputs:
        np.savez(folder / 'in.npz', **arrays)
        words = ['--run', str(folder / 'run'), '--net', net, '--input', str(folder / 'in.npz')]
        assert main(['apply', *words, '--output', str(folder / 'out.npz'), '--force']) == 0
        with np.load(folder / 'out.npz') as out:
            found.append(dict(out))
    (folder / 'run' / 'nets' / f'{net}.npz').unlink()
    return found


@pytest.mark.parametrize(
    'name, system, net',
    [
        ('stargan_generator', 'stargan', 'g'),
        ('stargan_discriminator', 'stargan', 'd'),
        ('cyclegan_generator', 'cyclegan', 'g_ba'),
        ('cyclegan_discriminator', 'cyclegan', 'd_a'),
        ('pix2pix_generator', 'pix2pix', 'g'),
        ('pix2pix_discriminator', 'pix2pix', 'd'),
    ],
)
def test_golden_files_through_both_verbs(name, system, net, tmp_path):
    arrays = golden.arrays(name)
    kinds = [key.removeprefix('in.x') for key in arrays if key.startswith('in.x')]
    inputs = []
    for kind in kinds:
        x = arrays[f'in.x{kind}']
        labels = {'c': arrays.get(f'in.c{kind}', arrays['in.c'])[: len(x)]} if 'in.c' in arrays else {}
        inputs.append({'x': x, **labels})
    for kind, found in zip(kinds, through_both(tmp_path, system, net, golden.weights(name), inputs)):
        assert set(found) == ({'out_src', 'out_cls'} if name == 'stargan_discriminator' else {'y'})
        for output, value in found.items():
            assert value.dtype == np.float32
            golden.check(name, f'{output}{kind}', value)


OTHERS = [  # system, net, function, shape of x, its arguments, what has to be found
    ('stargan', 'g', 'star_generator', (2, 3, 24, 32), dict(width=6, blocks=3), {'g.labels': 7, 'g.width': 6}),
    ('stargan', 'g', 'star_generator', (1, 3, 16, 16), dict(width=5, blocks=1), {'g.labels': 7, 'g.blocks': 1}),
    (
        'stargan',
        'd',
        'star_discriminator',
        (3, 3, 48, 48),
        dict(width=4, labels=9, layers=4),
        {'size': 48, 'd.labels': 9, 'd.layers': 4},
    ),
    (
        'cyclegan',
        'g_ba',
        'resnet',
        (2, 3, 20, 28),
        dict(outputs=3, width=6, kind='instance', dropout=False, blocks=2),
        {'g.blocks': 2, 'g.norm': 'instance', 'g.dropout': 0.0},
    ),
    (
        'cyclegan',
        'g_ab',
        'resnet',
        (2, 2, 12, 16),
        dict(outputs=1, width=4, kind='batch', dropout=True, blocks=4),
        {'g.blocks': 4, 'g.norm': 'batch', 'g.dropout': 0.5, 'inputs': 2, 'outputs': 1},
    ),
    ('cyclegan', 'd_b', 'patch_discriminator', (2, 1, 40, 44), dict(width=5, layers=2, kind='batch'), {'outputs': 1}),
    (
        'pix2pix',
        'g',
        'unet',
        (2, 4, 32, 64),
        dict(outputs=2, width=3, depth=5, kind='instance'),
        {'g.kind': 'unet', 'g.depth': 5, 'inputs': 4, 'outputs': 2},
    ),
    ('pix2pix', 'g', 'unet', (1, 3, 128, 128), dict(outputs=3, width=2, depth=7, kind='batch'), {'g.norm': 'batch'}),
    ('pix2pix', 'd', 'patch_discriminator', (1, 7, 64, 64), dict(width=4, layers=4, kind='instance'), {'d.layers': 4}),
]
WRITERS = (tf.write_zip, tf.write_older, tf.write_safetensors)


@pytest.mark.parametrize('n', range(len(OTHERS)), ids=[f'{net[0]}-{net[2]}-{n}' for n, net in enumerate(OTHERS)])
def test_other_sizes_against_numpy(n, tmp_path):
    system, net, function, shape, sizes, expected = OTHERS[n]
    x = RNG.uniform(-1, 1, shape).astype(np.float32)
    c = RNG.integers(0, 2, (shape[0], 7)).astype(np.float32)
    labels = [c] if function == 'star_generator' else []
    weights = originals.Weights()
    truth = getattr(originals, function)(weights, x, *labels, **sizes)
    arrays = {'x': x.transpose(0, 2, 3, 1), **({'c': c} if labels else {})}
    (found,) = through_both(tmp_path, system, net, weights.made, [arrays], WRITERS[n % 3])
    model = json.loads((tmp_path / 'run' / 'config.json').read_text())['model']
    for key, value in expected.items():
        section, _, last = key.rpartition('.')
        assert (model[section] if section else model)[last] == value, key
    truths = dict(zip(('out_src', 'out_cls'), truth)) if isinstance(truth, tuple) else {'y': truth}
    assert set(found) == set(truths)
    for name, value in truths.items():
        value = golden.nhwc(value)
        assert found[name].shape == value.shape and value.std() > 1e-3
        np.testing.assert_allclose(found[name], value, atol=1e-4 * value.std(), rtol=0)

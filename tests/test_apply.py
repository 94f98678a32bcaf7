"""`dfjax apply` on runs that `dfjax import` made of files written without PyTorch, and arrays that do not fit."""

import json
import shutil

import golden
import numpy as np
import pytest
import torch_files as tf
from critics import critic, drawn, star_critic

from dfjax.apps.cli import main
from dfjax.errors import InputError
from dfjax.inference.importing import import_run
from dfjax.inference.nets import apply_net, open_net
from dfjax.inference.run import load_run

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(5)


@pytest.fixture(scope='module')
def run_folder(tmp_path_factory):
    """A run of StarGAN's discriminator alone, of 12 pixels and two labels, and its file."""
    folder = tmp_path_factory.mktemp('import')
    weights = drawn(star_critic())
    path = tf.write_zip(folder / 'd.ckpt', weights)
    assert main(['import', 'stargan', f'd={path}', '-o', str(folder / 'run'), '--json']) == 0
    return folder


def arrays_file(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


def test_a_file_made_without_torch_through_both_verbs(run_folder, capsys):
    x = RNG.normal(size=(3, 12, 12, 3)).astype(np.float32)
    given = arrays_file(run_folder / 'in.npz', x=x)
    words = ['--run', str(run_folder / 'run'), '--net', 'd', '--input', given, '--output', str(run_folder / 'out.npz')]
    assert main(['apply', *words, '--json', '--force']) == 0
    assert json.loads(capsys.readouterr().out)['out_cls'] == '3,2'
    with np.load(run_folder / 'out.npz') as out:
        assert out['out_src'].shape == (3, 3, 3, 1)
        assert out['out_cls'].dtype == np.float32
    assert main(['apply', *words]) == 2  # the output exists
    assert '--force' in capsys.readouterr().err


@pytest.mark.parametrize('kind', ['zip', 'older', 'safetensors'])
def test_golden_weights_through_each_kind_of_file(kind, tmp_path, capsys):
    name = 'cyclegan_discriminator'
    writer = {'zip': tf.write_zip, 'older': tf.write_older, 'safetensors': tf.write_safetensors}[kind]
    path = writer(tmp_path / 'latest_net_D_A.pth', golden.weights(name))
    assert main(['import', 'cyclegan', f'd_b={path}', '-o', str(tmp_path / 'run')]) == 0
    given = arrays_file(tmp_path / 'in.npz', x=golden.arrays(name)['in.x'])
    words = ['--run', str(tmp_path / 'run'), '--net', 'd_b', '--input', given, '--output', str(tmp_path / 'out.npz')]
    assert main(['apply', *words]) == 0
    with np.load(tmp_path / 'out.npz') as out:
        golden.check(name, 'y', out['y'])


def test_other_precisions_are_cast(run_folder, tmp_path):
    x = RNG.normal(size=(2, 12, 12, 3))
    found = []
    for dtype in (np.float32, np.float64, np.float16):
        given = arrays_file(tmp_path / 'in.npz', x=x.astype(dtype))
        words = ['--run', str(run_folder / 'run'), '--net', 'd', '--input', given, '--output', str(tmp_path / 'o.npz')]
        assert main(['apply', *words, '--force']) == 0
        with np.load(tmp_path / 'o.npz') as out:
            found.append(out['out_cls'])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(found[0], found[2], atol=0.01 * np.abs(found[0]).max())


def test_nets_are_listed(run_folder, capsys):
    for words in ([], ['--net', 'd']):
        assert main(['apply', '--run', str(run_folder / 'run'), *words, '--json']) == 0
        assert json.loads(capsys.readouterr().out) == {'d': 'x float32 [B, 12, 12, 3] -> out_src, out_cls'}
    assert main(['apply', '--run', str(run_folder / 'run'), '--input', 'in.npz']) == 2
    assert 'give both --input and --output' in capsys.readouterr().err


def test_an_existing_run_is_kept_without_force(run_folder, tmp_path, capsys):
    shutil.copytree(run_folder / 'run', tmp_path / 'run')
    words = ['import', 'stargan', f'd={run_folder / "d.ckpt"}', '-o', str(tmp_path / 'run')]
    assert main(words) == 2
    assert '--force' in capsys.readouterr().err
    assert main([*words, '--force']) == 0


# What does not fit


@pytest.mark.parametrize(
    'arrays, net, line',
    [
        ({'y': (1, 12, 12, 3)}, 'd', "takes x; there is no array 'x', but y"),
        ({'x': (12, 12, 3)}, 'd', 'x has shape [12, 12, 3]; net'),
        ({'x': (1, 12, 12, 4)}, 'd', 'takes [B, 12, 12, 3]'),
        ({'x': (0, 12, 12, 3)}, 'd', 'takes [B, 12, 12, 3]'),
        ({'x': (1, 24, 24, 3)}, 'd', 'takes [B, 12, 12, 3]'),
        ({'x': (1, 12, 12, 3)}, 'g', "has no net 'g'; it has: d"),
    ],
)
def test_bad_arrays(run_folder, arrays, net, line, tmp_path, capsys):
    given = arrays_file(tmp_path / 'in.npz', **{k: np.zeros(s, np.float32) for k, s in arrays.items()})
    words = ['--run', str(run_folder / 'run'), '--net', net, '--input', given, '--output', str(tmp_path / 'out.npz')]
    assert main(['apply', *words]) == 2
    error = capsys.readouterr().err
    assert line in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / 'in.npz']


def test_bad_files_of_apply(run_folder, tmp_path, capsys):
    (tmp_path / 'text.npz').write_text('no arrays')
    np.save(tmp_path / 'one.npy', np.zeros(3))
    np.savez(tmp_path / 'objects.npz', x=np.array([{}], dtype=object))
    arrays_file(tmp_path / 'bytes.npz', x=np.zeros((1, 12, 12, 3), np.uint8))
    arrays_file(tmp_path / 'large.npz', x=np.full((1, 12, 12, 3), 1e300))
    for name, line in {
        'text.npz': 'not an .npz file of plain arrays, or damaged',
        'one.npy': 'not an .npz file of plain arrays',
        'objects.npz': 'it holds Python objects',
        'bytes.npz': 'divide pictures of 0..255 by 127.5 and take 1 off: they are in [-1, 1]',
        'large.npz': 'x holds numbers that are not finite, or too large for float32',
        'none.npz': 'no such file',
    }.items():
        words = ['--run', str(run_folder / 'run'), '--input', str(tmp_path / name), '--output', str(tmp_path / 'o.npz')]
        assert main(['apply', *words]) == 2
        error = capsys.readouterr().err
        assert f'{tmp_path / name}: ' in error and line in error and len(error.splitlines()) == 1
    assert main(['apply', *words[:-1], str(tmp_path / 'o.txt')]) == 2
    assert 'name it so' in capsys.readouterr().err


def test_damaged_runs(run_folder, tmp_path):
    for change, line in (('nets/d.npz', r'd\.npz: damaged'), ('config.json', r'config\.json: damaged')):
        folder = tmp_path / change[:3]
        shutil.copytree(run_folder / 'run', folder)
        (folder / change).write_bytes((folder / change).read_bytes()[:50])
        with pytest.raises(InputError, match=line):
            load_run(folder)


def test_sizes_too_small_for_a_net(tmp_path):
    import_run('cyclegan', {'d_a': tf.write_zip(tmp_path / 'd.pth', drawn(critic()))}, tmp_path / 'run')
    net = open_net(load_run(tmp_path / 'run'), None)
    with pytest.raises(InputError, match='11x11 are too small for a patch discriminator of 2 layers; it needs 12'):
        apply_net(net, {'x': np.zeros((1, 11, 11, 3), np.float32)})
    assert apply_net(net, {'x': np.zeros((9, 12, 12, 3), np.float32)})['y'].shape == (9, 1, 1, 1)

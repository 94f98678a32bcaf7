"""`dfjax import` and `dfjax apply`: the originals' nets at sizes that are nobody's default, and what does not fit."""

import json
import shutil

import golden
import jax
import numpy as np
import pytest
import torch_files as tf

from dfjax.apps.cli import build_parser, main
from dfjax.errors import InputError
from dfjax.inference.importing import import_run
from dfjax.inference.nets import apply_net, open_net
from dfjax.inference.run import load_run

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(5)


def drawn(shapes: dict[str, tuple]) -> dict[str, np.ndarray]:
    return {name: RNG.normal(size=shape).astype(np.float32) * 0.3 for name, shape in shapes.items()}


def critic(inputs: int = 3, width: int = 4, layers: int = 2) -> dict[str, tuple]:
    """Names and shapes of a patch discriminator with instance norm."""
    shapes = {'model.0.weight': (width, inputs, 4, 4), 'model.0.bias': (width,)}
    c = width
    for i in range(1, layers + 1):
        wider = width * min(2**i, 8)
        shapes |= {f'model.{3 * i - 1}.weight': (wider, c, 4, 4), f'model.{3 * i - 1}.bias': (wider,)}
        c = wider
    last = 3 * layers + 2
    return shapes | {f'model.{last}.weight': (1, c, 4, 4), f'model.{last}.bias': (1,)}


def star_critic(size: int = 12, width: int = 4, labels: int = 2, layers: int = 2) -> dict[str, tuple]:
    shapes, c = {}, 3
    for i in range(layers):
        shapes |= {f'main.{2 * i}.weight': (width * 2**i, c, 4, 4), f'main.{2 * i}.bias': (width * 2**i,)}
        c = width * 2**i
    side = size // 2**layers
    return shapes | {'conv1.weight': (1, c, 3, 3), 'conv2.weight': (labels, c, side, side)}


# Against PyTorch

CASES = [  # system, net, class, its arguments, side, what has to be found
    ('stargan', 'g', 'StarGenerator', (6, 3, 2), 12, {'g.width': 6, 'g.labels': 3, 'g.blocks': 2}),
    ('stargan', 'g', 'StarGenerator', (4, 9, 1), 16, {'g.width': 4, 'g.labels': 9, 'g.blocks': 1}),
    ('stargan', 'd', 'StarDiscriminator', (24, 4, 7, 3), 24, {'size': 24, 'd.labels': 7, 'd.layers': 3}),
    ('cyclegan', 'g_ab', 'ResnetGenerator', (3, 1, 5, 'instance', False, 3), 16, {'g.blocks': 3, 'outputs': 1}),
    ('cyclegan', 'g_ba', 'ResnetGenerator', (1, 3, 4, 'batch', True, 2), 12, {'g.norm': 'batch', 'outputs': 1}),
    ('cyclegan', 'g_ab', 'UnetGenerator', (3, 3, 5, 4, 'instance'), 32, {'g.kind': 'unet', 'g.depth': 5}),
    ('pix2pix', 'g', 'UnetGenerator', (2, 3, 6, 4, 'batch'), 64, {'g.depth': 6, 'inputs': 2, 'g.norm': 'batch'}),
    ('pix2pix', 'g', 'ResnetGenerator', (3, 3, 4, 'instance', True, 1), 8, {'g.dropout': 0.5, 'g.kind': 'resnet'}),
    ('pix2pix', 'd', 'PatchDiscriminator', (7, 5, 4, 'batch'), 48, {'d.layers': 4, 'd.width': 5, 'inputs': 4}),
    ('cyclegan', 'd_a', 'PatchDiscriminator', (1, 4, 1, 'instance'), 11, {'d.layers': 1, 'inputs': 1}),
]


def like_the_recipe(name: str, shape: tuple) -> np.ndarray:
    """Weights of no net's default statistics, yet such that signals keep their size: recipe.py's rules."""
    noise = RNG.normal(size=shape)
    if name.endswith('running_var'):
        return RNG.uniform(0.5, 1.5, shape)
    if len(shape) > 1:
        return noise * 1.2 / np.sqrt(np.prod(shape[1:]))
    return 0.1 * noise + (name.endswith('weight') and 1.0)


@pytest.mark.parametrize('system, net, kind, arguments, side, expected', CASES)
def test_other_geometries_against_torch(system, net, kind, arguments, side, expected, tmp_path):
    torch = pytest.importorskip('torch')
    from dfjax.apps.bench.torch import translation as originals

    module = getattr(originals, kind)(*arguments)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.from_numpy(like_the_recipe(name, value.shape)))
    torch.save({'epoch': 1, 'net': module.state_dict()}, tmp_path / 'w.pth')
    import_run(system, {net: tmp_path / 'w.pth'}, tmp_path / 'run')
    run = load_run(tmp_path / 'run')
    for key, value in expected.items():
        section = run.cfg.model
        for part in key.split('.'):
            section = section[part]
        assert section == value, key
    opened = open_net(run, net)
    x = RNG.normal(size=(2, side, side, opened.net.inputs['x'].shape[-1])).astype(np.float32)
    arrays = {'x': x} | (
        {'c': RNG.normal(size=(2, arguments[1])).astype(np.float32)} if 'c' in opened.net.inputs else {}
    )
    inputs = [
        torch.from_numpy(arrays['x'].transpose(0, 3, 1, 2)),
        *(torch.from_numpy(arrays[k]) for k in list(arrays)[1:]),
    ]
    with torch.no_grad():
        truth = module.train(system == 'stargan')(*inputs)
    truth = {'out_src': truth[0], 'out_cls': truth[1]} if isinstance(truth, tuple) else {'y': truth}
    found = apply_net(opened, arrays)
    assert set(found) == set(truth)
    for name, ours in found.items():
        theirs = golden.nhwc(truth[name].numpy())
        assert ours.shape == theirs.shape and theirs.std() > 1e-2
        np.testing.assert_allclose(ours, theirs, atol=2e-4 * max(1, abs(theirs).max()))


# Whole runs


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


def test_two_nets_make_one_config(tmp_path):
    files = {
        'd_a': tf.write_zip(tmp_path / 'a.pth', drawn(critic(1))),
        'd_b': tf.write_older(tmp_path / 'b.pth', drawn(critic(3))),
    }
    report = import_run('cyclegan', files, tmp_path / 'run')
    cfg = load_run(tmp_path / 'run').cfg
    assert (cfg.model.inputs, cfg.model.outputs, cfg.model.d.layers) == (1, 3, 2)
    assert report['nets'] == {k: sum(np.prod(s) for s in critic(c).values()) for k, c in (('d_a', 1), ('d_b', 3))}
    files['d_b'] = tf.write_zip(tmp_path / 'c.pth', drawn(critic(3, width=8)))
    with pytest.raises(InputError, match=r'c\.pth: d_b has d.width 8, and d_a has 4; give nets of one training'):
        import_run('cyclegan', files, tmp_path / 'other')
    assert not (tmp_path / 'other').exists()


def test_a_discriminator_of_other_channels_is_named(tmp_path):
    path = tf.write_zip(tmp_path / 'd.pth', drawn(critic(1)))
    with pytest.raises(InputError, match=r'd\.pth: d sees 1 channels, and g makes 1 of 1') as error:
        import_run('pix2pix', {'d': path}, tmp_path / 'run')
    assert '\n' not in str(error.value)


def test_averages_that_old_instance_norms_kept_are_ignored(tmp_path):
    weights = drawn(critic()) | {f'model.{i}.running_mean': np.ones(8, np.float32) for i in (3, 6)}
    import_run('cyclegan', {'d_a': tf.write_zip(tmp_path / 'd.pth', weights)}, tmp_path / 'run')
    assert set(load_run(tmp_path / 'run').params) == {'d_a'}


def test_half_precision_becomes_single(tmp_path):
    weights = drawn(critic())
    halves = {name: array.astype(np.float16) for name, array in weights.items()}
    import_run('cyclegan', {'d_a': tf.write_zip(tmp_path / 'd.pth', halves)}, tmp_path / 'run')
    params = load_run(tmp_path / 'run').params['d_a']
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype('float32')}
    np.testing.assert_array_equal(params['Conv_3']['bias'], halves['model.8.bias'])


# What does not fit


def test_another_architecture_is_compared_in_full(tmp_path):
    weights = drawn(critic(layers=2))
    del weights['model.5.bias']
    weights |= drawn({'model.5.scale': (16,), 'head.weight': (3, 3), 'model.2.weight': (9, 4, 4, 4)})
    path = tf.write_zip(tmp_path / 'odd.pth', weights)
    with pytest.raises(InputError) as error:
        import_run('cyclegan', {'d_a': path}, tmp_path / 'run')
    head, *table = str(error.value).splitlines()
    assert head.startswith(f"{path}: does not fit net 'd_a' of cyclegan; 4 names or shapes differ from one with ")
    assert 'd.width=4, d.layers=2' in head
    rows = {line.split()[0]: ' '.join(line.split()[1:]) for line in table[1:]}
    assert rows == {
        'model.2.weight': '(9, 4, 4, 4) (8, 4, 4, 4) another shape',
        'model.5.bias': '- (16) missing',
        'model.5.scale': '(16) - unexpected',
        'head.weight': '(3, 3) - unexpected',
    }
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('system, net', [('stargan', 'g'), ('stargan', 'd'), ('cyclegan', 'g_ab'), ('pix2pix', 'd')])
def test_a_net_of_something_else(system, net, tmp_path):
    path = tf.write_zip(
        tmp_path / 'x.pth', {'fc.weight': np.zeros((10, 4), np.float32), 'fc.bias': np.zeros(10, np.float32)}
    )
    with pytest.raises(InputError, match=r'x\.pth: does not fit net') as error:
        import_run(system, {net: path}, tmp_path / 'run')
    text = str(error.value)
    assert 'unexpected' in text and 'missing' in text and 'fc.weight' in text


@pytest.mark.parametrize(
    'words, line',
    [
        (['biggan', 'g=x'], "system 'biggan' cannot be imported; those that can: saehd, amp, pix2pix, cyclegan"),
        (['stargan', 'g_ab=x'], "stargan has no net 'g_ab'; it has: g, d"),
        (['stargan', 'x.pth'], "'x.pth' is not understood; give a net and its file as g=FILE"),
        (['stargan', 'g='], "'g=' is not understood"),
        (['stargan', 'g=x', 'g=y'], 'g is given twice: x and y'),
        (['stargan', 'g=x'], 'x: no such file'),
    ],
)
def test_bad_words_of_import(words, line, tmp_path, capsys):
    assert main(['import', *words, '-o', str(tmp_path / 'run')]) == 2
    error = capsys.readouterr().err
    assert line in error and len(error.splitlines()) == 1
    assert not (tmp_path / 'run').exists()


def test_weights_that_are_not_finite(tmp_path):
    weights = drawn(critic())
    weights['model.2.weight'][0, 0, 0, 0] = np.nan
    with pytest.raises(InputError, match=r'd\.pth: model\.2\.weight holds numbers that are not finite'):
        import_run('cyclegan', {'d_a': tf.write_zip(tmp_path / 'd.pth', weights)}, tmp_path / 'run')


def test_options_are_those_of_the_system(capsys, monkeypatch):
    helped = {}
    for system in ('stargan', 'pix2pix'):
        with pytest.raises(SystemExit):
            main(['import', system, '--help'])
        helped[system] = ' '.join(capsys.readouterr().out.split())
    assert '--exclusive N,N numbers from 0 of the groups whose labels exclude each other' in helped['stargan']
    assert '--exclusive N,N' not in helped['pix2pix']
    assert main(['import', 'pix2pix', 'g=x', '-o', 'run', '--exclusive', '1']) == 2
    assert capsys.readouterr().err == 'dfjax: --exclusive: not an option of pix2pix, but of stargan\n'
    with pytest.raises(SystemExit):
        main(['import', 'pix2pix', 'g=x', '-o', 'run', '--exclusively', '1'])
    assert 'unrecognized arguments: --exclusively' in capsys.readouterr().err

    def config(found, what, *, align_corners: bool = False, scale: float = 1.0):
        """Anything.

        Args:
            align_corners: which of the
                two grids.
        """

    seen = []
    monkeypatch.setattr('dfjax.weights.pix2pix.config', config)
    monkeypatch.setattr('dfjax.inference.importing.import_run', lambda *a, **options: seen.append(options) or {})
    assert main(['import', '--align-corners', '--scale', '2', 'pix2pix', 'g=x', '-o', 'run']) == 0
    assert main(['import', 'pix2pix', 'g=x', '-o', 'run']) == 0
    assert seen == [{'align_corners': True, 'scale': 2.0}, {}]
    assert 'which of the two grids' in ' '.join(build_parser('import', ['pix2pix']).format_help().split())


def test_an_existing_run_is_kept_without_force(run_folder, tmp_path, capsys):
    shutil.copytree(run_folder / 'run', tmp_path / 'run')
    words = ['import', 'stargan', f'd={run_folder / "d.ckpt"}', '-o', str(tmp_path / 'run')]
    assert main(words) == 2
    assert '--force' in capsys.readouterr().err
    assert main([*words, '--force']) == 0


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

"""`dfjax import`: nets of the originals at sizes that are nobody's default, and what does not fit."""

import golden
import jax
import numpy as np
import pytest
import torch_files as tf
from critics import critic, drawn

from dfjax.apps.cli import build_parser, main
from dfjax.errors import InputError
from dfjax.inference.importing import import_run
from dfjax.inference.nets import apply_net, open_net
from dfjax.inference.run import load_run

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(5)


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


# What is taken


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


# What does not fit


def test_a_discriminator_of_other_channels_is_named(tmp_path):
    path = tf.write_zip(tmp_path / 'd.pth', drawn(critic(1)))
    with pytest.raises(InputError, match=r'd\.pth: d sees 1 channels, and g makes 1 of 1') as error:
        import_run('pix2pix', {'d': path}, tmp_path / 'run')
    assert '\n' not in str(error.value)


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

"""Every option of the originals' nets, and every wrapping that users' files have, by `dfjax import` against NumPy."""

import json

import numpy as np
import numpy_nets as originals
import pytest
import torch_files as tf

from dfjax.apps.cli import main
from dfjax.errors import InputError
from dfjax.inference.importing import import_run
from dfjax.inference.nets import apply_net, open_net
from dfjax.inference.run import load_run
from dfjax.weights.variants import fold_spectral

RNG = np.random.default_rng(6)
pytestmark = pytest.mark.whole


def drawn(function: str, x: np.ndarray, *arguments, salt: str = 'variants', **sizes) -> tuple[dict, np.ndarray]:
    """The weights of an original and what it makes of x [B, C, H, W]."""
    weights = originals.Weights(salt)
    truth = getattr(originals, function)(weights, x, *arguments, **sizes)
    return weights.made, truth


def made(folder, net: str, x: np.ndarray) -> np.ndarray:
    """What a net of the run makes of x [B, C, H, W], in that order of axes."""
    return apply_net(open_net(load_run(folder), net), {'x': x.transpose(0, 2, 3, 1)})['y'].transpose(0, 3, 1, 2)


def agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape and theirs.std() > 1e-3
    np.testing.assert_allclose(ours, theirs, atol=2e-4 * theirs.std(), rtol=0)


RESNET = dict(outputs=3, width=4, dropout=False, blocks=1)
UNET = dict(outputs=3, width=3, depth=5)
GENERATORS = {  # function, its sizes, options of the import, what is found, what is said
    'no norm': ('resnet', RESNET | {'kind': 'none'}, {}, {'norm': 'none'}, ['padding by reflection is assumed']),
    'zeros': ('resnet', RESNET | {'kind': 'instance', 'pad': 'zeros'}, {}, {'pad': 'zeros'}, []),
    'zeros, dropout': (
        'resnet',
        RESNET | {'kind': 'batch', 'pad': 'zeros', 'dropout': True},
        {},
        {'pad': 'zeros', 'dropout': 0.5, 'norm': 'batch'},
        [],
    ),
    'replicate': (
        'resnet',
        RESNET | {'kind': 'instance', 'pad': 'replicate'},
        {'padding': 'replicate'},
        {'pad': 'replicate'},
        [],
    ),
    'bilinear': (
        'resnet',
        RESNET | {'kind': 'instance', 'upsample': 'bilinear'},
        {'padding': 'reflect'},
        {'upsample': 'bilinear'},
        ['bilinear enlarging is assumed'],
    ),
    'nearest': (
        'resnet',
        RESNET | {'kind': 'batch', 'upsample': 'nearest', 'blocks': 2},
        {'upsample': 'nearest'},
        {'upsample': 'nearest', 'blocks': 2},
        ['padding by reflection is assumed'],
    ),
    'kept': (
        'resnet',
        RESNET | {'kind': 'kept'},
        {'padding': 'reflect'},
        {'norm': 'instance'},
        ['keeps running statistics, which are left out'],
    ),
    'running': (
        'resnet',
        RESNET | {'kind': 'running'},
        {'padding': 'reflect', 'statistics': 'running'},
        {'norm': 'batch'},
        [],
    ),
    'unet, no norm': ('unet', UNET | {'kind': 'none'}, {}, {'norm': 'none', 'depth': 5}, []),
    'unet, bilinear': (
        'unet',
        UNET | {'kind': 'instance', 'upsample': 'bilinear'},
        {'upsample': 'bilinear'},
        {'upsample': 'bilinear', 'depth': 5},
        [],
    ),
    'unet, kept': ('unet', UNET | {'kind': 'kept'}, {}, {'norm': 'instance'}, ['keeps running statistics']),
}


@pytest.mark.parametrize('what', GENERATORS)
def test_generators(what, tmp_path):
    function, sizes, options, expected, said = GENERATORS[what]
    side = 32 if function == 'unet' else 12
    x = RNG.uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
    weights, truth = drawn(function, x, **sizes)
    report = import_run('pix2pix', {'g': tf.write_zip(tmp_path / 'g.pth', weights)}, tmp_path / 'run', **options)
    assert {key: report['model']['g'][key] for key in expected} == expected
    notes = report.get('notes', [])
    assert len(notes) == len(said) and all(some in note for some, note in zip(said, notes)), notes
    agree(made(tmp_path / 'run', 'g', x), truth)


def test_the_assumed_padding_is_another_net(tmp_path):
    """That is why it is said: the file is the same, and the pictures are not."""
    x = RNG.uniform(-1, 1, (1, 3, 32, 32)).astype(np.float32)
    weights, truth = drawn('resnet', x, **RESNET, kind='instance', pad='replicate')
    import_run('cyclegan', {'g_ab': tf.write_zip(tmp_path / 'g.pth', weights)}, tmp_path / 'run')
    assert np.abs(made(tmp_path / 'run', 'g_ab', x) - truth).max() > 0.05 * truth.std()


def test_instance_norms_with_scales_by_their_own_statistics(tmp_path):
    """InstanceNorm2d(affine=True, track_running_stats=True): a bias before it tells it from batch normalisation."""
    x = RNG.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    weights, truth = drawn('resnet', x, **RESNET, kind='affine')
    places = {1: 4, 4: 8, 7: 16, 11: 8, 14: 4}  # convolutions before a normalisation, and what comes out of them
    weights |= {f'model.{at}.bias': RNG.normal(size=c).astype(np.float32) for at, c in places.items()}
    weights |= {f'model.10.conv_block.{at}.bias': RNG.normal(size=16).astype(np.float32) for at in (1, 5)}
    report = import_run('pix2pix', {'g': tf.write_zip(tmp_path / 'g.pth', weights)}, tmp_path / 'run')
    assert report['model']['g']['norm'] == 'affine'
    assert any('running statistics, which are left out' in note for note in report['notes'])
    agree(made(tmp_path / 'run', 'g', x), truth)


def spectral(weights: dict, ends: tuple[str, str, str], bias: str = '.bias') -> dict:
    """The same weights as a spectral normalisation keeps them: u and v by which the largest singular value is 1."""
    kept = {}
    for name, array in weights.items():
        layer, _, end = name.rpartition('.')
        if end == 'bias':
            kept[layer + bias] = array
            continue
        matrix = array.reshape(len(array), -1).astype(np.float64)
        u = RNG.normal(size=len(array))
        v = matrix.T @ u / (np.linalg.norm(matrix.T @ u) ** 2)
        kept |= {f'{layer}{ends[0]}': array, f'{layer}{ends[1]}': np.float32(u), f'{layer}{ends[2]}': np.float32(v)}
    return kept


SPECTRAL = {
    'weight_orig': (('.weight_orig', '.weight_u', '.weight_v'), '.bias'),
    'parametrizations': (tuple(f'.parametrizations.weight.{e}' for e in ('original', '0._u', '0._v')), '.bias'),
    'weight_bar': (tuple(f'.module.weight_{e}' for e in ('bar', 'u', 'v')), '.module.bias'),
}


@pytest.mark.parametrize('kind', SPECTRAL)
@pytest.mark.parametrize('between', [False, True])
def test_spectral_discriminators(kind, between, tmp_path):
    x = RNG.uniform(-1, 1, (2, 3, 48, 40)).astype(np.float32)
    if between:
        weights, truth = drawn('patch_discriminator', x, width=4, layers=2, kind='instance')
    else:
        weights, truth = drawn('plain_discriminator', x, width=4, layers=2)
    file = tf.write_zip(tmp_path / 'd.pth', spectral(weights, *SPECTRAL[kind]))
    report = import_run('cyclegan', {'d_a': file}, tmp_path / 'run')
    assert report['model']['d']['norm'] == ('instance' if between else 'none')
    assert report['model']['d']['layers'] == 2 and 'spectral normalisation' in report['notes'][0]
    agree(made(tmp_path / 'run', 'd_a', x), truth)


def test_the_largest_singular_value_is_the_files():
    kernel = RNG.normal(size=(4, 3, 2, 2))
    u, s, vt = np.linalg.svd(kernel.reshape(4, -1), full_matrices=False)
    for more in ({'c.weight_v': vt[0]}, {}):
        folded, said = fold_spectral({'c.weight_orig': kernel, 'c.weight_u': u[:, 0], **more})
        np.testing.assert_allclose(folded['c.weight'], kernel / s[0], rtol=1e-6)
        assert len(folded) == 1 and said


@pytest.mark.parametrize('kind', ['none', 'instance', 'batch', 'kept'])
def test_discriminators(kind, tmp_path):
    x = RNG.uniform(-1, 1, (2, 3, 32, 40)).astype(np.float32)
    for n, (function, sizes) in enumerate((('pixel_discriminator', {}), ('patch_discriminator', {'layers': 2}))):
        weights, truth = drawn(function, x, width=4, kind=kind, **sizes)
        path, run = tf.write_zip(tmp_path / 'd.pth', weights), tmp_path / f'run{n}'
        report = import_run('cyclegan', {'d_b': path}, run)
        assert report['model']['d']['norm'] == {'kept': 'instance'}.get(kind, kind)
        assert report['model']['d']['kind'] == function.partition('_')[0]
        agree(made(run, 'd_b', x), truth)


def test_words_that_the_file_contradicts(tmp_path):
    x = RNG.uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)
    weights, _ = drawn('resnet', x, **RESNET, kind='instance', pad='zeros')
    path = tf.write_zip(tmp_path / 'g.pth', weights)
    for options, line in (
        ({'padding': 'replicate'}, r'g\.pth: replicate was asked for, and the file is of a net with zeros'),
        ({'padding': 'mirror'}, '--padding mirror: give reflect or replicate'),
        ({'upsample': 'nearest'}, 'nearest was asked for, and the file is of a net with transposed'),
        ({'statistics': 'both'}, '--statistics both: give own or running'),
    ):
        with pytest.raises(InputError, match=line) as error:
            import_run('pix2pix', {'g': path}, tmp_path / 'run', **options)
        assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()


# Wrappers


@pytest.fixture(scope='module')
def two():
    """Two generators' weights, and what they make of x."""
    x = RNG.uniform(-1, 1, (1, 3, 16, 16)).astype(np.float32)
    nets = [drawn('resnet', x, salt=salt, **RESNET, kind='instance') for salt in ('one', 'other')]
    assert np.abs(nets[0][1] - nets[1][1]).max() > 0.1
    return x, nets


def prefixed(before: str, weights: dict) -> dict:
    return {f'{before}{name}': array for name, array in weights.items()}


def sections(path, **parts: dict):
    """A file of several state dicts by name."""
    values, storages = {}, {}
    for where, weights in parts.items():
        items = {}
        for name, array in weights.items():
            key = str(len(storages))
            storages[key] = np.ascontiguousarray(array).tobytes()
            items[name] = tf.tensor(key, 'Float', array.size, array.shape)
        values[where] = tf.mapping(items)
    return tf.write_archive(path, tf.pickled(tf.mapping(values)), storages)


def takes(folder, net: str, weights: dict) -> bool:
    """Whether a run's net has the numbers of these weights."""
    theirs = weights['model.4.weight'].transpose(2, 3, 1, 0)
    return np.array_equal(load_run(folder).params[net]['down_0']['kernel'], theirs)


@pytest.mark.parametrize('before', ['generator.', 'gen_model.', 'module.netG.', 'model.module.generator.'])
def test_a_prefix_is_left_off(before, two, tmp_path):
    _, ((weights, _), _) = two
    import_run('pix2pix', {'g': tf.write_zip(tmp_path / 'g.pth', prefixed(before, weights))}, tmp_path / 'run')
    assert takes(tmp_path / 'run', 'g', weights)


def test_lightning_checkpoints_of_several_nets(two, tmp_path):
    """Names alone tell the nets apart: the generators are to be named, discriminator and generator are not alike."""
    _, ((one, _), (other, _)) = two
    critic, _ = drawn('patch_discriminator', RNG.uniform(-1, 1, (1, 3, 32, 32)), width=4, layers=2, kind='instance')
    weights = prefixed('netG_A.', one) | prefixed('netG_B.', other) | prefixed('netD_A.', critic)
    path = tf.write_zip(tmp_path / 'last.ckpt', weights, wrap='state_dict')
    with pytest.raises(
        InputError,
        match=r'last\.ckpt: holds several nets that fit g_ba: state_dict\.netG_A, state_dict\.netG_B; name one, as '
        r'g_ba=.*last\.ckpt:state_dict\.netG_B$',
    ):
        import_run('cyclegan', {'g_ba': path}, tmp_path / 'run')
    files = {'g_ba': f'{path}:netG_B', 'g_ab': f'{path}:state_dict.netG_A', 'd_a': path}
    import_run('cyclegan', files, tmp_path / 'run')
    assert takes(tmp_path / 'run', 'g_ba', other) and takes(tmp_path / 'run', 'g_ab', one)
    with pytest.raises(InputError, match=r"holds no 'netG_C'; it holds state_dict, state_dict\.netG_A"):
        import_run('cyclegan', {'g_ba': f'{path}:netG_C'}, tmp_path / 'other')


def test_two_generators_of_one_file_are_told_apart(two, tmp_path, capsys):
    x, ((one, _), (other, truth)) = two
    path = sections(tmp_path / 'nets.pth', G_A=one, G_B=other)
    assert main(['import', 'cyclegan', f'g_ab={path}', f'g_ba={path}', '-o', str(tmp_path / 'run')]) == 2
    said = capsys.readouterr().err
    assert f'holds several nets that fit g_ab: G_A, G_B; name one, as g_ab={path}:G_B' in said
    assert main(['import', 'cyclegan', f'g_ba={path}:G_B', '-o', str(tmp_path / 'run')]) == 0
    agree(made(tmp_path / 'run', 'g_ba', x), truth)


@pytest.mark.parametrize('averaged', ['g_ema', 'netG_ema', 'ema'])
def test_the_averaged_net_is_taken_and_said(averaged, two, tmp_path, capsys):
    _, ((one, _), (other, _)) = two
    path = sections(tmp_path / 'nets.pth', netG=one, **{averaged: other})
    assert main(['import', 'pix2pix', f'g={path}', '-o', str(tmp_path / 'run'), '--padding', 'reflect']) == 0
    assert f'g: {averaged} is taken, the averaged one; also there: netG' in capsys.readouterr().err
    assert takes(tmp_path / 'run', 'g', other)
    assert main(['import', 'pix2pix', f'g={path}:netG', '-o', str(tmp_path / 'plain'), '--json']) == 0
    assert 'taken' not in json.loads(capsys.readouterr().out)['notes'][0]
    assert takes(tmp_path / 'plain', 'g', one)


# Against PyTorch itself


def torch_net(layers):
    """A module whose layers are called model.0 and so on."""
    from torch import nn

    net = nn.Module()
    net.model = nn.Sequential(*layers)
    net.forward = net.model.forward
    return net


def through_torch(net, system: str, name: str, x: np.ndarray, folder, **options) -> tuple[np.ndarray, np.ndarray]:
    """What a run imported from torch's file of a net makes of x, and what the net does."""
    import torch

    torch.save({'epoch': 3, 'state_dict': net.state_dict()}, folder / 'net.pth')
    import_run(system, {name: folder / 'net.pth'}, folder / 'run', force=True, **options)
    with torch.no_grad():
        return made(folder / 'run', name, x), net(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize('kind', ['utils', 'parametrizations'])
def test_torchs_spectral_normalisation(kind, tmp_path):
    torch = pytest.importorskip('torch')
    from torch import nn

    torch.manual_seed(1)
    utils = torch.nn.utils
    normed = utils.spectral_norm if kind == 'utils' else utils.parametrizations.spectral_norm
    shapes = ((3, 4, 2), (4, 8, 2), (8, 16, 1), (16, 1, 1))
    layers = [layer for i, o, s in shapes for layer in (normed(nn.Conv2d(i, o, 4, s, 1)), nn.LeakyReLU(0.2))][:-1]
    net = torch_net(layers)
    x = RNG.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    for _ in range(3):
        net(torch.from_numpy(x))
    agree(*through_torch(net.eval(), 'cyclegan', 'd_a', x, tmp_path))


def test_torchs_instance_norms_that_keep_statistics_in_both_modes(tmp_path):
    torch = pytest.importorskip('torch')
    from torch import nn

    from dfjax.apps.bench.torch.translation import ResnetGenerator

    torch.manual_seed(2)
    net = ResnetGenerator(3, 3, 4, 'instance', False, 1)
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(parent, name, nn.InstanceNorm2d(child.num_features, track_running_stats=True))
    for _ in range(5):
        net(torch.randn(4, 3, 16, 16))
    x = RNG.uniform(-1, 1, (2, 3, 16, 16)).astype(np.float32)
    agree(*through_torch(net.eval(), 'pix2pix', 'g', x, tmp_path, statistics='running'))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    ours, theirs = through_torch(net.train(), 'pix2pix', 'g', x, tmp_path)
    agree(ours, theirs)
    net.load_state_dict(state)
    with torch.no_grad():
        assert np.abs(net.eval()(torch.from_numpy(x)).numpy() - theirs).max() > 0.05  # the modes are not alike


@pytest.mark.parametrize('kind', ['bilinear', 'nearest'])
def test_torchs_enlarging(kind, tmp_path):
    torch = pytest.importorskip('torch')
    from torch import nn

    from dfjax.apps.bench.torch.translation import ResnetGenerator

    torch.manual_seed(3)
    layers = []
    for layer in ResnetGenerator(3, 3, 4, 'instance', False, 1).model:
        if isinstance(layer, nn.ConvTranspose2d):
            layers += [nn.Upsample(scale_factor=2, mode=kind), nn.ReflectionPad2d(1)]
            layer = nn.Conv2d(layer.in_channels, layer.out_channels, 3)
        layers.append(layer)
    x = RNG.uniform(-1, 1, (1, 3, 16, 20)).astype(np.float32)
    agree(*through_torch(torch_net(layers), 'cyclegan', 'g_ab', x, tmp_path, upsample=kind, padding='reflect'))

"""An exported net, read where there is none of its code, against the run that it came from."""

import importlib
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_files as tf
from critics import critic, drawn, star_critic
from programs import named, operations

from dfjax.apps.cli import main
from dfjax.errors import InputError
from dfjax.inference.export import export_net, load_exported
from dfjax.inference.importing import import_run
from dfjax.inference.nets import OpenNet, apply_net, export_shapes, open_net
from dfjax.inference.run import load_run
from dfjax.systems import SYSTEMS, load_system
from dfjax.systems.state import Net, arrays

pytestmark = pytest.mark.whole

# JAX and NumPy alone: dfjax cannot even be imported.
READER = """
import sys
sys.modules['dfjax'] = None
import jax.export, numpy as np
net = jax.export.deserialize(bytearray(open(sys.argv[1], 'rb').read()))
with np.load(sys.argv[2]) as file:
    np.savez(sys.argv[3], **net.call({'x': file['x']}))
"""


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
    folder = tmp_path_factory.mktemp('export')
    path = tf.write_zip(folder / 'd.pth', drawn(critic()))
    import_run('cyclegan', {'d_a': path}, folder / 'run')
    assert (
        main(['export', '--run', str(folder / 'run'), '--net', 'd_a', '--size', '16', '-o', str(folder / 'd.jax')]) == 0
    )
    return folder


@pytest.mark.parametrize('count', [1, 3])
def test_the_numbers_of_the_run_for_any_number_of_pictures(imported, count):
    x = np.random.default_rng(count).normal(size=(count, 16, 16, 3)).astype(np.float32)
    truth = apply_net(open_net(load_run(imported / 'run'), None), {'x': x})['y']
    net = load_exported(imported / 'd.jax')
    assert net.inputs == {'x': 'b,16,16,3'} and net.outputs == {'y': 'b,2,2,1'}
    np.testing.assert_allclose(net(x=x)['y'], truth, atol=1e-5)
    assert truth.std() > 0


def test_it_needs_no_code_of_ours(imported):
    x = np.random.default_rng(9).normal(size=(2, 16, 16, 3)).astype(np.float32)
    np.savez(imported / 'in.npz', x=x)
    words = [str(imported / name) for name in ('d.jax', 'in.npz', 'out.npz')]
    subprocess.run([sys.executable, '-c', READER, *words], check=True)
    with np.load(imported / 'out.npz') as out:
        np.testing.assert_allclose(out['y'], load_exported(imported / 'd.jax')(x=x)['y'], atol=1e-5)


@pytest.mark.parametrize('system', SYSTEMS)
def test_every_net_takes_any_number_of_pictures(system):
    cfg = importlib.import_module(f'configs.{system}').get_config('smoke')
    for name, net in load_system(system).nets(cfg).items():
        given = [jnp.zeros(x.shape, x.dtype) for x in net.inputs.values()]
        variables = jax.eval_shape(net.module.init, jax.random.key(0), *given)
        open_ = OpenNet(name, net, variables)
        shapes = export_shapes(open_, None)
        outputs = jax.eval_shape(open_, variables, shapes)
        batch = next(iter(shapes.values())).shape[0]
        assert all((array.shape[0] == batch) is not net.series for array in outputs.values()), (name, outputs)


def test_a_net_that_takes_two_arrays_and_gives_a_dict(tmp_path):
    class Points(nn.Module):
        @nn.compact
        def __call__(self, x, offset):
            value = nn.Dense(2)(x.mean((1, 2))) + offset
            return {'jacobian': value[:, :, None] * jnp.eye(2), 'value': value}

    inputs = {'x': arrays(1, 4, 4, 3), 'offset': arrays(1, 2)}
    module = Points()
    x, offset = jnp.ones((3, 4, 4, 3)), jnp.arange(6.0).reshape(3, 2)
    variables = module.init(jax.random.key(0), x, offset)
    net = OpenNet('kp', Net(module, inputs, ('value', 'jacobian')), variables)
    export_net(net, tmp_path / 'kp')
    here = apply_net(net, {'x': np.asarray(x), 'offset': np.asarray(offset)})
    sums = variables['params']['Dense_0']['kernel'].sum(0)  # what ones give
    for found in (here, load_exported(tmp_path / 'kp')(x=x, offset=offset)):
        assert set(found) == {'value', 'jacobian'}
        np.testing.assert_allclose(found['value'] - offset, np.tile(sums, (3, 1)), atol=1e-5)
        np.testing.assert_allclose(np.diagonal(found['jacobian'], axis1=1, axis2=2), found['value'], rtol=1e-6)
    assert net.signature() == 'x float32 [B, 4, 4, 3], offset float32 [B, 2] -> value, jacobian'


def test_accelerators_get_plain_convolutions_from_a_laptop(imported):
    """As many as the net has layers, and nothing that stands for one."""
    text = load_exported(imported / 'd.jax').exported.mlir_module()
    layers = [key for key in load_run(imported / 'run').params['d_a'] if 'conv' in key.lower() or 'down' in key.lower()]
    for platform in ('cuda', 'tpu'):
        lines = operations(text, platform)
        assert len(named(lines, 'convolution')) == len(layers)
        assert not named(lines, 'dot_general')
    assert len(named(operations(text, 'cpu'), 'convolution')) < len(layers)


def test_bad_words(imported, tmp_path, capsys):
    path = tf.write_zip(tmp_path / 'd.ckpt', drawn(star_critic()))
    import_run('stargan', {'d': path}, tmp_path / 'star')
    base = ['export', '--run', str(imported / 'run'), '-o', str(tmp_path / 'o.jax')]
    for words, line in (
        ([*base, '--net', 'g'], "has no net 'g'; it has: d_a"),
        ([*base, '--size', '0'], '--size 0: give the side'),
        ([*base, '--size', '5'], '5x5 are too small for a patch discriminator'),
        (
            [base[0], '--run', str(tmp_path / 'star'), *base[3:], '--size', '24'],
            'takes pictures of 12 pixels only, not 24',
        ),
        ([base[0], '--run', str(imported), *base[3:]], 'not a run'),
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert line in error and len(error.splitlines()) == 1
    assert not (tmp_path / 'o.jax').exists()


def test_bad_files_and_arrays(imported, tmp_path):
    (tmp_path / 'bad.jax').write_bytes((imported / 'd.jax').read_bytes()[:1000])
    (tmp_path / 'text.jax').write_text('nothing of the kind')
    for name, line in (('bad', 'not a net'), ('text', 'not a net'), ('none', 'no such file')):
        with pytest.raises(InputError, match=line):
            load_exported(tmp_path / f'{name}.jax')
    net = load_exported(imported / 'd.jax')
    with pytest.raises(InputError, match='the net takes x; given were c'):
        net(c=np.zeros((1, 2), np.float32))
    with pytest.raises(InputError, match=r'the net takes x float32 \[b,16,16,3\]; given were x float32 \[1, 9, 9, 3\]'):
        net(x=np.zeros((1, 9, 9, 3), np.float32))


def test_a_spectrogram_is_no_picture():
    """`--size` is for pictures, which are square: other inputs of four axes stay as they are."""
    inputs = {'sound': arrays(1, 80, 16, 1), 'faces': arrays(1, 96, 96, 6)}
    shapes = lambda multiple, size: {
        name: x.shape[1:]
        for name, x in export_shapes(OpenNet('g', Net(None, inputs, multiple=multiple), {}), size).items()
    }
    assert shapes(16, 128) == {'sound': (80, 16, 1), 'faces': (128, 128, 6)}
    assert shapes(0, 96) == shapes(0, None) == {'sound': (80, 16, 1), 'faces': (96, 96, 6)}
    with pytest.raises(InputError, match='g takes pictures of 96 pixels only, not 80'):
        shapes(0, 80)
    del inputs['faces']
    with pytest.raises(InputError, match='g takes no pictures, and no --size'):
        shapes(0, 80)

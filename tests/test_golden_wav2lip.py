"""Wav2Lip, SyncNet and the discriminator against the originals' own numbers: sound, nets, losses, gradients."""

import functools

import golden
import jax
import numpy as np
import pytest
import torch_files as tf

from dfjax.apps.cli import main
from dfjax.losses.sync import binary_cross_entropy, cosine
from dfjax.models.syncnet import SyncNet
from dfjax.models.wav2lip import Discriminator, Generator
from dfjax.ops import mel
from dfjax.weights.layers import compare, convert, expected
from dfjax.weights.wav2lip import NETS

pytestmark = pytest.mark.whole

GOLDEN = {'g': 'wav2lip_generator', 'sync': 'wav2lip_syncnet', 'd': 'wav2lip_disc_qual'}


@pytest.fixture(autouse=True)
def full_precision():
    with jax.default_matmul_precision('highest'):
        yield


def read(name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix('in.'): value for key, value in golden.arrays(name).items() if key.startswith('in.')}


def test_audio():
    name = 'wav2lip_audio'
    sound = read(name)['wav']
    found = {'mel': jax.jit(mel.mel)(sound), 'linear_first_40_frames': jax.jit(mel.linear)(sound)[:, :40]}
    found |= {'preemphasis': mel.preemphasis(sound), 'mel_basis': mel.mel_basis()}
    found['chunks_25fps'] = mel.mel_windows(found['mel'], np.arange(22) / 25)
    assert set(found) == set(golden.manifest(name)['outputs']) - {'mel_constant_pad'}  # a later librosa's, no target
    for output, value in found.items():
        golden.check(name, output, value)


def module_of(net: str, sizes: dict):
    """The module of these sizes, and them as a config's section."""
    model = {net: {'audio': {}, 'face': {}}}
    for key, value in sizes.items():
        *path, last = key.split('.')
        functools.reduce(lambda section, name: section[name], path, model)[last] = value
    section = {k: v for k, v in model[net].items() if v != {}}
    return {'g': Generator, 'sync': SyncNet, 'd': Discriminator}[net](**section), model


@functools.cache
def imported(net: str):
    """A net, its variables and its table."""
    name = GOLDEN[net]
    weights, data = golden.weights(name), read(name)
    sizes = NETS[net].sizes(weights)
    module, model = module_of(net, sizes)
    inputs = [faces(data['face'])] if net == 'd' else [data['mel'], data['face']]
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    table = NETS[net].layers(model)
    assert compare(weights, table, shapes) == []
    variables = convert(weights, table, shapes)
    assert sum(x.size for x in jax.tree.leaves(variables['params'])) == golden.manifest(name)['parameters']
    return module, variables, table


def faces(x: np.ndarray) -> np.ndarray:
    """[N, C, T, H, W] -> [N, T, H, W, C]."""
    return x.transpose(0, 2, 3, 4, 1)


def test_generator():
    name = 'wav2lip_generator'
    data = read(name)
    module, variables, _ = imported('g')
    apply = jax.jit(module.apply)
    golden.check(name, 'y', apply(variables, data['mel'], data['face']))
    mels, sequence = data['mel_sequence'], faces(data['face_sequence'])  # [N, T, 1, 80, 16], [N, T, 96, 96, 6]
    frames = [apply(variables, mels[:, t].transpose(0, 2, 3, 1), sequence[:, t]) for t in range(2)]
    golden.check(name, 'y_sequence', np.stack(frames, 1).transpose(0, 4, 1, 2, 3))


def test_syncnet():
    name = 'wav2lip_syncnet'
    data = read(name)
    module, variables, _ = imported('sync')
    heard, seen = jax.jit(module.apply)(variables, data['mel'], data['face'])
    found = {'audio_embedding': heard, 'face_embedding': seen, 'cosine': cosine(heard, seen)}
    found |= {f'loss_label_{t}': binary_cross_entropy(cosine(heard, seen), float(t)) for t in range(2)}
    assert set(found) == set(golden.manifest(name)['outputs'])
    for output, value in found.items():
        golden.check(name, output, value)


def test_syncnet_through_import_and_apply(tmp_path, capsys):
    name = GOLDEN['sync']
    path = tf.write_zip(tmp_path / 'lipsync_expert.pth', golden.weights(name), 'state_dict')
    assert main(['import', 'syncnet', f'sync={path}', '-o', str(tmp_path / 'run')]) == 0
    assert capsys.readouterr().err.count('non-commercial') == 1
    np.savez(tmp_path / 'in.npz', **read(name))
    words = ['--run', str(tmp_path / 'run'), '--input', str(tmp_path / 'in.npz')]
    assert main(['apply', *words, '--output', str(tmp_path / 'out.npz')]) == 0
    with np.load(tmp_path / 'out.npz') as out:
        for output in ('audio_embedding', 'face_embedding'):
            golden.check(name, output, out[output])


def test_discriminator():
    name = 'wav2lip_disc_qual'
    module, variables, _ = imported('d')
    found = jax.jit(module.apply)(variables, faces(read(name)['face']))
    golden.check(name, 'probability', found)
    golden.check(name, 'perceptual_loss', binary_cross_entropy(found, 1.0))


def test_losses():
    name = 'wav2lip_losses'
    data = read(name)
    nets = {net: imported(net)[0].apply for net in GOLDEN}
    fixed = {net: imported(net)[1] for net in GOLDEN}
    mels = data['indiv_mels'].transpose(1, 0, 3, 4, 2).reshape(10, 80, 16, 1)  # time before examples
    x, real = faces(data['x']), faces(data['gt'])

    def generator(variables, fixed):
        flat = x.swapaxes(0, 1).reshape(10, 96, 96, 6)
        made = nets['g'](variables, mels, flat).reshape(5, 2, 96, 96, 3).swapaxes(0, 1)  # [N, T, S, S, 3]
        lower = made[:, :, 48:].transpose(0, 2, 3, 1, 4).reshape(2, 48, 96, 15)
        found = {
            'sync_loss': binary_cross_entropy(cosine(*nets['sync'](fixed['sync'], data['mel'], lower)), 1.0),
            'perceptual_loss': binary_cross_entropy(nets['d'](fixed['d'], made), 1.0),
            'l1_loss': abs(made - real).mean(),
        }
        found['loss'] = 0.03 * found['sync_loss'] + 0.07 * found['perceptual_loss'] + 0.9 * found['l1_loss']
        return found['loss'], (found, made)

    def discriminator(variables, made):
        fake = nets['d'](variables, made)
        found = {'disc_probability_fake': fake, 'disc_fake_loss': binary_cross_entropy(fake, 0.0)}
        found['disc_real_loss'] = binary_cross_entropy(nets['d'](variables, real), 1.0)
        return found['disc_fake_loss'] + found['disc_real_loss'], found

    gradients = {}
    gradients['g'], (found, made) = jax.jit(jax.grad(generator, has_aux=True))(fixed['g'], fixed)
    gradients['d'], terms = jax.jit(jax.grad(discriminator, has_aux=True))(fixed['d'], made)
    found |= terms
    for net, role in (('g', 'generator'), ('d', 'discriminator')):
        there = {entry[0]: path for path, entry in expected(imported(net)[2], gradients[net]).items()}
        order = golden.manifest(name)['parameter_order'][role]
        at = lambda path, tree: functools.reduce(lambda t, key: t[key], path, tree)
        found[f'grad_l2.{role}'] = [float(np.sqrt(np.sum(np.square(at(there[n], gradients[net]))))) for n in order]
    assert set(found) == set(golden.manifest(name)['outputs'])
    for output, value in found.items():
        golden.check(name, output, value)


def test_generator_and_discriminator_through_import_and_apply(tmp_path, capsys):
    """One run of all three; a file of each, with a wrapper and the prefix of several devices."""
    words = []
    for net, name in GOLDEN.items():
        weights = {f'module.{key}': value for key, value in golden.weights(name).items()}
        words.append(f'{net}={tf.write_zip(tmp_path / f"{net}.pth", weights, "state_dict")}')
    run = str(tmp_path / 'run')
    assert main(['import', 'wav2lip', *words, '-o', run]) == 0
    assert capsys.readouterr().err.count('non-commercial') == 1  # of three files
    inputs = {net: read(name) for net, name in GOLDEN.items()} | {'d': {'face': faces(read(GOLDEN['d'])['face'])}}
    for net, outputs in {'g': ['y'], 'sync': ['audio_embedding', 'face_embedding'], 'd': ['probability']}.items():
        np.savez(tmp_path / 'in.npz', **inputs[net])
        asked = ['apply', '--run', run, '--net', net, '--input', str(tmp_path / 'in.npz')]
        assert main([*asked, '--output', str(tmp_path / f'{net}.npz')]) == 0
        with np.load(tmp_path / f'{net}.npz') as out:
            for output in outputs:
                golden.check(GOLDEN[net], output, out[output])

"""Files of weights of a few kB that ask for much: refused at once, whatever they do with their bytes.

Each is read in a process of its own with a bound on memory, so that one which is not refused fails alone.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch_files as tf

from dfjax.errors import InputError
from dfjax.weights import limits, pickles, vgg
from dfjax.weights.arrays import read_arrays
from dfjax.weights.torch_files import read_checkpoint
from tests.processes import bounded

ONE = tf.tensor('0', 'Float', 6, (2, 3))
OD = b'ccollections\nOrderedDict\n'
WIDE = 'w' * 100_000


def names(*items: tuple[bytes, bytes]) -> bytes:
    """A dict of pickled keys and values."""
    return OD + b')R(' + b''.join(key + value for key, value in items) + b'u'


def doubled(value: bytes, times: int = 60) -> bytes:
    """(v, v), ((v, v), (v, v)) and so on: of a few bytes, 2^times values."""
    return value + b'2\x86' * times


def copies(build: bytes, count: int = 20_000) -> bytes:
    """A list of 3000 pairs, given to a call again and again."""
    items = b'](' + b''.join(tf.text(str(i)) + b'N\x86' for i in range(3000)) + b'eq\x00' + b'0'
    return items + b'](' + build * count + b'e'


PICKLES = {
    'a key nested without end': names((b')' + b'\x85' * 200_000, ONE)),
    'a key that doubles': names((doubled(tf.text('a')), ONE)),
    'a value that doubles': names((tf.text('w'), ONE), (tf.text('v'), doubled(b')'))),
    'an item of a set that doubles': b'\x8f(' + doubled(b')') + b'\x90',
    'the name of a global that doubles': doubled(tf.text('a')) + tf.text('b') + b'\x93',
    'the module of a global that doubles': tf.text('b') + doubled(tf.text('a')) + b'\x93',
    'a reference that doubles': b'(' + doubled(tf.text('storage')) + b'NNNNtQ',
    'a storage whose key doubles': names(
        (
            tf.text('w'),
            b'ctorch._utils\n_rebuild_tensor_v2\n((' + tf.text('storage') + b'ctorch\nFloatStorage\n'
            b'' + doubled(tf.text('k')) + tf.text('cpu') + tf.whole(6) + b'tQ' + tf.whole(0) + b'K\x06\x85K\x01\x85tR',
        )
    ),
    'a dict that is copied': copies(OD + b'h\x00\x85R'),
    'arguments without end': copies(b'ctorch\nSize\n(' + b'h\x00' * 200 + b'tR', 2000),
    'arguments that are copied': b'(' + b'N' * 10**5 + b'tq\x000](' + b'cargparse\nNamespace\nh\x00R' * 10**4 + b'e',
    'a shape of 200,000 axes': names((tf.text('w'), tf.tensor('0', 'Float', 6, [1] * 200_000, [1] * 200_000))),
    'a shape of long numbers': names((tf.text('w'), tf.tensor('0', 'Float', 6, ()).replace(b'J\0\0\0\0(', (
        b'\x8b' + struct.pack('<i', 10**6) + b'\x7f' * 10**6 + b'('
    )))),
    'a name of prefixes': names((tf.text('module.' * 100_000), ONE)),
    'names that grow on the way down': (
        tf.text(WIDE) + b'q\x000' + b''.join(OD + b')R(h\x00' for _ in range(3000)) + ONE + b'u' * 3000
    ),
    'dicts without end': b''.join(OD + b')R(' + tf.text('a') for _ in range(20_000)) + ONE + b'u' * 20_000,
    'a list that holds itself': b']q\x00h\x00a' * 1000,
    'a dict that holds itself': OD + b')Rq\x00(' + tf.text('a') + b'h\x00' + tf.text('w') + ONE + b'u',
    'text of 2 GB': b'X\xff\xff\xff\x7fabc',
    'bytes of 2^62': b'\x8e' + struct.pack('<Q', 2**62) + b'abc',
    'a number of 10^6 digits': b'L' + b'9' * 10**6 + b'L\n',
}  # fmt: skip


@pytest.mark.parametrize('what', PICKLES)
@pytest.mark.parametrize('zipped', [True, False])
def test_pickles_that_ask_for_much(what, zipped, tmp_path):
    path, value = tmp_path / 'evil.pth', tf.pickled(PICKLES[what])
    if zipped:
        tf.write_archive(path, value, {'0': bytes(24)})
    else:
        system = tf.pickled(b'}(' + tf.text('little_endian') + b'\x88u')
        body = tf.MAGIC + tf.pickled(tf.whole(1001)) + system + value + tf.pickled(b'](' + tf.text('0') + b'e')
        path.write_bytes(body + struct.pack('<q', 6) + bytes(24))
    said = bounded(read_checkpoint, path)
    assert '\n' not in said and len(said) < 500
    harmless = ('a value', 'a dict that holds')  # what has no use is left out
    assert said == 'read' if what.startswith(harmless) else said.startswith(f'{path}: '), said


def test_what_real_files_hold_is_far_below_the_limits(tmp_path):
    """A large model with its optimiser's state, in the opcodes that PyTorch writes."""
    tensors = {f'encoder.layers.{i}.attention.query_key_value.weight': np.zeros(2, np.float32) for i in range(3000)}
    path = tf.write_zip(tmp_path / 'large.pth', tensors, wrap='state_dict')
    assert len(read_checkpoint(path)['state_dict']) == 3000


def test_the_number_of_operations_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, 'OPERATIONS', 1000)
    path = tf.write_archive(tmp_path / 'long.pth', tf.pickled(b'N' * 2000), {})
    with pytest.raises(InputError, match=r'long\.pth: refused: it holds more than 1000 operations'):
        read_checkpoint(path)


def safetensors(path: Path, header: bytes, data: bytes = bytes(24)) -> Path:
    path.write_bytes(struct.pack('<Q', len(header)) + header + data)
    return path


ENTRY = {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]}
HEADERS = {
    'axes': json.dumps({'w': ENTRY | {'shape': [1] * 200_000}}),
    'a long name': json.dumps({'module.' * 100_000: ENTRY}),
    'depth': '{"w":' * 100_000,
    'depth inside': json.dumps({'w': ENTRY | {'shape': json.loads('[' * 30 + ']' * 30)}}),
    'long numbers': '{"w": {"dtype": "F32", "shape": [' + '9' * 4000 + '], "data_offsets": [0, 24]}}',
    'very long numbers': '{"w": {"dtype": "F32", "shape": [' + '9' * 10**6 + '], "data_offsets": [0, 24]}}',
    'a large shape': json.dumps({'w': ENTRY | {'shape': [2**40, 2**40, 2**40]}}),
    'a negative shape': json.dumps({'w': ENTRY | {'shape': [-2, -3]}}),
    'a fraction': json.dumps({'w': ENTRY | {'shape': [2.0, 3]}}),
    'truth': json.dumps({'w': ENTRY | {'data_offsets': [False, 24]}}),
    'three offsets': json.dumps({'w': ENTRY | {'data_offsets': [0, 24, 24]}}),
    'no entry': json.dumps({'w': 7}),
    'a list': '[1]',
    'bytes': '{"\xff": 1}',
}


@pytest.mark.parametrize('what', HEADERS)
def test_safetensors_that_ask_for_much(what, tmp_path):
    header = HEADERS[what].encode('latin-1')
    header = header if header.startswith(b'{') else b'{"w":' + header + b'}'
    said = bounded(read_checkpoint, safetensors(tmp_path / 'evil.safetensors', header))
    assert 'evil.safetensors: ' in said and '\n' not in said and len(said) < 500


# HDF5


def keras(path: Path, change=None) -> Path:
    """VGG-19 in zeros as Keras has it, packed, and whatever `change` puts beside it."""
    with h5py.File(path, 'w') as file:
        if change:
            change(file)
        for block, count in enumerate((2, 2, 4, 4, 4), 1):
            for n in range(1, count + 1):
                name = f'block{block}_conv{n}'
                shapes = vgg.vgg.LAYERS.get(f'conv{block}_{n}', (1, 1))
                layer = file.create_group(f'{name}/{name}')
                layer.create_dataset('kernel:0', (3, 3, *shapes), 'f4', compression='gzip', fillvalue=0)
                layer.create_dataset('bias:0', shapes[1:], 'f4')
    return path


def nested(file, depth: int = 3000) -> None:
    group = file
    for _ in range(depth):
        group = group.create_group('g')


def crowded(file) -> None:
    for n in range(limits.OBJECTS + 1):
        file[f'a{n}'] = h5py.SoftLink('/nowhere')


def in_circles(file) -> None:
    group = file.create_group('a')
    for n in range(20):
        group[f'b{n}'] = group


@pytest.mark.parametrize('change', [nested, crowded, in_circles, lambda file: file.create_group('n' * 1000)])
def test_hdf5_that_asks_for_much(change, tmp_path):
    assert bounded(vgg.read_keras, keras(tmp_path / 'good.h5')) == 'read'
    said = bounded(vgg.read_keras, keras(tmp_path / 'evil.h5', change))
    assert 'evil.h5: damaged, or not HDF5 (more ' in said and '\n' not in said


# Other files


def packed(path: Path, name: str) -> Path:
    with tarfile.open(path, 'w') as archive:
        entry = tarfile.TarInfo(name)
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b'abc'))
    return path


def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path):
    inner = tf.write_zip(tmp_path / 'inner.pth', {'w': np.zeros(3, np.float32)}).read_bytes()
    (tmp_path / 'a.pth.gz').write_bytes(gzip.compress(inner))
    packed(tmp_path / 'b.tar', 'run/latest_net_G.pth')
    packed(tmp_path / 'c.pth', 'run/readme.txt')
    with zipfile.ZipFile(tmp_path / 'd.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('models/200000-G.ckpt', inner)
        archive.writestr('__MACOSX/._x', b'')
    pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n'
    (tmp_path / 'e.pth').write_text(pointer)
    (tmp_path / 'f.pth').write_text('\n  <html lang="en"><body>Quota exceeded')
    (tmp_path / 'g.pth').write_text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')
    with zipfile.ZipFile(tmp_path / 'h.pt', 'w') as archive:
        for name in ('net/constants.pkl', 'net/data.pkl', 'net/code/__torch__.py'):
            archive.writestr(name, b'')
    np.savez((tmp_path / 'i.pth').open('wb'), w=np.zeros(3))
    with zipfile.ZipFile(tmp_path / 'j.zip', 'w') as archive:
        for n in range(9):
            archive.writestr(f'{n}.pth', b'')
    keras(tmp_path / 'k.pth')
    for name, line in {
        'a.pth.gz': 'packed by gzip; unpack it, and give the checkpoint that is inside',
        'b.tar': r'a tar archive that holds run/latest_net_G\.pth; unpack it and give that file',
        'c.pth': 'a tar archive without a checkpoint in it; give',
        'd.zip': r'a zip archive that holds models/200000-G\.ckpt; unpack it and give that file',
        'e.pth': 'a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`',
        'f.pth': 'a web page, not a checkpoint: .* download it again',
        'g.pth': 'a web page, not a checkpoint',
        'h.pt': 'a TorchScript program; save its weights alone',
        'i.pth': r'arrays of NumPy \(\.npz\); give',
        'j.zip': r'a zip archive that holds 0\.pth, .*4\.pth and 4 more; unpack it',
        'k.pth': 'an HDF5 file, as Keras writes them',
    }.items():
        with pytest.raises(InputError, match=f'{name}: {line}') as error:
            read_checkpoint(tmp_path / name)
        assert '\n' not in str(error.value)


def test_arrays_by_name_whose_type_doubles(tmp_path):
    path = tmp_path / 'evil.npy'
    path.write_bytes(tf.pickled(b'cnumpy\ndtype\n(' + doubled(tf.text('f4')) + b'tR'))
    assert 'evil.npy: refused: it holds numbers of no type' in bounded(read_arrays, path)

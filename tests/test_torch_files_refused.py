"""Checkpoints of PyTorch that are hostile, damaged or something else: refused in a line, and nothing in them is run."""

import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch_files as tf
from torch_files import WEIGHTS, WRITERS

from dfjax.errors import InputError
from dfjax.weights.torch_files import read_checkpoint


class Evil:
    """Unpickled, it would leave a file behind."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def hostile(tmp_path) -> dict[str, bytes]:
    import os

    mark = str(tmp_path / 'run')
    nested = b'cos\nsystem\n(' + tf.text(f'touch {mark}') + b'tR'
    return {
        'system': pickle.dumps(Evil(os.system, f'touch {mark}'), 2),
        'system, newest protocol': pickle.dumps({'a': [Evil(os.system, f'touch {mark}')]}, 5),
        'eval': pickle.dumps(Evil(eval, f'open({mark!r}, "w")'), 4),
        'inside a tensor': tf.pickled(tf.mapping({'w': b'ctorch._utils\n_rebuild_tensor_v2\n(' + nested + b'tR'})),
        'through getattr': tf.pickled(b'c__builtin__\ngetattr\n(cos\npath\n' + tf.text('join') + b'tR)R'),
        'an attribute of what is allowed': tf.pickled(b'ccollections\nOrderedDict.__class__\n)R'),
        'old style class': tf.pickled(b'(' + tf.text(f'touch {mark}') + b'ios\nsystem\n'),
        'extension': tf.pickled(b'\x82\x01)R'),
        'called twice': tf.pickled(b'ccollections\nOrderedDict\n)R)R'),
        'load from bytes': tf.pickled(b'ctorch.storage\n_load_from_bytes\n(U\x01xtR'),
    }


@pytest.mark.parametrize('zipped', [True, False])
def test_hostile_pickles_are_refused_and_not_run(zipped, tmp_path):
    for what, content in hostile(tmp_path).items():
        path = tmp_path / 'evil.pth'
        if zipped:
            tf.write_archive(path, content, {})
        else:
            path.write_bytes(
                tf.MAGIC + tf.pickled(tf.whole(1001)) + tf.pickled(b'}' + tf.text('little_endian') + b'\x88s')
            )
            with path.open('ab') as file:
                file.write(content)
        with pytest.raises(InputError, match=r'evil\.pth: refused: it holds') as error:
            read_checkpoint(path)
        assert '\n' not in str(error.value), what
        assert not (tmp_path / 'run').exists(), what


def test_the_refused_global_is_named(tmp_path):
    import os

    path = tmp_path / 'plain.pth'
    path.write_bytes(pickle.dumps(Evil(os.system, 'true')))
    with pytest.raises(InputError, match=rf"refused: it holds the global '{os.name}\.system'.*nothing in it was run"):
        read_checkpoint(path)


def one(key='0', kind='Float', count=6, shape=(2, 3), record=24, **more) -> tuple[bytes, dict[str, bytes]]:
    value = tf.mapping({'w': tf.tensor(key, kind, count, shape, **more)})
    return tf.pickled(value), {'0': bytes(record)}


@pytest.mark.parametrize(
    'content',
    [
        one(count=10**12, shape=(10**6, 10**6)),
        one(shape=(10**9,), strides=(0,)),
        one(shape=(2, 3), offset=1),
        one(shape=(2, 3), strides=(4, 1)),
        one(shape=(-1, -6)),
        one(shape=(2, 3), strides=(-3, -1), offset=5),
        one(shape=(2, 3), strides=(3,)),
        one(record=20),
        one(key='elsewhere'),
        (tf.pickled(tf.mapping({'w': b'N'}) + b'h\x05'), {}),
        (tf.pickled(b't'), {}),
        (b'\x80\x02}', {}),
        (b'\x80\x02X\xff\xff\xff\x7fabc', {}),
    ],
)
def test_sizes_that_the_file_does_not_hold(content, tmp_path):
    path = tf.write_archive(tmp_path / 'bomb.pth', *content)
    with pytest.raises(InputError, match=r'bomb\.pth: damaged or cut short \(.*\); copy it again$'):
        read_checkpoint(path)


@pytest.mark.parametrize('kind', WRITERS)
def test_cut_short_anywhere(kind, tmp_path):
    whole = WRITERS[kind](tmp_path / 'whole', WEIGHTS).read_bytes()
    for size in (*range(1, len(whole) - 1, 37), len(whole) - 1):
        (tmp_path / 'cut').write_bytes(whole[:size])
        with pytest.raises(InputError, match=r'cut: (damaged|not a checkpoint|refused|a zip archive)') as error:
            read_checkpoint(tmp_path / 'cut')
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('kind', WRITERS)
def test_any_byte_may_be_wrong(kind, tmp_path):
    """Whatever comes of it is an InputError or arrays; never another error, never a run."""
    whole = WRITERS[kind](tmp_path / 'whole', WEIGHTS).read_bytes()
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(whole), 300):
        broken = bytearray(whole)
        broken[at] ^= int(rng.integers(1, 256))
        (tmp_path / 'broken').write_bytes(broken)
        try:
            for weights in read_checkpoint(tmp_path / 'broken').values():
                assert sum(a.nbytes for a in weights.values()) < 10_000
        except InputError as error:
            assert '\n' not in str(error)


def test_a_changed_number_in_a_zip_is_found(tmp_path):
    path = tf.write_zip(tmp_path / 'a.pth', WEIGHTS)
    content = bytearray(path.read_bytes())
    content[content.index(WEIGHTS['conv.weight'].tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match='damaged'):
        read_checkpoint(path)


def test_other_files(tmp_path):
    (tmp_path / 'empty.pth').touch()
    (tmp_path / 'text.pth').write_text('<!DOCTYPE html> this is what a failed download leaves')
    (tmp_path / 'list.pth').write_bytes(pickle.dumps([1, 2]))
    tf.write_archive(tmp_path / 'none.pth', tf.pickled(tf.mapping({'epoch': tf.whole(3)})), {})
    tf.write_archive(tmp_path / 'big.pth', tf.pickled(tf.mapping({})), {}, byteorder=b'big')
    tf.write_older(tmp_path / 'older_big.pth', WEIGHTS, little=False)
    with zipfile.ZipFile(tmp_path / 'packed.pth', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', bytes(10**6))
    with zipfile.ZipFile(tmp_path / 'other.pth', 'w') as archive:
        archive.writestr('word/document.xml', 'text')
    for name, line in {
        'empty.pth': 'empty; give',
        'text.pth': 'a web page, not a checkpoint',
        'list.pth': 'refused: it holds a pickle of something else',
        'none.pth': 'there are no tensors with names',
        'big.pth': 'refused: it holds big-endian numbers',
        'older_big.pth': 'refused: it holds big-endian numbers',
        'packed.pth': 'refused: it holds compressed records',
        'other.pth': 'a zip archive without a checkpoint in it',
        'missing.pth': 'no such file',
    }.items():
        with pytest.raises(InputError, match=f'{name}: {line}'):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    'change',
    [
        {'data_offsets': [0, 999]},
        {'data_offsets': [4, 100]},
        {'shape': [10**6, 10**6]},
        {'shape': [-4, -3, 2, 2]},
        {'dtype': 'F99'},
        {'dtype': 5},
    ],
)
def test_bad_safetensors(change, tmp_path):
    whole = tf.write_safetensors(tmp_path / 'whole', {'w': WEIGHTS['conv.weight']}).read_bytes()
    length = struct.unpack('<Q', whole[:8])[0]
    header = json.loads(whole[8 : 8 + length])
    header['w'] |= change
    text = json.dumps(header).encode()
    path = tmp_path / 'bad.safetensors'
    path.write_bytes(struct.pack('<Q', len(text)) + text + whole[8 + length :])
    with pytest.raises(InputError, match=r'bad\.safetensors: (damaged|refused)'):
        read_checkpoint(path)

"""Checkpoints of PyTorch, read without it: files made byte by byte, and files that torch itself wrote."""

import struct

import numpy as np
import pytest
import torch_files as tf
from torch_files import WEIGHTS, WRITERS

from dfjax.errors import InputError
from dfjax.weights.torch_files import read_checkpoint


def same(one: dict, other: dict) -> None:
    assert list(one) == list(other)
    for name, array in one.items():
        assert array.dtype == other[name].dtype and array.shape == other[name].shape
        np.testing.assert_array_equal(array, other[name])


@pytest.mark.parametrize('kind', WRITERS)
def test_files_made_byte_by_byte(kind, tmp_path):
    sections = read_checkpoint(WRITERS[kind](tmp_path / 'weights.bin', WEIGHTS))  # the name says nothing
    assert list(sections) == ['']
    same(WEIGHTS, sections[''])


def test_safetensors_whose_header_has_any_length(tmp_path):
    """The length comes first: 640 is written as the first two bytes of a pickle."""
    lengths = set()
    for n in range(256):
        path = tf.write_safetensors(tmp_path / 'w', {'w' * (1 + n): np.ones(2, np.float32), 'b' * 470: np.zeros(1)})
        lengths.add(struct.unpack('<Q', path.read_bytes()[:8])[0])
        assert len(read_checkpoint(path)['']) == 2
    assert 640 in lengths


def test_what_is_beside_the_weights_is_told_apart_by_where_it_lies(tmp_path):
    path = tf.write_zip(tmp_path / 'a.pth', {f'module.{k}': v for k, v in WEIGHTS.items()}, wrap='model')
    sections = read_checkpoint(path)
    assert list(sections) == ['model']
    same(WEIGHTS, sections['model'])


def test_views_share_a_storage(tmp_path):
    numbers = np.arange(24, dtype=np.float32)
    items = {
        'whole': tf.tensor('0', 'Float', 24, (4, 6)),
        'turned': tf.tensor('0', 'Float', 24, (6, 4), (1, 6)),
        'corner': tf.tensor('0', 'Float', 24, (2, 2), (6, 1), offset=9),
    }
    path = tf.write_archive(tmp_path / 'v.pth', tf.pickled(tf.mapping(items)), {'0': numbers.tobytes()})
    found = read_checkpoint(path)['']
    table = numbers.reshape(4, 6)
    np.testing.assert_array_equal(found['whole'], table)
    np.testing.assert_array_equal(found['turned'], table.T)
    np.testing.assert_array_equal(found['corner'], table[1:3, 3:5])


def test_older_files_may_name_a_part_of_a_storage(tmp_path):
    view = b'(' + tf.text('whole') + tf.whole(2) + tf.whole(3) + b't'
    value = tf.mapping({'part': tf.tensor('0', 'Float', 6, (3,), view=view)})
    system = tf.pickled(b'}(' + tf.text('little_endian') + b'\x88u')
    body = tf.MAGIC + tf.pickled(tf.whole(1001)) + system + tf.pickled(value) + tf.pickled(b'](' + tf.text('0') + b'e')
    path = tmp_path / 'p.pth'
    path.write_bytes(body + struct.pack('<q', 6) + np.arange(6, dtype=np.float32).tobytes())
    np.testing.assert_array_equal(read_checkpoint(path)['']['part'], [2, 3, 4])


# Files that torch wrote


@pytest.mark.parametrize('zipped', [True, False])
def test_files_that_torch_wrote(zipped, tmp_path):
    torch = pytest.importorskip('torch')
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ConvTranspose2d(4, 2, 4))
    adam = torch.optim.Adam(net.parameters())
    net(torch.randn(2, 3, 8, 8)).sum().backward()
    adam.step()
    base = torch.arange(60, dtype=torch.float64).reshape(3, 4, 5)
    odd = {
        'bfloat16': torch.randn(3, 2).bfloat16(),
        'turned': base.permute(2, 0, 1),
        'part': base[1:, ::2, 1],
        'int': torch.arange(5, dtype=torch.int32),
        'bool': torch.tensor([True, False]),
        'complex': torch.complex(torch.ones(2), torch.arange(2.0)),
        'scalar': torch.tensor(2.5),
        'parameter': torch.nn.Parameter(torch.ones(2)),
        'note': 'not a tensor',
    }
    if zipped:
        odd['float8'] = torch.ones(3).to(torch.float8_e4m3fn)
        odd['uint16'] = torch.tensor([1, 60000], dtype=torch.uint16)
    content = {
        'state_dict': net.state_dict(),
        'optimizer': adam.state_dict(),
        'odd': odd,
        'epoch': 3,
        'loss': np.float64(0.5),
        'size': torch.Size([2, 3]),
        'dtype': torch.float32,
        'device': torch.device('cpu'),
    }
    path = tmp_path / 'net.pth'
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    sections = read_checkpoint(path)
    assert {'state_dict', 'odd', 'optimizer.state.0'} <= set(sections)
    same({k: v.numpy() for k, v in net.state_dict().items()}, sections['state_dict'])
    assert set(sections['odd']) == set(odd) - {'note'}
    for name, array in sections['odd'].items():
        truth = odd[name].detach()
        exact = truth.to(torch.float32) if name in ('bfloat16', 'float8') else truth
        assert array.dtype.name.startswith(name if name in ('bfloat16', 'float8', 'int', 'bool') else '')
        np.testing.assert_array_equal(array.astype(exact.numpy().dtype), exact.numpy())


def test_a_whole_model_is_refused_with_its_class(tmp_path):
    torch = pytest.importorskip('torch')
    torch.save(torch.nn.Linear(2, 2), tmp_path / 'model.pth')
    with pytest.raises(InputError, match=r"refused: it holds the global 'torch.nn.modules.linear.Linear'.*state_dict"):
        read_checkpoint(tmp_path / 'model.pth')

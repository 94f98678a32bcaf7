"""A run's own text files and .npz files after a power cut, a slip of an editor or an attack: one line, and no more."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import toy_system as toy
from fake_faces import COUNT, edit_line, edit_row, write_faces

from dfjax import foreign
from dfjax.config import build
from dfjax.data.faces.analyse import Analysis, load_analysis
from dfjax.data.faces.face import Face
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.image import write_image
from dfjax.data.media.inputs import media_files
from dfjax.data.sets.tfrecord import convert_dataset
from dfjax.errors import InputError, ReadError
from dfjax.foreign import numbers, parse, read_json, read_npz
from dfjax.training import workdir
from dfjax.training.report import Report

DEEP = 100_000
ODD_SHARDS = b'{"name": "a", "splits": [{"name": "train", "shardLengths": [1e999]}]}'
NO_OBJECTS = [b'null', b'[]', b'7', b'"text"', b'true', b'[' * DEEP, b'{"a":' * DEEP, b'[' * DEEP + b']' * DEEP]
NO_OBJECTS += [b'{"a": ' * 40 + b'1' + b'}' * 40, b'\xff\xfe{}', b'{"a": "\xe9"}', b'\x00', b' ', b'{"a": 1', b'-']


def line_of(error) -> str:
    text = str(error.value)
    assert '\n' not in text and len(text) < 500
    return text


@pytest.mark.parametrize('content', NO_OBJECTS, ids=lambda b: repr(b[:12]))
def test_what_is_no_object_is_said_in_a_line(content, tmp_path):
    path = tmp_path / 'x.json'
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r'x\.json: damaged \(.+\); do this') as error:
        read_json(path, 'do this')
    line_of(error)


def test_depth_is_bounded_and_not_the_length():
    assert len(parse('[' + ','.join(['[1]'] * 50_000) + ']')) == 50_000
    assert parse('[' * 20 + ']' * 20)
    with pytest.raises(ValueError, match='nested too deeply'):
        parse('[' * 30 + ']' * 30)


def test_numbers_are_of_the_shape_that_is_asked_for():
    np.testing.assert_array_equal(numbers([[1, 2.5], [3, 4]], None, 2), [[1, 2.5], [3, 4]])
    assert numbers([], None, 2).shape == (0, 2)
    wrong = [1, None, 'ab', [1, 2], [[1, 2], [3]], [[1, 'x' * 10**6]] * 1000, [[True, 1]], [[1, {}]], [[[1], [2]]]]
    for value in (*wrong, [[1, float('nan')]], [[1, float('inf')]], [[1, 10**400]], [[1, -1e300]], {'a': 1}):
        with pytest.raises(ValueError):
            numbers(value, None, 2)


# A run's folder


@pytest.mark.parametrize('tail', [*NO_OBJECTS, b'{"step": null}', b'{"step": 1e9}', b'{"step": "3"}', b'{"stap": 3}'])
def test_damaged_rows_of_metrics_are_left_out_and_counted(tail, tmp_path, capsys):
    good = [b'{"step": 5, "total": NaN}', b'{"step": 10, "total": 1}']
    (tmp_path / 'metrics.jsonl').write_bytes(b'\n'.join([good[0], tail, good[1], b'{"step": 99}', tail]) + b'\n')
    with Report(tmp_path, build(toy.default_config(), {}), 10, progress=False):
        pass
    assert (tmp_path / 'metrics.jsonl').read_bytes().splitlines() == good
    said = capsys.readouterr().err
    assert 'metrics.jsonl: 2 damaged lines left out' in said


def test_only_plain_numbers_are_steps(tmp_path):
    for name in ('²', '٣', '007', '1e3', '-1', '9' * 40, '5.orbax-checkpoint-tmp', '10', '20'):
        (tmp_path / 'checkpoints' / name).mkdir(parents=True)
    assert workdir.saved_steps(workdir.folder_of(tmp_path)) == [10, 20]


@pytest.mark.parametrize('content', [*NO_OBJECTS, b'{}', b'{"system": ["toy"]}', b'{"system": null}'])
def test_damaged_configs(content, tmp_path):
    (tmp_path / 'config.json').write_bytes(content)
    with pytest.raises(InputError, match=r'config\.json: damaged \(.*\); write it again') as error:
        workdir.read_config(tmp_path)
    line_of(error)


# Faces

ROW_VALUES = [
    {'descriptor': 3},
    {'descriptor': True},
    {'descriptor': [[0.0] * 128]},
    {'descriptor': [float('nan')] * 128},
    {'size': float('inf')},
    {'size': -1e308},
    {'size': 0},
    {'size': 10**30},
    {'size': '48'},
    {'frame': '\ud800'},
    {'frame': 1.5},
    {'frame': -1},
    {'frame': 2**40},
    {'track': [0]},
    {'time': float('inf')},
    {'box': [0, 0, 1, float('-inf')]},
    {'box': {'0': 1}},
    {'score': None},
    {'sharpness': 'sharp'},
    {'interpolated': 1},
    {'source': 5},
    {'file': ['one_000000.png']},
    {'face_type': {}},
    {'landmarks': [[0, 0]] * 67},
    {'landmarks_aligned': [[[0, 0]] * 68]},
    {'matrix': [1, 0, 0, 0, 1, 0]},
    {'polygon': [[0, 0], [1, 1]]},
    {'polygon': [[0, 0], [1, 1], [2]]},
    {'polygon': [[0, 1e300]] * 5},
]


def test_each_field_of_a_face_is_checked(tmp_path):
    faces = write_faces(tmp_path / 'faces')
    rows = (faces / 'faces.jsonl').read_bytes()
    for values in ROW_VALUES:
        edit_row(faces, 4, **values)
        with pytest.raises(InputError, match=r'faces\.jsonl: line 4 (is damaged \(.+\)|has another)') as error:
            load_faceset(faces)
        line_of(error)
        (faces / 'faces.jsonl').write_bytes(rows)
    for content in ('[' * DEEP, '{"file": ' * DEEP, '7', 'null', '"' + 'x' * 10**6 + '"'):
        edit_line(faces, 2, lambda _, content=content: content)
        with pytest.raises(InputError, match='line 2 is damaged') as error:
            load_faceset(faces)
        line_of(error)
        (faces / 'faces.jsonl').write_bytes(rows)
    assert len(load_faceset(faces)) == COUNT


def test_each_field_of_an_analysis_is_checked(tmp_path):
    path = tmp_path / 'into.jsonl'
    face = Face('a.mp4', 3, 0.1, (0.0, 0.0, 9.0, 9.0), 1.0, np.ones((68, 2), np.float32))
    Analysis('a.mp4', 64, 48, 9, [face]).save(path)
    head, row = map(json.loads, path.read_text().splitlines())
    assert len(load_analysis(path).faces) == 1
    names = row.keys()
    bad = [(head, row | values) for values in ROW_VALUES if values.keys() <= names]
    bad += [
        (head | {name: value}, row) for name in head for value in (None, {}, [1], -3, 'é' if name != 'source' else 1)
    ]
    bad += [(7, row), ([head], row), (head, [row]), (head, None)]
    assert len(bad) > 40
    for content in [json.dumps(a) + '\n' + json.dumps(b) for a, b in bad] + [
        '[' * DEEP,
        json.dumps(head) + '\n' + '[' * DEEP,
    ]:
        path.write_text(content)
        with pytest.raises(InputError, match=r'into\.jsonl: not an analysis.*delete it') as error:
            load_analysis(path)
        line_of(error)


def test_names_with_digits_of_other_scripts_are_sorted(tmp_path):
    names = ['²1.png', '10.png', '9.png', '٣.png', 'a².png']
    for name in names:
        write_image(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    assert sorted(p.name for p in media_files(tmp_path)) == sorted(names)


def test_the_names_of_a_dataset_are_no_program(tmp_path):
    """A width in a format string, and a path out of the folder."""
    for template in ('{DATASET:>9999999999}', '../{DATASET}', '{SPLIT.__class__}', '{', '\0', '\ud800', 'x' * 5000):
        info = {'name': 'a', 'splits': [{'name': 'train', 'shardLengths': ['1'], 'filepathTemplate': template}]}
        (tmp_path / 'dataset_info.json').write_text(json.dumps(info))
        with pytest.raises(InputError) as error:
            convert_dataset(tmp_path, tmp_path.parent / 'out')
        line_of(error)
    for content in (
        b'null',
        b'[' * DEEP,
        b'{"name": 1, "splits": []}',
        b'{"name": "a", "splits": {"a": 1}}',
        ODD_SHARDS,
    ):
        (tmp_path / 'dataset_info.json').write_bytes(content)
        with pytest.raises(InputError, match='damaged') as error:
            convert_dataset(tmp_path, tmp_path.parent / 'out')
        line_of(error)


# Arrays


def crafted(path: Path, shape: str, count: int = 8) -> Path:
    """An .npz whose one array says a shape, and has so many bytes."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    head += ' ' * (-(len(head) + 11) % 64) + '\n'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('x.npy', b'\x93NUMPY\x01\x00' + len(head).to_bytes(2, 'little') + head.encode() + bytes(count))
    return path


@pytest.mark.parametrize(
    'shape', ['(1000000, 1000000)', '(-2,)', '(2.0,)', '(10**9,)', '3', '("a",)', '(' * 900 + ')' * 900]
)
def test_arrays_that_the_file_does_not_hold(shape, tmp_path):
    with pytest.raises(ReadError, match=r'x\.npz: not an \.npz file of plain arrays, or damaged') as error:
        read_npz(crafted(tmp_path / 'x.npz', shape))
    line_of(error)
    assert read_npz(crafted(tmp_path / 'x.npz', '(2,)'))['x'].shape == (2,)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / 'bomb.npz'
    np.savez_compressed(path, x=np.zeros(2**23))
    assert read_npz(path)['x'].nbytes == 2**26  # what is small enough may be packed as well as it can be
    monkeypatch.setattr(foreign, 'PACKED', 2**25)
    with pytest.raises(ReadError, match=r'bomb\.npz: unpacks to 64 MB, more than 32'):
        read_npz(path)


def test_a_mutated_archive_is_refused_or_read(tmp_path):
    path = tmp_path / 'a.npz'
    np.savez_compressed(path, x=np.arange(24.0).reshape(4, 6), names=np.array(['a', 'bc']))
    whole, rng = path.read_bytes(), np.random.default_rng(5)
    for _ in range(300):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            broken[at] = int(rng.integers(256))
        path.write_bytes(broken)
        try:
            assert sum(array.nbytes for array in read_npz(path).values()) < 10_000
        except ReadError as error:
            assert '\n' not in str(error)


def test_a_motion_of_wrong_shapes(tmp_path):
    from dfjax.inference.driving import load_motion, save_motion, talk

    save_motion(talk('talk:1:1'), tmp_path / 'm.npz')
    whole = read_npz(tmp_path / 'm.npz')
    assert len(load_motion(tmp_path / 'm.npz')) > 5
    changes = [{k: v[..., None]} for k, v in whole.items()] + [{k: v[:-1]} for k, v in whole.items() if v.ndim]
    changes += [{'times': whole['times'][::-1]}, {'turn': whole['turn'] * np.nan}, {'scale': -whole['scale']}]
    changes += [{'landmarks': whole['landmarks'].astype(str)}, {'identity': whole['identity'] + np.inf}]
    for change in changes:
        np.savez(tmp_path / 'w.npz', **whole | change)
        with pytest.raises(ReadError, match='no motion'):
            load_motion(tmp_path / 'w.npz')


@pytest.mark.parametrize(
    'change',
    [
        {'steps': 10**4000},
        {'lr': 10**400},
        {'x' * 100_000: 1},
        {'batch_size': [1] * 10_000},
        {'batch_size': 'x' * 10_000},
        {'dtype': 'x' * 10_000},
        {'\ud800': 1},
        {'steps': float('nan')},
    ],
    ids=lambda change: str(change)[:20],
)
def test_configs_with_odd_values_are_one_short_line(change, tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps({'system': 'toy', **change}))
    with toy.installed(), pytest.raises(InputError, match=r'config\.json: config key') as error:
        workdir.read_config(tmp_path)
    assert len(line_of(error)) < 500

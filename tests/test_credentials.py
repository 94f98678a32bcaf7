"""Content credentials: what is written is read back, any change is seen, and nothing leaks or is left half done."""

import argparse
import json
import resource
import stat
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from cryptography import x509
from scipy.io import wavfile
from toy_jobs import same, transform_video

from dfjax import __version__
from dfjax.apps import verify
from dfjax.data.media import signing_key as signer
from dfjax.data.media.credentials import read_credentials, sign
from dfjax.data.media.video import VideoWriter
from dfjax.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
pytestmark = pytest.mark.filterwarnings('ignore:Chunk')  # SciPy's word about the credentials in a WAVE file
KINDS = ['.mp4', '.mov', '.m4v', '.jpg', '.jpeg', '.png', '.gif', '.webp', '.tif', '.wav']
SPEECH = Path(__file__).parents[2] / 'shared' / 'data' / 'faces' / 'a.mp4'


@pytest.fixture(autouse=True)
def own_key(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp('config')
    monkeypatch.setenv('XDG_CONFIG_HOME', str(folder))
    return folder / 'dfjax' / 'signer.pem'


def write(path):
    if path.suffix in ('.mp4', '.mov', '.m4v'):
        with VideoWriter(path, 25, (128, 96), sound=(np.zeros(8000), 16000)) as writer:
            for i in range(12):
                writer.write(np.roll(RGB, i, 1))
    elif path.suffix == '.wav':
        wavfile.write(path, 16000, (RGB.ravel() * 100).astype(np.int16))
    else:
        assert cv2.imwrite(str(path), RGB)
    return path


def content(path):
    if path.suffix in ('.mp4', '.mov', '.m4v'):
        with av.open(str(path)) as file:
            return [(p.stream.index, p.pts, p.dts, bytes(p)) for p in file.demux() if p.dts is not None]
    return wavfile.read(path)[1].tobytes() if path.suffix == '.wav' else cv2.imread(str(path)).tobytes()


@pytest.mark.parametrize('suffix', KINDS)
def test_what_is_signed_is_read_back_and_the_content_is_the_same(tmp_path, suffix):
    path = write(tmp_path / f'out{suffix}')
    before = content(path)
    assert read_credentials(path) is None
    sign(path, 'a face was swapped', composite=True, details={'system': 'faceswap', 'steps': 7})
    said = read_credentials(path)
    assert said.pop('when').startswith('20')
    assert said == {
        'ai_generated': True,
        'source_type': 'compositeWithTrainedAlgorithmicMedia',
        'generator': f'dfjax {__version__}',
        'description': 'a face was swapped',
        'details': {'system': 'faceswap', 'steps': '7'},
        'mark': None,
        'signer': signer.ORGANISATION,
        'intact': True,
        'problems': [],
    }
    assert content(path) == before and list(tmp_path.iterdir()) == [path]
    sign(path, 'sampled', mark=0xABC)
    again = read_credentials(path)
    assert again['mark'] == '000000000abc'
    assert again['source_type'] == 'trainedAlgorithmicMedia' and again['description'] == 'sampled' and again['intact']


@pytest.mark.parametrize('suffix', KINDS)
def test_every_change_of_the_content_is_seen(tmp_path, suffix):
    path = write(tmp_path / f'out{suffix}')
    payload = path.read_bytes()
    sign(path)
    data = path.read_bytes()
    # A stretch of the unsigned file from its middle is found again in the signed one: that is content for certain.
    middle = len(payload) // 2
    at = data.index(payload[middle : middle + 64])
    for offset in (at, at + 13, at + 63):
        changed = bytearray(data)
        changed[offset] ^= 1
        path.write_bytes(changed)
        said = read_credentials(path)
        assert said['intact'] is False and said['problems'] and said['ai_generated'] is True
    # Anywhere in the file, credentials included: never an error, never another story told as if it were intact.
    path.write_bytes(data)
    truth = read_credentials(path)
    for offset in np.random.default_rng(0).integers(0, len(data), 40):
        changed = bytearray(data)
        changed[offset] ^= 0x55
        path.write_bytes(changed)
        try:
            said = read_credentials(path)
        except InputError:
            continue
        assert said is None or not said['intact'] or said == truth


def test_verify_reports_each_file(tmp_path, capsys):
    marked, plain, changed = (write(tmp_path / f'{n}.png') for n in ('marked', 'plain', 'changed'))
    sign(marked), sign(changed)
    data = bytearray(changed.read_bytes())
    data[-40] ^= 1  # in the pixels: PNG credentials come first
    changed.write_bytes(data)
    parser = argparse.ArgumentParser()
    verify.add_arguments(parser)
    report = verify.run(parser.parse_args([str(p) for p in (marked, plain, changed)]))
    assert [row['status'] for row in report['files']] == ['intact', 'unmarked', 'tampered']
    assert [row['ai_generated'] for row in report['files']] == [True, None, True]
    assert report['ok'] is False and json.dumps(report)
    assert verify.run(parser.parse_args([str(marked)]))['ok'] is True


@pytest.mark.parametrize('name', ['missing.png', 'empty.png', 'text.mp4', 'text.png', 'text.jpg', 'film.mkv', 'folder'])
def test_bad_files_are_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    if name == 'folder':
        path.mkdir()
    elif name != 'missing.png':
        path.write_bytes(b'' if 'empty' in name else b'some text\n' * 50)
    with pytest.raises(InputError) as error:
        sign(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)
    if not name.startswith('text'):
        with pytest.raises(InputError):
            read_credentials(path)
    assert list(tmp_path.iterdir()) == ([] if 'missing' in name else [path])


def test_a_failed_signature_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = write(tmp_path / 'out.png')
    before, limit = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr('shutil.disk_usage', lambda _: argparse.Namespace(free=100))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
        with pytest.raises(InputError, match='the disk is full'):
            sign(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_key_is_made_once_and_is_the_users_alone(tmp_path, own_key):
    path = write(tmp_path / 'out.png')
    sign(path)
    first = own_key.read_bytes()
    assert stat.S_IMODE(own_key.stat().st_mode) == 0o600 and list(own_key.parent.iterdir()) == [own_key]
    signer.identity.cache_clear()  # as a new process would
    sign(path)
    assert own_key.read_bytes() == first
    leaf, root = x509.load_pem_x509_certificates(first[first.index(signer.CERTIFICATE) :])
    leaf.verify_directly_issued_by(root)
    assert first.count(b'PRIVATE KEY') == 2  # its begin and its end: the root's key is not kept
    assert b'PRIVATE KEY' not in path.read_bytes()


def test_a_damaged_key_is_named_and_an_expired_one_replaced(tmp_path, own_key, monkeypatch):
    path = write(tmp_path / 'out.png')
    monkeypatch.setattr(signer, 'DAYS', -0.5)
    sign_error = None
    try:
        sign(path)  # makes a key that has run out; whether it can be used at all is up to the library
    except InputError as error:
        sign_error = error
    old = own_key.read_bytes()
    monkeypatch.undo()
    monkeypatch.setenv('XDG_CONFIG_HOME', str(own_key.parents[1]))
    signer.identity.cache_clear()
    sign(path)
    assert own_key.read_bytes() != old and read_credentials(path)['intact'], sign_error
    own_key.write_bytes(b'rubbish')
    signer.identity.cache_clear()
    with pytest.raises(InputError, match=r'signer\.pem'):
        sign(path)


def test_a_home_that_cannot_be_written_does_not_stop_signing(tmp_path, monkeypatch):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CONFIG_HOME', str(tmp_path / 'file'))
    path = write(tmp_path / 'out.png')
    sign(path)
    assert read_credentials(path)['intact']


def test_modules_import_nothing_heavy():
    code = 'import sys, dfjax.apps.verify, dfjax.data.media.credentials; print([m for m in sys.modules if m in '
    code += "('av', 'cv2', 'c2pa', 'jax', 'cryptography')])"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip() == '[]'


@pytest.mark.skipif(not SPEECH.exists(), reason='the shared videos are not here')
def test_a_real_video_is_signed_and_still_plays(tmp_path):
    path = tmp_path / 'out.mp4'
    transform_video(SPEECH, path, same, batch=8)
    before = content(path)
    sign(path, composite=True)
    assert read_credentials(path)['intact'] and content(path) == before
    data, middle = bytearray(path.read_bytes()), [packet[-1] for packet in before if packet[0] == 0][-9]
    video = cv2.VideoCapture(str(path))
    assert sum(video.grab() for _ in range(400)) == 354
    data[data.index(middle)] ^= 1  # late in the file, which is hashed in pieces
    path.write_bytes(data)
    assert not read_credentials(path)['intact']

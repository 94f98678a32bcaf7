"""What the studio takes: uploads, their names, their room, and paths."""

import asyncio
import sys
import time

import pytest
from studio_client import ORIGIN, PNG, posted, sent

from dfjax.apps.studio.uploads import Refused, Uploads, shown

pytest.importorskip('starlette', reason="the studio's extra is not installed: pip install -e '.[studio]'")
pytest.importorskip('httpx', reason='httpx is not installed: pip install httpx')

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='the studio needs WSL on Windows')


def test_an_upload_is_kept_under_a_name_of_ours(studio):
    client, folder = studio
    answer = sent(client, name='..%2F..%2F..%2Fetc%2Fpasswd.png').json()
    assert answer['name'] == 'passwd.png' and answer['kind'] == 'image' and 'path' not in answer
    files = [path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()]
    assert sorted(f for f in files if 'uploads' in f) == [
        f'.studio/uploads/{answer["id"]}/about.json',
        f'.studio/uploads/{answer["id"]}/file.png',
    ]
    stored = client.get(f'/api/uploads/{answer["id"]}/file')
    assert stored.content == PNG and stored.headers['content-type'] == 'image/png'


@pytest.mark.parametrize(
    ('name', 'label'),
    [('../../a.mp4', 'a.mp4'), ('C:\\x\\b.mp4', 'b.mp4'), ('a\0\n\u202eb', 'ab'), ('', 'file'), ('x' * 999, 'x' * 80)],
)
def test_names_are_shown_harmless(name, label):
    assert shown(name) == label


@pytest.mark.parametrize(
    'data',
    [
        b'<html><script>alert(1)</script></html>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
        b'#!/bin/sh\nrm -rf /\n',
        b'%PDF-1.7 ...............',
        b'\x7fELF' + bytes(100),
        b'PK\x03\x04' + bytes(100),
        b'',
        b'x',
    ],
)
def test_files_are_what_they_hold_whatever_they_are_called(studio, data):
    client, folder = studio
    answer = sent(client, data, 'holiday.mp4')
    assert answer.status_code == 415 and 'holiday.mp4' in answer.json()['error']
    assert not list((folder / '.studio/uploads').iterdir())


def test_too_large_an_upload_is_refused_before_it_is_read(studio):
    client, folder = studio
    assert sent(client, PNG + bytes(200_000)).status_code == 413

    def chunks():  # no length is said: it is counted as it comes
        yield PNG
        for _ in range(40):
            yield bytes(10_000)

    answer = client.post('/api/uploads', content=chunks(), headers=ORIGIN)
    assert answer.status_code == 413 and not list((folder / '.studio/uploads').iterdir())


def test_a_lie_about_the_length_of_what_is_no_upload(studio):
    client, _ = studio
    assert client.post('/api/jobs', content=b'{' * 100_000, headers=ORIGIN).status_code == 413

    def chunks():
        for _ in range(20):
            yield b'[' * 10_000

    assert client.post('/api/jobs', content=chunks(), headers=ORIGIN).status_code == 413


def test_an_upload_that_is_cut_off_leaves_nothing(tmp_path):
    uploads = Uploads(tmp_path, 10**6)

    async def chunks():
        yield PNG
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(uploads.take(chunks(), 'a.png'))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_first(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path, 10**6)
    monkeypatch.setattr('shutil.disk_usage', lambda path: type('Usage', (), {'free': 10**6})())

    async def chunks():
        yield PNG

    with pytest.raises(Refused, match='disk is nearly full') as refused:
        asyncio.run(uploads.take(chunks(), 'a.png'))
    assert refused.value.status == 507


def test_a_large_upload_takes_little_memory(tmp_path):
    """64 MB, in pieces as they come from a socket."""
    import tracemalloc

    uploads = Uploads(tmp_path, 10**9)

    async def chunks():
        yield PNG
        for _ in range(1024):
            yield bytes(1 << 16)

    tracemalloc.start()
    about = asyncio.run(uploads.take(chunks(), 'a.png'))
    assert about['bytes'] == len(PNG) + (64 << 20) and tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_old_uploads_go_and_those_of_jobs_stay(tmp_path):
    uploads = Uploads(tmp_path, 10**6)

    async def chunks():
        yield PNG

    first, second = (asyncio.run(uploads.take(chunks(), 'a.png'))['id'] for _ in range(2))
    (tmp_path / 'half').mkdir()
    uploads.sweep({first})
    assert {path.name for path in tmp_path.iterdir()} == {first, second}  # what a crash left half is gone
    uploads.sweep({first}, now=time.time() + 2 * 24 * 3600)
    assert {path.name for path in tmp_path.iterdir()} == {first}


@pytest.mark.parametrize(
    'which', ['..', '..%2f..', '%2e%2e', '0123', 'x' * 16, '..%2f..%2fconsent', 'ABCDEF0123456789']
)
def test_no_path_leads_out_of_the_folder(studio, which):
    client, folder = studio
    (folder / '.studio/consent.json').write_text('{}')
    for path in (f'/api/uploads/{which}/file', f'/api/uploads/{which}/poster', f'/api/shots/{which}'):
        assert client.get(path).status_code in (401, 404)
    for path in (f'/api/curves/{which}', f'/api/previews/{which}', f'/api/details/{which}', f'/api/jobs/{which}/file'):
        assert client.get(path).status_code in (400, 404)
    for run in (which, f'../{folder.name}', str(folder), '/etc', '.studio'):
        assert posted(client, '/api/runs/delete', {'run': run}).status_code == 404
    assert folder.is_dir()

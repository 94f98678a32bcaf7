"""The studio's server: who may ask, what is taken, how jobs live; no job here is a training."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dfjax.apps.studio import runs as kept
from dfjax.apps.studio.again import gone_on, used_now
from dfjax.apps.studio.commands import Form, build
from dfjax.apps.studio.jobs import Jobs
from dfjax.apps.studio.progress import progress_of
from dfjax.apps.studio.store import Locked, free_name, is_locked, write_json
from dfjax.apps.studio.uploads import Refused, Uploads, shown
from dfjax.errors import InputError
from dfjax.inference.settings import Settings

pytest.importorskip('starlette', reason="the studio's extra is not installed: pip install -e '.[studio]'")
pytest.importorskip('httpx', reason='httpx is not installed: pip install httpx')

TOKEN, HOST = 'secret-token', '127.0.0.1:7860'
ORIGIN = {'Origin': f'http://{HOST}'}
PNG = bytes.fromhex(
    '89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0f01f00050001ff'
) + bytes(64)  # the head of one will do for what is asked here


class Blind:
    """Stands for the process that looks at uploads and runs: sees nobody anywhere."""

    def __init__(self):
        self.asked = []

    def ask(self, do, patience=0, **what):
        self.asked.append(do)
        if do == 'look':
            found = {'kind': 'video' if what['path'].endswith('.mp4') else 'image', 'people': [0.9, 0.3]}
            write_json(Path(what['folder']) / 'look.json', found)
            return found
        if do == 'abilities':
            return {}
        return {'seconds': 0, 'step': 1, 'faces': 1}

    def close(self):
        pass


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """(a client with the cookie, the folder); its jobs are queued and never start."""
    from starlette.testclient import TestClient

    from dfjax.apps.studio.app import build_app
    from dfjax.apps.studio.guard import Guard

    monkeypatch.setattr(Jobs, 'watch', lambda self: type('Thread', (), {'join': lambda self: None})())
    app, _ = build_app(tmp_path, {'bytes': 200_000, 'minutes': 1}, Blind())
    guarded = Guard(app, TOKEN, {'127.0.0.1', 'localhost'}, {'.proxy.example'}, 7860, 200_000)
    with TestClient(guarded, base_url=f'http://{HOST}', follow_redirects=False) as client:
        client.cookies.set('dfjax-7860', TOKEN)
        yield client, tmp_path


def sent(client, data=PNG, name='a.png'):
    return client.post('/api/uploads', content=data, headers=ORIGIN | {'X-Name': name})


def posted(client, path, said):
    return client.post(path, content=json.dumps(said), headers=ORIGIN)


def a_run(folder, name='swap-1.mp4.run', **config):
    run = folder / name
    run.mkdir(parents=True)
    (run / 'config.json').write_text(json.dumps({'system': 'toy', 'steps': 100, 'batch_size': 8} | config))
    return run


# Who may ask


def test_the_token_becomes_a_strict_cookie_and_leaves_the_address(studio):
    client, _ = studio
    client.cookies.clear()
    answer = client.get('/', params={'token': TOKEN})
    cookie = answer.headers['set-cookie']
    assert answer.status_code == 200 and 'url=/"' in answer.text and TOKEN not in answer.text
    assert cookie.startswith(f'dfjax-7860={TOKEN};') and 'HttpOnly' in cookie and 'SameSite=Strict' in cookie
    assert answer.headers['referrer-policy'] == 'no-referrer'


@pytest.mark.parametrize('path', ['/', '/app.js', '/api/state', '/api/uploads/0123456789abcdef/file', '/nowhere'])
def test_nothing_is_told_without_the_token(studio, path):
    client, _ = studio
    client.cookies.clear()
    assert client.get(path).status_code == 401
    assert client.get(path, params={'token': 'guess'}).status_code == 401
    client.cookies.set('dfjax-7860', 'guess')
    assert client.get(path).status_code == 401
    client.cookies.set('dfjax-7861', TOKEN)  # another studio's
    assert client.get(path).status_code == 401


@pytest.mark.parametrize('host', ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'xproxy.example'])
def test_strangers_names_are_refused_though_they_lead_here(studio, host):
    """DNS rebinding: a page of evil.example, which has 127.0.0.1 for its address, is of the same origin as itself."""
    client, _ = studio
    headers = {'Host': host, 'Cookie': f'dfjax-7860={TOKEN}'}
    assert client.get('/api/state', headers=headers).status_code == 400
    answer = client.post('/api/consent', headers=headers | {'Origin': f'http://{host}'}, content='{"agree": true}')
    assert answer.status_code == 400


@pytest.mark.parametrize('host', ['localhost:7860', '127.0.0.1:9999', 'a.proxy.example'])
def test_names_that_were_allowed_may_ask(studio, host):
    client, _ = studio
    headers = {'Host': host, 'Cookie': f'dfjax-7860={TOKEN}'}
    assert client.get('/api/state', headers=headers).status_code == 200


@pytest.mark.parametrize(
    'origin', [None, 'null', 'http://evil.example', 'http://127.0.0.1:7861', 'http://localhost:7860', '']
)
def test_only_the_studios_own_page_may_change_anything(studio, origin):
    """Also another server of this machine is a stranger."""
    client, folder = studio
    headers = {} if origin is None else {'Origin': origin}
    for path, body in (('/api/uploads', PNG), ('/api/consent', b'{"agree": true}'), ('/api/jobs', b'{}')):
        assert client.post(path, content=body, headers=headers).status_code == 403
    assert not (folder / '.studio/consent.json').exists()
    assert not list((folder / '.studio/uploads').iterdir())


def test_a_proxy_that_was_allowed_is_known_by_its_origin(studio):
    client, _ = studio
    for origin, status in (('https://a.proxy.example', 200), ('https://proxy.example.evil.example', 403)):
        assert client.post('/api/consent', headers={'Origin': origin}, content='{"agree": true}').status_code == status


def test_what_browsers_say_of_the_sender_counts(studio):
    client, _ = studio
    assert client.get('/api/state', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 403
    assert client.get('/api/state', headers={'Sec-Fetch-Site': 'same-site'}).status_code == 403
    assert client.get('/api/state', headers={'Sec-Fetch-Site': 'same-origin'}).status_code == 200
    assert client.get('/', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 200  # a link to it may be followed


def test_pages_can_load_nothing_from_elsewhere_and_nobody_can_frame_them(studio):
    client, _ = studio
    for path in ('/', '/app.js', '/style.css', '/api/state'):
        answer = client.get(path)
        policy = answer.headers['content-security-policy']
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and 'http' not in policy
        assert 'unsafe' not in policy and answer.headers['x-content-type-options'] == 'nosniff'


def test_the_page_names_no_other_host():
    page = Path(kept.__file__).parent / 'page'
    for path in page.iterdir():
        text = path.read_text().replace('http://www.w3.org/2000/svg', '')
        assert not any(word in text for word in ('http:', 'https:', '@import', 'innerHTML', 'eval(')), path.name
        assert path.suffix != '.html' or not any(word in text for word in (' style=', 'onclick')), (
            'its policy blocks them'
        )


def test_websockets_are_refused(studio):
    from starlette.websockets import WebSocketDisconnect

    client, _ = studio
    with pytest.raises(WebSocketDisconnect), client.websocket_connect('/api/state'):
        pass


# What is taken


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


# What is asked for


@pytest.fixture
def form(tmp_path):
    """A function of what the page says that gives the job; uploads 'face' and 'film', with two people each."""
    uploads = Uploads(tmp_path / '.studio/uploads', 10**6)
    ids = {}
    for name, data in (
        ('face', PNG),
        ('film', b'\0\0\0\x18ftypisom' + bytes(64)),
        ('sound', b'RIFF\0\0\0\0WAVE' + bytes(64)),
    ):

        async def chunks(data=data):
            yield data

        ids[name] = asyncio.run(uploads.take(chunks(), name))['id']
        kind = {'face': 'image', 'film': 'video', 'sound': 'sound'}[name]
        write_json(uploads.folder / ids[name] / 'look.json', {'kind': kind, 'people': [0.9, 0.3]})
    runs = {'vae': a_run(tmp_path, 'vae')}

    def made(consent='', **said):
        said = {key: ids.get(value, value) if isinstance(value, str) else value for key, value in said.items()}
        said = {k: [ids.get(x, x) for x in v] if isinstance(v, list) else v for k, v in said.items()}
        return build(Form(said, uploads, runs, tmp_path, set(), consent))

    return made


LAID = {'mode': 'seamless', 'mask': 'segment', 'mask_net': 'vae', 'colour': 'mkl', 'scale': 1.1}
LAID |= {'erode': -0.02, 'blur': 0.05, 'sharpen': 0.5}
FORMS = [
    {'verb': 'swap', 'face': ['film'], 'into': 'film', 'minutes': 10, 'whom': 1, 'person': 1, 'config': 'toy:smoke'},
    {'verb': 'swap', 'face': ['face', 'film'], 'into': 'film', 'minutes': 0, 'start_from': 'vae'},
    {'verb': 'convert', 'run': 'vae', 'into': 'film', 'person': 1, **LAID},
    {'verb': 'convert', 'run': 'vae', 'into': 'face', 'mode': 'overlay', 'erode': 0, 'mask_net': None},
    {'verb': 'animate', 'image': 'face', 'driving': 'film', 'person': 0, 'pose': False, 'absolute': True},
    {'verb': 'animate', 'image': 'face', 'seconds': 3, 'seed': 5, 'gain': 0.5},
    {'verb': 'lipsync', 'face': 'film', 'audio': 'sound', 'loop': True, 'keep': True},
    {'verb': 'edit', 'input': 'face', 'run': 'vae', 'amounts': {'smile': 1.5, 'glasses': -1}},
    {'verb': 'morph', 'stops': ['face', 'face'], 'run': 'vae', 'loop': True, 'kind': 'gif'},
    {'verb': 'translate', 'input': 'film', 'run': 'vae', 'labels': {'smile': 1}},
    {'verb': 'translate', 'input': 'film', 'run': 'vae', 'side': 'ba'},
    {'verb': 'stylize', 'input': 'face', 'pattern': 'mosaic', 'strength': 2},
    {'verb': 'stylize', 'input': 'face', 'like': 'face'},
    {'verb': 'stylize', 'input': 'film', 'run': 'vae'},
    {'verb': 'sample', 'run': 'vae', 'count': 4, 'seed': 3},
    {'verb': 'export', 'run': 'vae', 'net': 'decoder'},
    {'verb': 'train', 'config': 'vae:smoke'},
    {'verb': 'train', 'run': 'vae', 'minutes': 5},
]


def test_every_job_with_a_face_says_that_they_agree(form):
    """The verbs that take --consent put it into the credentials and the run."""
    from dfjax.apps.cli import build_parser

    for said in FORMS:
        words = form(**said, consent='all agree')['commands'][-1]
        takes = 'consent' in build_parser(words[0], words[1:]).parse_args(words[1:])
        assert ('--consent=all agree' in words) == takes, words[0]


@pytest.mark.parametrize('said', FORMS, ids=lambda said: said['verb'])
def test_every_form_becomes_a_command_line_that_the_program_takes(form, said):
    from dfjax.apps.cli import build_parser

    job = form(**said)
    lines = [*job['commands'], *(used_now(job) + gone_on(job, 5) if said['verb'] == 'swap' else gone_on(job, None))]
    for words in lines:
        args = build_parser(words[0], words[1:]).parse_args([*words[1:], '--json'])
        assert args.json and str(args.out).startswith(str(Path(job['out']).parent))


def test_a_swap_is_used_and_gone_on_with_by_the_same_command(form):
    job = form(**FORMS[0])
    assert [words[0] for words in job['commands']] == ['extract', 'swap']  # of the one who was clicked
    assert '--minutes=10' in job['commands'][1] and job['minutes'] == 10
    now, on = used_now(job)[-1], gone_on(job, 25)[-1]
    assert '--instant' in now and '--force' in now and not any('--minutes' in word for word in now)
    assert '--minutes=25' in on and '--force' in on and '--minutes=10' not in on
    assert {*now} - {'--instant', '--force'} == {*job['commands'][1]} - {'--minutes=10'}
    Path(job['commands'][0][-1].removeprefix('--out=')).mkdir()  # the faces are there: they are not sought again
    assert [words[0] for words in gone_on(job, 25)] == ['swap']


@pytest.mark.parametrize(
    'said',
    [
        {},
        {'verb': 'demo'},
        {'verb': ['swap']},
        {'verb': 'swap', 'into': 'film'},
        {'verb': 'swap', 'face': [], 'into': 'film'},
        {'verb': 'swap', 'face': 'film', 'into': 'film'},
        {'verb': 'swap', 'face': ['sound'], 'into': 'film'},
        {'verb': 'swap', 'face': ['film'], 'into': '/etc/passwd'},
        {'verb': 'swap', 'face': ['film'], 'into': '../film'},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'minutes': -1},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'minutes': float('nan')},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'minutes': True},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'minutes': '10; rm -rf /'},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'config': '/tmp/evil.py:x'},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'config': '../evil:x'},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'colour': '--force'},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'person': 7},
        {'verb': 'swap', 'face': ['film'], 'into': 'film', 'start_from': '/'},
        {'verb': 'convert', 'run': 'vae'},
        {'verb': 'convert', 'run': '../vae', 'into': 'film'},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'mode': '--force'},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'mode': ['raw']},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'mode': 'raw', 'erode': 0.1},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'mask': 'segment'},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'mask': 'segment', 'mask_net': '/tmp'},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'erode': 0.3},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'blur': True},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'sharpen': '1'},
        {'verb': 'convert', 'run': 'vae', 'into': 'film', 'scale': float('nan')},
        {'verb': 'edit', 'input': 'face', 'run': 'vae', 'amounts': {'--out': 1}},
        {'verb': 'edit', 'input': 'face', 'run': 'vae', 'amounts': {'a=b': 1}},
        {'verb': 'edit', 'input': 'face', 'run': 'vae', 'amounts': {'smile': 1e9}},
        {'verb': 'edit', 'input': 'face', 'run': 'vae', 'amounts': {}},
        {'verb': 'edit', 'input': 'face', 'run': '../vae', 'amounts': {'smile': 1}},
        {'verb': 'morph', 'stops': ['face'], 'run': 'vae'},
        {'verb': 'morph', 'stops': ['face', 'face'], 'run': 'vae', 'kind': 'exe'},
        {'verb': 'animate', 'image': 'film', 'driving': 'film'},
        {'verb': 'stylize', 'input': 'film', 'pattern': 'mosaic'},
        {'verb': 'export', 'run': 'vae', 'net': '../x'},
        {'verb': 'train', 'config': '/tmp/evil.py:x'},
        {'verb': 'train', 'run': '../x'},
        {'verb': 'train'},
    ],
    ids=lambda said: ' '.join(map(str, said.items()))[:60],
)
def test_forms_that_no_page_of_ours_sends_are_refused(form, said):
    with pytest.raises(InputError):
        form(**said)


def test_what_the_page_says_of_laying_in_is_what_the_command_does(form):
    """The command's own reader gives the settings back; what is as always is not said."""
    from dfjax.apps.cli import build_parser
    from dfjax.apps.merging import settings_of

    (words,) = form(verb='convert', run='vae', into='film', **LAID)['commands']
    settings = settings_of(build_parser(words[0]).parse_args(words[1:]))
    assert settings.mask_net.endswith('/vae') and {**vars(settings), 'mask_net': 'vae'}.items() >= LAID.items()
    (plain,) = form(verb='convert', run='vae', into='film', mode='overlay', mask='auto', erode=0, scale=1)['commands']
    assert [word.split('=')[0] for word in plain] == ['convert', '--run', '--into', '--out']


def test_a_frame_is_shown_as_the_page_says(studio, tmp_path, monkeypatch):
    client, folder = studio
    a_run(folder, 'vae')
    which, asked = sent(client).json()['id'], []
    monkeypatch.setattr(Blind, 'ask', lambda self, do, **what: asked.append((do, what)) or {'faces': 1})
    said = {'run': 'vae', 'upload': which, 'seconds': 1.5, 'mode': 'hist-match', 'blur': 0.1}
    assert posted(client, '/api/frame', said).json() == {'faces': 1}
    ((do, what),) = asked
    assert do == 'frame' and what['seconds'] == 1.5 and Settings(**what['look']) == Settings('hist-match', blur=0.1)
    assert json.loads(json.dumps(what))['look']['mode'] == 'hist-match'
    for wrong in ({'mode': 'x'}, {'blur': 9}, {'mode': 'raw', 'blur': 0.1}, {'mask_net': 'none'}, {'upload': 'x'}):
        assert posted(client, '/api/frame', said | wrong).status_code in (400, 404)
    assert len(asked) == 1


def test_consent_is_asked_before_the_first_face_and_kept(studio):
    client, folder = studio
    which = sent(client).json()['id']
    client.get(f'/api/uploads/{which}')
    said = {'verb': 'stylize', 'input': which, 'pattern': 'mosaic'}
    assert posted(client, '/api/jobs', said).status_code == 409
    assert posted(client, '/api/consent', {'agree': 'no'}).status_code == 400
    assert posted(client, '/api/jobs', said).status_code == 409
    assert posted(client, '/api/consent', {'agree': True}).status_code == 200
    job = posted(client, '/api/jobs', said).json()
    assert job['state'] == 'queued' and client.get('/api/state').json()['consent'] is True
    stored = json.loads((folder / '.studio/jobs' / job['id'] / 'job.json').read_text())
    assert stored['state'] == 'queued'


def test_there_is_an_end_to_the_queue(studio):
    client, _ = studio
    which = sent(client).json()['id']
    client.get(f'/api/uploads/{which}')
    posted(client, '/api/consent', {'agree': True})
    said = {'verb': 'stylize', 'input': which, 'pattern': 'mosaic'}
    answers = [posted(client, '/api/jobs', said).status_code for _ in range(21)]
    assert answers == [200] * 20 + [400]
    names = {job['out'] for job in client.get('/api/state').json()['jobs']}
    assert len(names) == 20  # each has a name of its own


# Jobs


BAR = """
import sys
print('faces of a.mp4:  25%|##  | 1/4 [00:01<00:03,  1.00frame/s]', file=sys.stderr, flush=True)
"""


def job_of(folder, body='pass', **more):
    """A job that runs a verb of the test's own: `run` in a module that stands for the command line."""
    job = {'verb': 'swap', 'title': 't', 'out': str(folder / 'out.mp4'), 'run': None, 'commands': [['x', body]]}
    return (
        job
        | {
            'line': '',
            'uses': {'0123456789abcdef': 'holiday.mp4'},
            'inputs': {},
            'can': ['now', 'train'],
            'minutes': None,
        }
        | more
    )


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Jobs whose command line is Python's own text: `sitecustomize` puts it in the place of `cli.main`."""
    site = tmp_path / 'site'
    site.mkdir()
    (site / 'sitecustomize.py').write_text(
        'import sys\n'
        'class Cli:\n'
        '    @staticmethod\n'
        '    def main(words):\n'
        '        scope = {}\n'
        '        try:\n'
        '            exec(words[1], scope)\n'
        '        except KeyboardInterrupt:\n'
        '            return 130\n'
        '        return scope.get("status", 0)\n'
        'sys.modules["dfjax.apps.cli"] = Cli\n'
    )
    root = Path(__file__).parents[1]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(site), str(root)]))
    folder = tmp_path / 'studio'
    folder.mkdir()
    made = Jobs(folder)
    yield made
    for child in made._children.values():
        child.kill()
        child.wait()


def until(jobs, which, *states, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs.tick()
        if (job := jobs.get(which))['state'] in states:
            return job
        time.sleep(0.05)
    pytest.fail(f'{jobs.get(which)["state"]} and not {states}')


def ready(path, seconds=20):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)


WAITS = 'import time\nopen("{mark}", "w").close()\ntime.sleep(60)'


def test_a_job_runs_alone_and_the_next_begins_when_it_has_ended(jobs):
    folder = jobs.folder
    body = f"""
import os, time
open("{folder}/first", "w").close()
while not os.path.exists("{folder}/go"):
    time.sleep(0.02)
print('{{"frames": 7}}')
"""
    first, second = jobs.add(job_of(folder, BAR + body))['id'], jobs.add(job_of(folder))['id']
    until(jobs, first, 'running')
    ready(folder / 'first')
    told = jobs.shown(jobs.get(first))
    assert jobs.get(second)['state'] == 'queued' and jobs.shown(jobs.get(second))['ahead'] == 1
    assert told['progress']['share'] == 0.25 and told['progress']['left'] == 3
    (folder / 'go').touch()
    until(jobs, first, 'done')
    assert jobs.shown(jobs.get(first))['report'] == {'frames': 7}
    until(jobs, second, 'done')


def test_cancelling_is_ctrl_c_and_use_it_now_goes_on_at_once(jobs):
    folder = jobs.folder
    which = jobs.add(job_of(folder, WAITS.format(mark=folder / 'mark')))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    jobs.stop(which, [['x', 'print(\'{"used": 1}\')']])
    until(jobs, which, 'done')
    assert jobs.shown(jobs.get(which))['report'] == {'used': 1}
    assert json.loads((jobs.place / which / 'status').read_text()) == {'status': 0}


def test_a_training_that_is_good_enough_is_told_so_by_its_file(jobs):
    """It saves and goes on to write its video, in the same process, see `training.stop`."""
    folder = jobs.folder
    run = a_run(folder)
    body = f"""
import os, sys, time
print('toy 3/10 ##   00:01, 00:02 left, 3 steps/s', file=sys.stderr, flush=True)
open("{folder}/mark", "w").close()
while not os.path.exists("{run}/stop"):
    time.sleep(0.02)
print('{{"steps": 3}}')
"""
    which = jobs.add(job_of(folder, body, run=str(run), minutes=10))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    assert 'left' in jobs.shown(jobs.get(which))['progress'] and jobs.get(which)['budget'] == 10
    jobs.enough(which, [['x', 'status = 1']])
    assert jobs.get(which)['state'] == 'running' and jobs.get(which)['budget'] is None
    until(jobs, which, 'done')
    assert jobs.shown(jobs.get(which))['report'] == {'steps': 3}


def test_what_does_not_stop_is_ended_by_force_when_it_is_asked_again(jobs):
    folder = jobs.folder
    body = 'import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n' + WAITS.format(mark=folder / 'mark')
    which = jobs.add(job_of(folder, body))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    jobs.stop(which)
    jobs.stop(which)  # too soon: it may be saving
    jobs.tick()
    assert jobs.get(which)['state'] == 'stopping'
    jobs._jobs[which]['asked'] -= 60
    jobs.stop(which)
    until(jobs, which, 'stopped')


def test_a_studio_that_is_started_again_finds_its_jobs(jobs):
    """One that lives is still at work, one that ended meanwhile has its status, and the queue goes on."""
    folder = jobs.folder
    which = jobs.add(job_of(folder, WAITS.format(mark=folder / 'mark')))['id']
    until(jobs, which, 'running')
    ready(folder / 'mark')
    later = jobs.add(job_of(folder))['id']
    again = Jobs(folder)
    assert again.get(which)['state'] == 'running' and again.get(later)['state'] == 'queued'
    again.stop(which)
    jobs._children[which].wait(20)  # it is this process's child, whoever told it to end
    until(again, which, 'stopped')
    until(again, later, 'done')


def test_a_job_that_was_killed_has_failed(jobs):
    folder = jobs.folder
    which = jobs.add(job_of(folder, WAITS.format(mark=folder / 'mark')))['id']
    pid = until(jobs, which, 'running')['pid']
    ready(folder / 'mark')
    os.kill(pid, signal.SIGKILL)
    until(jobs, which, 'failed')
    assert 'memory' in jobs.shown(jobs.get(which))['why']


def test_a_job_that_fails_says_why(jobs):
    body = (
        'import sys\nprint("dfjax: /x/uploads/0123456789abcdef/file.mp4: no face found", file=sys.stderr)\nstatus = 2'
    )
    which = jobs.add(job_of(jobs.folder, body))['id']
    until(jobs, which, 'failed')
    assert jobs.shown(jobs.get(which))['why'] == 'holiday.mp4: no face found'
    which = jobs.add(job_of(jobs.folder, '1 / 0'))['id']
    until(jobs, which, 'failed')
    assert 'ZeroDivisionError' in jobs.shown(jobs.get(which))['why']


@pytest.mark.parametrize(
    ('log', 'what', 'share', 'left'),
    [
        ('', '', None, None),
        ('faces of a.mp4: 0frame [00:00, ?frame/s]', 'faces of a.mp4', None, None),
        ('faces of a.mp4: 12frame [00:02, 6.0frame/s]', 'faces of a.mp4', None, None),
        ('faceswap:   3%|3         | 300/10000 [01:02:03<10:20:30,  3.1s/ step, total=0.3]', 'faceswap', 0.03, 37230),
        ('x:  10%|1  | 1/10 [00:01<00:09]\rx:  50%|5  | 5/10 [00:05<00:05]\nsaved\n', 'x', 0.5, 5),
        ('x:   0%|   | 0/10 [00:00<?, ? step/s]', 'x', 0.0, None),
        ('x: 100%|###| 9/9 [00:09<00:00, 1.0frame/s]\ncompiling the training step\n', '', None, None),
        ('x:  50%|#  | 4/8 [00:04<00:04, 1.0frame/s]\nleft out: y\n', 'x', 0.5, 4),
        ('vae 300/10000 ##█      1:02:03, 10:20 left, 15.45 steps/s, total=0.3', 'vae', 0.03, 620),
        ('vae 0/30              00:00, ? left, ? steps/s', 'vae', 0.0, None),
    ],
)
def test_progress_is_read_from_the_bars(tmp_path, log, what, share, left):
    (tmp_path / 'log').write_text(log)
    told = progress_of(tmp_path, {'started': time.time(), 'commands': [1]})
    assert (told['what'], told['share'], told['left']) == (what, share, left)


def test_a_job_of_so_many_minutes_has_what_is_left_of_them(tmp_path):
    (tmp_path / 'log').write_text('faceswap:   3%|3         | 300/10000 [00:03<10:20:30]')
    told = progress_of(tmp_path, {'started': time.time() - 60, 'commands': [1], 'budget': 10})
    assert told['left'] == pytest.approx(540, abs=3)


# Runs and files


def test_runs_are_found_and_told(studio):
    client, folder = studio
    run = a_run(folder, 'deep/er/swap', data={'size': 160})
    a_run(folder, 'deep/er/and/too/deep')
    a_run(folder, '.studio/hidden')
    (run / 'checkpoints/20').mkdir(parents=True)
    (run / 'previews').mkdir()
    for step in (0, 10, 20):
        (run / f'previews/{step:08d}.jpg').write_bytes(b'\xff\xd8\xff' + bytes([step]) * 20)
    rows = [{'step': n, 'seconds': 1.0, 'total': 1 / (1 + n), 'odd': float('nan')} for n in range(1000)]
    (run / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)) + '\n{"step": 10')  # cut short by a kill
    (told,) = client.get('/api/state').json()['runs']
    assert (told['name'], told['step'], told['steps'], told['size']) == ('deep/er/swap', 20, 100, 160)
    assert told['previews'] == [0, 10, 20]
    curves = client.get('/api/curves/deep/er/swap').json()
    assert len(curves['step']) <= 241 and curves['step'][-1] == 999 and curves['total'][-1] == 1e-3
    assert curves['odd'][-1] is None
    assert client.get('/api/previews/deep/er/swap').content[-1] == 20
    assert client.get('/api/previews/deep/er/swap?step=10').content[-1] == 10
    assert client.get('/api/previews/deep/er/swap?step=11').status_code == 400


def test_a_run_is_deleted_only_when_nobody_works_there(studio):
    client, folder = studio
    run = a_run(folder)
    lock = Locked(run / '.lock')
    assert posted(client, '/api/runs/delete', {'run': run.name}).status_code == 400 and run.exists()
    lock.close()
    assert posted(client, '/api/runs/delete', {'run': run.name}).status_code == 200 and not run.exists()


def test_runs_behind_links_are_not_ours(studio, tmp_path_factory):
    client, folder = studio
    elsewhere = a_run(tmp_path_factory.mktemp('elsewhere'), 'run')
    (folder / 'link').symlink_to(elsewhere)
    (folder / 'parent').symlink_to(elsewhere.parent)
    assert client.get('/api/state').json()['runs'] == []


def test_results_have_names_of_their_own(tmp_path):
    assert free_name(tmp_path, 'swap', '.mp4', set()) == 'swap-1.mp4'
    (tmp_path / 'swap-1.mp4.run').mkdir()
    assert free_name(tmp_path, 'swap', '.png', {'swap-2.mp4'}) == 'swap-3.png'


def test_a_lock_lives_as_long_as_its_holder(tmp_path):
    held = Locked(tmp_path / 'lock')
    assert is_locked(tmp_path / 'lock')
    with pytest.raises(BlockingIOError):
        Locked(tmp_path / 'lock')
    held.close()
    assert not is_locked(tmp_path / 'lock')


def test_a_missing_extra_is_said_with_the_command_that_installs_it(tmp_path, monkeypatch):
    import importlib.util

    from dfjax.apps.studio.server import serve

    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'dfjax\[studio\]'"):
        serve(tmp_path / 'new', '127.0.0.1', 0, [], {'bytes': 1, 'minutes': 1}, opens=False)
    assert not (tmp_path / 'new').exists()


def test_a_second_studio_in_a_folder_is_refused(tmp_path):
    from dfjax.apps.studio.server import serve

    (tmp_path / '.studio').mkdir()
    held = Locked(tmp_path / '.studio/lock')
    with pytest.raises(InputError, match='another studio'):
        serve(tmp_path, '127.0.0.1', 0, [], {'bytes': 1, 'minutes': 1}, opens=False)
    held.close()


def test_a_port_that_is_taken_is_said(tmp_path):
    import socket

    from dfjax.apps.studio.server import serve

    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(InputError, match='give another --port'):
            serve(tmp_path, '127.0.0.1', taken.getsockname()[1], [], {'bytes': 1, 'minutes': 1}, opens=False)


def test_a_frame_is_decoded_from_the_middle_of_a_video(tmp_path):
    """The frame shown at a time is the same whether the file is read from its start or sought."""
    from dfjax.data.media.encode import VideoWriter
    from dfjax.data.media.video import frame_at, read_frames

    path = tmp_path / 'a.mp4'
    with VideoWriter(path, 10, (64, 64)) as writer:
        for n in range(60):
            writer.write(np.full((64, 64, 3), 4 * n, np.uint8))
    every = {index: (t, rgb) for index, t, rgb in read_frames(path)}
    for seconds, number in ((0.0, 0), (0.1, 1), (2.52, 25), (4.0, 40), (99.0, 59)):
        t, rgb = frame_at(path, seconds)
        assert t == pytest.approx(every[number][0]) and np.array_equal(rgb, every[number][1]), seconds


if sys.platform == 'win32':
    pytestmark = pytest.mark.skip(reason='the studio needs WSL on Windows')

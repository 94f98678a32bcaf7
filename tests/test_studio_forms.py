"""What the studio is asked for: forms become jobs, command lines that the program takes."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from studio_client import PNG, Blind, a_run, posted, sent

from dfjax.apps.studio.again import gone_on, used_now
from dfjax.apps.studio.commands import Form, build
from dfjax.apps.studio.store import write_json
from dfjax.apps.studio.uploads import Uploads
from dfjax.errors import InputError
from dfjax.inference.settings import Settings

pytest.importorskip('starlette', reason="the studio's extra is not installed: pip install -e '.[studio]'")
pytest.importorskip('httpx', reason='httpx is not installed: pip install httpx')

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='the studio needs WSL on Windows')


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
    look = json.loads(json.dumps(what))['look']  # as the other process reads it
    assert do == 'frame' and what['seconds'] == 1.5
    assert hash(Settings(**look)) == hash(Settings('hist-match', blur=0.1))  # it is a static argument of jit
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

"""Consent: what is said goes into the credentials and the run, is asked for once, and is remembered by folder."""

import argparse
import io
import json
import os

import pytest
from toy_jobs import transform_video

from dfjax.apps import consent
from dfjax.apps.cli import VERBS, build_parser, main
from dfjax.config import load_config
from dfjax.data.media.choices import CONSENT
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import write_image
from dfjax.errors import InputError
from dfjax.training.workdir import claim

WORDS = 'Anna, in writing, 3 May 2026'


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp('config')
    monkeypatch.setenv('XDG_CONFIG_HOME', str(folder))
    monkeypatch.setenv(CONSENT, '')
    return folder / 'dfjax' / 'consent.json'


def settle(out, said=None, **more):
    os.environ[CONSENT] = ''
    consent.settle(argparse.Namespace(consent=said, out=str(out), **more))
    return os.environ[CONSENT]


def picture(path):
    import numpy as np

    write_image(path, np.full((48, 64, 3), 90, np.uint8))
    return path


def test_it_is_in_the_credentials(tmp_path, monkeypatch):
    monkeypatch.setenv(CONSENT, WORDS)
    transform_video(picture(tmp_path / 'in.png'), tmp_path / 'out.png', lambda frames: [255 - f[2] for f in frames])
    assert read_credentials(tmp_path / 'out.png')['details']['consent'] == WORDS


def test_it_is_remembered_by_folder(tmp_path, own_home):
    assert settle(tmp_path / 'a' / 'out.mp4', f'  {WORDS}\n') == WORDS
    assert settle(tmp_path / 'a' / 'other.mp4') == WORDS
    assert settle(tmp_path / 'b' / 'out.mp4') == ''
    assert settle(tmp_path / 'a' / 'out.mp4', '') == '' and settle(tmp_path / 'a' / 'out.mp4') == ''
    assert json.loads(own_home.read_text()) == {str(tmp_path / 'a'): ''}


@pytest.mark.parametrize('damaged', [b'null', b'[' * 9999, b'\xff', b'{"/": 3}'])
def test_damaged_notes_are_begun_anew(damaged, tmp_path, own_home):
    own_home.parent.mkdir()
    own_home.write_bytes(damaged)
    assert settle(tmp_path / 'out.mp4') == ''
    assert settle(tmp_path / 'out.mp4', WORDS) == WORDS == settle(tmp_path / 'out.mp4')


@pytest.mark.parametrize('answer', [f'{WORDS}\n', '\n', ''])
def test_a_terminal_is_asked_once(answer, tmp_path, monkeypatch):
    monkeypatch.setattr('sys.stdin', Terminal(answer))
    monkeypatch.setattr('sys.stderr', shown := Terminal())
    assert settle(tmp_path / 'out.mp4') == answer.strip()
    assert shown.getvalue() == consent.QUESTION
    assert settle(tmp_path / 'out.mp4') == answer.strip() and shown.getvalue() == consent.QUESTION


def test_a_run_keeps_it_for_those_that_apply_it(tmp_path, monkeypatch):
    monkeypatch.setenv(CONSENT, WORDS)
    claim(run := tmp_path / 'w', load_config('pix2pix:smoke'))
    assert (run / 'consent.txt').read_text() == f'{WORDS}\n'
    assert settle(tmp_path / 'elsewhere' / 'out.png', run=str(run)) == WORDS
    assert settle(tmp_path / 'third' / 'out.png', 'nobody is shown', run=str(run)) == 'nobody is shown'
    monkeypatch.setenv(CONSENT, 'Dora, by letter')
    claim(other := tmp_path / 'other', load_config('pix2pix:smoke'))
    runs = [str(run), str(tmp_path / 'of nobody'), str(other)]
    assert settle(tmp_path / 'fourth' / 'out.png', run=runs) == f'{WORDS}; Dora, by letter'


def test_words_without_end_are_refused(tmp_path, capsys):
    with pytest.raises(InputError, match='5000 characters; 500 at most'):
        settle(tmp_path / 'out.mp4', 'x' * 5000)
    words = ['animate', '--image', 'a.png', '--driving', 'b.mp4', '-o', str(tmp_path / 'o.mp4'), '--consent', 'x' * 501]
    assert main(words) == 2 and capsys.readouterr().err.count('\n') == 1


def test_the_verbs_that_show_people_ask():
    able = {verb for verb in VERBS if '--consent' in build_parser(verb).format_help()}
    assert able == {'swap', 'animate', 'lipsync', 'convert', 'translate', 'edit'}

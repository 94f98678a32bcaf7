"""Swaps that cannot be: bad files, bad options and folders get one line before any training."""

import os

import pytest
from swapping import ROOT, SMOKE, drawn_videos, refused

from dfjax.apps.cli import main
from dfjax.apps.swap import swap
from dfjax.errors import InputError

pytestmark = pytest.mark.whole


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    return drawn_videos(tmp_path_factory.mktemp('swap'))


@pytest.mark.parametrize(
    ('face', 'into', 'out', 'said'),
    [
        ('gone.mp4', 'a.mp4', 'x.mp4', 'gone.mp4: no such file'),
        ('b.mp4', 'gone.mp4', 'x.mp4', 'gone.mp4: no such file'),
        ('b.mp4', 'a.mp4', 'x.png', 'is a video; name the output'),
        ('b.mp4', 'a.mp4', 'a.png/x.mp4', 'a.png is not a folder'),
        ('b.mp4', 'nobody.mp4', 'nobody_in.mp4', 'nobody.mp4: no face found in its 3 frames'),
        ('two.png', 'a.mp4', 'x.mp4', 'two.png: 2 faces; cut the picture down to the one person'),
        ('cut.png', 'a.mp4', 'x.mp4', 'cut.png: the face is cut off by the edge of the picture'),
    ],
)
def test_bad_files_get_one_line(work, capsys, face, into, out, said):
    at = work.folder
    line = refused(work, capsys, '--face', at / face, '--into', at / into, '-o', at / out, '--steps', 1)
    assert said in line
    assert not list(at.glob(f'{out}.run/checkpoints')) and not (at / out).is_file()


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['--minutes', '0'], '--minutes 0: give'),
        (['--minutes', 'nan'], '--minutes nan: give'),
        (['--minutes', 'inf'], '--minutes inf: give'),
        (['--steps', '-1'], '--steps -1: give 1 or more, or 0 for --instant'),
        (['--workdir', 'README.md'], 'README.md: is a file'),
        (['--colour', 'lab'], "colour 'lab' is unknown: choose one of none, reinhard"),
        (['--person', 'dfjax'], 'dfjax: give one picture of the person'),
        (['--person', 'gone.jpg'], 'gone.jpg: no such file'),
        (['--workdir', 'configs'], 'configs: holds other files'),
        (['--config', 'configs/faceswap.py:huge'], "there is no variant 'huge'"),
        (['--config', 'vae:smoke'], r"vae.py:smoke: of system 'vae', which cannot swap; can: faceswap"),
    ],
)
def test_bad_options_get_one_line(work, capsys, monkeypatch, words, said):
    monkeypatch.chdir(ROOT)
    start = ['swap', '--face', str(work.b), '--into', str(work.a), '-o', str(work.folder / 'y.mp4')]
    assert main(start + words) == 2
    error = capsys.readouterr().err
    assert error.startswith('dfjax: ') and error.count('\n') == 1 and said in error
    assert not (work.folder / 'y.mp4').exists() and not (work.folder / 'y.mp4.run').exists()


def test_folder_of_a_job_that_found_nothing_can_be_taken_over(work):
    run = work.folder / 'taken.run'
    for name in ('nobody.mp4', 'nobody_else.mp4'):
        with pytest.raises(InputError, match=rf'/{name}: no face found'):
            swap(
                [work.b], work.folder / name, work.folder / 'z.mp4', workdir=run, steps=1, config=SMOKE, progress=False
            )
    assert {file.name for file in run.iterdir()} == {'job.json', 'faces_b'}


def test_a_damaged_note_of_the_job_is_said(work):
    run = work.folder / 'damaged.run'
    run.mkdir()
    (run / 'job.json').write_text('{')
    with pytest.raises(InputError, match=r'job\.json: damaged .*; delete'):
        swap([work.b], work.a, work.folder / 'd.mp4', workdir=run, steps=1, config=SMOKE, progress=False)


def test_folder_that_cannot_be_written_is_said_before_the_work(work, capsys, tmp_path, monkeypatch):
    may = os.access  # root may write everywhere: the answer of the system is put in
    monkeypatch.setattr(os, 'access', lambda path, mode: path != tmp_path and may(path, mode))
    line = refused(work, capsys, '--face', work.b, '--into', work.a, '-o', tmp_path / 'x.mp4', '--steps', 1)
    assert f'{tmp_path} cannot be written' in line
    assert not list(tmp_path.iterdir())

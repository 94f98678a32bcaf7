"""The swap verb from two small rendered videos to a signed one, resumed, and refused where it must be."""

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import jax
import numpy as np
import pytest

from dfjax.apps import extract as extract_verb
from dfjax.apps.cli import main
from dfjax.apps.swap import swap
from dfjax.data.faces import analyse as analysis
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.credentials import COMPOSITE, read_credentials
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import write_image
from dfjax.data.media.video import read_frames
from dfjax.data.render import animate, random_identity, render
from dfjax.errors import InputError
from dfjax.training import loop, parallel, timed
from dfjax.training.workdir import last_step

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[1]
SMOKE = f'{ROOT}/configs/faceswap.py:smoke'
FRAMES, SIZE, RATE, STEPS = 12, 192, 48_000, 6
FPS = 30_000 / 1001  # times that are no round numbers


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """a.mp4 (with a tone) and b.mp4, what was drawn into them, and b swapped into a once."""
    folder = tmp_path_factory.mktemp('swap')
    tone = 0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(int(RATE * FRAMES / FPS)))
    drawn = {}
    for name, seed in (('a', 12), ('b', 27)):
        drawn[name] = render(random_identity(seed), animate(seed, FRAMES), SIZE)
        audio = (tone.astype(np.float32), RATE) if name == 'a' else None
        with VideoWriter(folder / f'{name}.mp4', FPS, (SIZE, SIZE), sound=audio) as writer:
            for frame in drawn[name].image:
                writer.write(frame)
    pictures = {name: drawn[name].image[0] for name in 'ab'}
    pictures |= {'two': np.concatenate([drawn['a'].image[0], drawn['b'].image[0]], 1)}
    pictures |= {'cut': drawn['b'].image[0][: SIZE * 3 // 4]}
    for name, picture in pictures.items():
        write_image(folder / f'{name}.png', picture)
    with VideoWriter(folder / 'nobody.mp4', 25, (96, 96)) as writer:
        for grey in (60, 100, 140):
            writer.write(np.full((96, 96, 3), grey, np.uint8))
    shutil.copy(folder / 'nobody.mp4', folder / 'nobody_else.mp4')
    a, b, out = (folder / f'{name}.mp4' for name in ('a', 'b', 'out'))
    report = swap([b], a, out, steps=STEPS, config=SMOKE, progress=False)
    return SimpleNamespace(folder=folder, a=a, b=b, out=out, report=report, masks=drawn['a'].mask)


def frames(path) -> np.ndarray:
    return np.stack([rgb for _, _, rgb in read_frames(path)])


def times(path) -> list:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound(path) -> list:
    with av.open(str(path)) as container:
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(audio=0) if p.pts is not None]


def test_report_counts_every_frame(work):
    report = work.report
    assert (report['frames'], report['swapped'], report['passed_through']) == (FRAMES, FRAMES, 0)
    assert report['faces'] == {'a': FRAMES, 'b': FRAMES}
    assert report['steps'] == STEPS
    assert set(report['seconds']) == {'extract', 'train', 'convert', 'total'}
    assert [len(load_faceset(work.folder / 'out.mp4.run' / f'faces_{side}')) for side in 'ab'] == [FRAMES, FRAMES]


def test_frame_times_and_sound_are_those_of_the_input(work):
    assert times(work.out) == times(work.a)
    assert len(times(work.out)) == FRAMES
    assert sound(work.out) == sound(work.a)
    assert len(sound(work.out)) > 5


def test_only_the_face_is_changed(work):
    change = np.abs(frames(work.out).astype(float) - frames(work.a)).mean(-1)  # [N, H, W]
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (49, 49))
    for moved, mask in zip(change, work.masks):
        near = cv2.dilate(mask, disc) > 0
        assert moved[cv2.erode(mask, disc[::2, ::2]) > 0].mean() > 8
        assert np.median(moved[~near]) < 2
        assert np.percentile(moved[~near], 99) < 12  # what encoding again does at edges


def test_output_says_what_it_is(work, capsys):
    said = read_credentials(work.out)
    assert said['ai_generated'] and said['intact']
    assert said['source_type'] == COMPOSITE
    assert said['details']['system'] == 'faceswap'
    assert read_credentials(work.a) is None
    assert main(['verify', str(work.out), '--json']) == 0
    assert json.loads(capsys.readouterr().out)['files'][0]['status'] == 'intact'


def test_run_again_goes_on_without_extracting(work, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError('searched for faces again')

    monkeypatch.setattr(analysis, 'analyse', never)
    monkeypatch.setattr(extract_verb, 'extract_faces', never)
    again = work.folder / 'again.mp4'
    run = work.folder / 'out.mp4.run'
    report = swap([work.b], work.a, again, steps=STEPS + 2, workdir=run, progress=False)
    assert report['steps'] == STEPS + 2
    rows = [json.loads(line)['step'] for line in (run / 'metrics.jsonl').read_text().splitlines()]
    assert rows == sorted(set(rows)) and rows[-1] == STEPS + 2
    assert len(frames(again)) == FRAMES


def test_an_instant_swap_can_be_trained_on(work):
    out = work.folder / 'instant.mp4'
    report = swap([work.b], work.a, out, steps=0, config=SMOKE, progress=False)
    assert (report['steps'], report['swapped']) == (0, FRAMES)
    made = frames(out).astype(float)
    inside = work.masks[0] > 128
    assert np.abs(made - frames(work.a))[:, inside].mean() > 8
    again = swap([work.b], work.a, out, steps=2, config=SMOKE, force=True, progress=False)
    assert again['steps'] == 2
    assert swap([work.b], work.a, out, steps=0, force=True, progress=False)['steps'] == 2  # is used as it is
    with pytest.raises(InputError, match=r'--instant: a run without references'):
        words = ['--config.references.count=0']
        swap([work.b], work.a, work.folder / 'blank.mp4', steps=0, config=SMOKE, overrides=words, progress=False)


def test_another_run_is_where_a_new_one_begins(work, monkeypatch, capsys):
    """The training is told of it; what it makes of that is tested with the training."""
    given = {}

    def train(*args, **kwargs):
        given.update(kwargs)
        raise InputError('enough')

    monkeypatch.setattr(loop, 'train', train)
    words = ['swap', '--face', work.b, '--into', work.a, '-o', work.folder / 'new.mp4', '--steps', STEPS + 9]
    words += ['--workdir', work.folder / 'out.mp4.run', '--start-from', 'runs/other', '--fit']
    assert main([str(word) for word in words]) == 2
    assert given['start_from'] == 'runs/other' and 'enough' in capsys.readouterr().err


def test_a_swap_that_is_interrupted_says_how_it_is_used_as_it_is(work, monkeypatch, capsys):
    def train(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, 'train', train)
    words = ['swap', '--face', work.b, '--into', work.a, '-o', work.folder / 'good.mp4', '--steps', STEPS + 9]
    assert main([*map(str, words), '--workdir', str(work.folder / 'out.mp4.run')]) == 130
    said = capsys.readouterr().err
    line = f'dfjax convert --run {work.folder / "out.mp4.run"} --into {work.a} -o {work.folder / "good.mp4"}'
    assert line in said and f'with the {last_step(work.folder / "out.mp4.run")} steps that it has' in said
    assert not (work.folder / 'good.mp4').exists()


def test_a_swap_that_somebody_finds_good_is_converted_at_once(work, monkeypatch):
    run = work.folder / 'good.run'
    shutil.copytree(work.folder / 'out.mp4.run', run)
    advance = parallel.Devices.advance
    monkeypatch.setattr(parallel.Devices, 'advance', lambda self, *args: (run / 'stop').touch() or advance(self, *args))
    report = swap([work.b], work.a, work.folder / 'good.mp4', workdir=run, steps=STEPS + 30, progress=False)
    assert STEPS < report['steps'] < STEPS + 30 and report['swapped'] == FRAMES


def test_going_on_with_another_config_is_refused(work):
    other = f'{ROOT}/configs/faceswap.py:laptop'
    with pytest.raises(InputError, match=r'out\.mp4\.run: its training began with another .* leave --config out'):
        swap([work.b], work.a, work.out, steps=STEPS, config=other, force=True, progress=False)


def test_folder_of_another_job_is_refused_and_kept(work):
    run = work.folder / 'out.mp4.run'
    before = sorted(file.name for file in run.rglob('*'))
    with pytest.raises(InputError, match=r'out\.mp4\.run: holds the work on other inputs; delete it or give another'):
        swap([work.a], work.b, work.folder / 'other.mp4', workdir=run, progress=False)
    assert sorted(file.name for file in run.rglob('*')) == before
    assert not (work.folder / 'other.mp4').exists()


def refused(work, capsys, *words) -> str:
    """Runs `dfjax swap`, which must say one line and leave no output; returns that line."""
    here = {file.name for file in work.folder.iterdir()}
    assert main(['swap', *map(str, words), '--config', SMOKE]) == 2
    error = capsys.readouterr().err
    assert 'Traceback' not in error
    lines = [line for line in error.splitlines() if line.startswith('dfjax: ')]
    assert len(lines) == 1 and error.rstrip().endswith(lines[0])
    new = {file.name for file in work.folder.iterdir()} - here
    assert all(name.endswith('.run') for name in new)
    return lines[0]


def test_existing_output_is_refused_and_kept(work, capsys):
    before = work.out.read_bytes()
    line = refused(work, capsys, '--face', work.b, '--into', work.a, '-o', work.out, '--steps', 1)
    assert 'out.mp4: exists' in line and '--force' in line
    assert work.out.read_bytes() == before


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


def test_too_few_minutes_say_how_many_are_needed(work, capsys):
    run = work.folder / 'out.mp4.run'
    words = ['--face', work.b, '--into', work.a, '-o', work.folder / 'late.mp4', '--workdir', run, '--minutes', 0.05]
    line = refused(work, capsys, *words)
    assert '--minutes 0.05: finding the faces and writing the video take longer; give at least' in line
    assert str(run) in line
    line = refused(work, capsys, *words[:-4], '--minutes', 0.1)
    assert 'give at least' in line and not (work.folder / 'late.mp4.run').exists()  # before any search


def test_person_put_in_without_a_face_leaves_the_other_side(work, capsys):
    at = work.folder
    run = at / 'nobody_put_in.run'
    shutil.copytree(at / 'out.mp4.run' / 'faces_a', run / 'faces_a')
    shutil.copy(at / 'out.mp4.run' / 'into.jsonl', run)
    job = {'face': [str(at / 'nobody.mp4')], 'into': str(work.a), 'person': None}
    (run / 'job.json').write_text(json.dumps(job))
    words = ['--face', at / 'nobody.mp4', '--into', work.a, '-o', at / 'nobody_put_in.mp4', '--workdir', run]
    assert 'nobody.mp4: no face found' in refused(work, capsys, *words, '--steps', 1)
    assert sorted(file.name for file in run.iterdir()) == ['faces_a', 'into.jsonl', 'job.json']


def test_folder_of_a_job_that_found_nothing_can_be_taken_over(work):
    run = work.folder / 'taken.run'
    for name in ('nobody.mp4', 'nobody_else.mp4'):
        with pytest.raises(InputError, match=rf'/{name}: no face found'):
            swap(
                [work.b], work.folder / name, work.folder / 'z.mp4', workdir=run, steps=1, config=SMOKE, progress=False
            )
    assert {file.name for file in run.iterdir()} == {'job.json', 'faces_b'}


def test_one_photograph_is_enough(work):
    """With and without training; the run of few faces makes more of them, and goes on as it began."""
    out, run = work.folder / 'photo.mp4', work.folder / 'photo.mp4.run'
    report = swap([work.folder / 'b.png'], work.a, out, steps=0, config=SMOKE, progress=False)
    assert report['faces'] == {'a': FRAMES, 'b': 1} and report['swapped'] == FRAMES
    made = frames(out).astype(float)
    assert np.abs(made - frames(work.a))[:, work.masks[0] > 128].mean() > 8
    assert [path.name for path in sorted((run / 'references').glob('b_*'))] == ['b_00.jpg']
    for steps in (1, 2):
        again = swap([work.folder / 'b.png'], work.a, out, steps=steps, config=SMOKE, force=True, progress=False)
        assert again['steps'] == steps
    assert json.loads((run / 'config.json').read_text())['augment']['flip'] == 0.5


def test_what_does_not_train_is_mended_by_the_words_that_it_is_answered_with(work, capsys, monkeypatch):
    """Out of memory before the first checkpoint: the same command with the batch size that was advised."""

    def full(*args, **kwargs):
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory')

    run = work.folder / 'small.run'
    words = ['--face', work.b, '--into', work.a, '-o', work.folder / 'small.mp4', '--workdir', run, '--steps', 1]
    with monkeypatch.context() as patch:
        patch.setattr(parallel.Devices, 'advance', full)
        line = refused(work, capsys, *words)
    advice = re.search(r'--config\.batch_size=\d+', line)[0]
    assert main(['swap', *map(str, words), '--config', SMOKE, advice]) == 0
    assert json.loads((run / 'config.json').read_text())['batch_size'] == int(advice.split('=')[1])
    with pytest.raises(SystemExit, match='2'):
        main(['swap', *map(str, words), '--batch_size=2'])


def test_a_damaged_note_of_the_job_is_said(work):
    run = work.folder / 'damaged.run'
    run.mkdir()
    (run / 'job.json').write_text('{')
    with pytest.raises(InputError, match=r'job\.json: damaged .*; delete'):
        swap([work.b], work.a, work.folder / 'd.mp4', workdir=run, steps=1, config=SMOKE, progress=False)


def test_minutes_after_the_end_train_on_from_any_folder(work, monkeypatch):
    run = work.folder / 'more.run'
    shutil.copytree(work.folder / 'out.mp4.run', run)
    monkeypatch.setattr(timed, 'steps_for', lambda *args: 3)
    done = last_step(run)
    monkeypatch.chdir(work.folder)
    report = swap(['b.mp4'], 'a.mp4', 'more.mp4', workdir='more.run', minutes=5, progress=False)
    assert report['steps'] == done + 3


def test_folder_that_cannot_be_written_is_said_before_the_work(work, capsys, tmp_path, monkeypatch):
    may = os.access  # root may write everywhere: the answer of the system is put in
    monkeypatch.setattr(os, 'access', lambda path, mode: path != tmp_path and may(path, mode))
    line = refused(work, capsys, '--face', work.b, '--into', work.a, '-o', tmp_path / 'x.mp4', '--steps', 1)
    assert f'{tmp_path} cannot be written' in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_demo_swaps_and_measures(tmp_path, capsys):
    out = tmp_path / 'demo'
    assert main(['demo', '-o', str(out), '--steps', '60', '--json']) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures['steps'] == 60
    assert figures['psnr'] > figures['psnr_untouched']
    assert {'ssim', 'transfer', 'expression', 'detail', 'seconds'} <= set(figures)
    assert {'video.mp4', 'face.mp4', 'truth.mp4', 'mask.mp4', 'swap.mp4', 'comparison.png'} <= {
        file.name for file in out.iterdir()
    }
    assert main(['demo', '-o', str(out), '--steps', '60']) == 2
    assert 'exists' in capsys.readouterr().err

"""The swap verb from two small rendered videos to a signed one: gone on with, mended, refused where a run is kept."""

import json
import re
import shutil
from types import SimpleNamespace

import av
import cv2
import jax
import numpy as np
import pytest
from swapping import FRAMES, ROOT, SMOKE, drawn_videos, refused

from dfjax.apps import extract as extract_verb
from dfjax.apps.cli import main
from dfjax.apps.swap import swap
from dfjax.data.faces import analyse as analysis
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.credentials import COMPOSITE, read_credentials
from dfjax.data.media.video import read_frames
from dfjax.errors import InputError
from dfjax.training import loop, parallel, timed
from dfjax.training.workdir import last_step

pytestmark = pytest.mark.whole

STEPS = 6


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """The videos, and b swapped into a once."""
    videos = drawn_videos(tmp_path_factory.mktemp('swap'))
    out = videos.folder / 'out.mp4'
    report = swap([videos.b], videos.a, out, steps=STEPS, config=SMOKE, progress=False)
    return SimpleNamespace(**vars(videos), out=out, report=report)


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


def test_existing_output_is_refused_and_kept(work, capsys):
    before = work.out.read_bytes()
    line = refused(work, capsys, '--face', work.b, '--into', work.a, '-o', work.out, '--steps', 1)
    assert 'out.mp4: exists' in line and '--force' in line
    assert work.out.read_bytes() == before


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


def test_minutes_after_the_end_train_on_from_any_folder(work, monkeypatch):
    run = work.folder / 'more.run'
    shutil.copytree(work.folder / 'out.mp4.run', run)
    monkeypatch.setattr(timed, 'steps_for', lambda *args: 3)
    done = last_step(run)
    monkeypatch.chdir(work.folder)
    report = swap(['b.mp4'], 'a.mp4', 'more.mp4', workdir='more.run', minutes=5, progress=False)
    assert report['steps'] == done + 3


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

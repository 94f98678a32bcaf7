"""Conversion of whole files, and the runs that it opens."""

import dataclasses
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from converting import INVERTED, PLAIN, face_at, stub
from fake_faces import write_faces
from test_paste import smooth_frame

from configs.faceswap import get_config
from dfjax.apps.convert import convert
from dfjax.data.faces.analyse import Analysis
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.errors import InputError, WriteError
from dfjax.inference import sharpen as detail
from dfjax.inference.run import load_run
from dfjax.inference.settings import Part, Settings
from dfjax.systems import faceswap
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.workdir import claim

pytestmark = pytest.mark.whole


def write_video(path, frames=6):
    with VideoWriter(path, 25, (240, 200), sound=(np.zeros((4000, 1), np.float32), 16000)) as writer:
        for n in range(frames):
            writer.write(smooth_frame(n))
    return path


def analysed(faces, frames=6, source='in.mp4') -> Analysis:
    return Analysis(source, 240, 200, frames, faces)


def leftovers(folder, *expected) -> bool:
    return sorted(p.name for p in folder.iterdir()) != sorted(expected)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    """A run of the tiny model: checkpoint of step 3, its averages different from its parameters."""
    folder = tmp_path_factory.mktemp('runs') / 'w'
    cfg = get_config('smoke')
    with cfg.unlocked():
        faces = write_faces(folder.parent / 'faces')
        cfg.data.update(a=str(faces), b=str(faces), face_type='full')
    state = faceswap.init(cfg, jax.random.key(1))
    state = state.replace(step=jnp.int32(3), ema=jax.tree.map(lambda x: x + 0.25, state.ema))
    claim(folder, cfg)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(3, state, 1.0, {})
        checkpoints.finish()
    return folder, state


@pytest.mark.parametrize(
    ('settings', 'passed', 'at'),
    [
        (Settings('original'), 6, ['0:00.00-0:00.20']),
        (dataclasses.replace(PLAIN, ranges=(Part((('mode', 'original'),), 0.04, 0.12),)), 3, ['0:00.04-0:00.12']),
    ],
    ids=('all', 'a range'),
)
def test_frames_that_settings_leave_as_they_are_are_no_swaps(tmp_path, settings, passed, at):
    """The fourth of 6 frames has no face; the two before it lie within the range."""
    video = write_video(tmp_path / 'in.mp4')
    some = analysed([face_at(n) for n in (0, 1, 2, 4, 5)])
    how = {'analysis': some, 'settings': settings, 'progress': False}
    report = convert(stub(INVERTED, tmp_path / 'run'), video, tmp_path / 'out.mp4', **how)
    assert (report['frames'], report['swapped'], report['passed_through']) == (6, 6 - passed, passed)
    assert report['passed_at'] == at


def test_a_video_is_converted_and_signed(tmp_path):
    video, out = write_video(tmp_path / 'in.mp4'), tmp_path / 'out.mp4'
    some = analysed([face_at(n) for n in (0, 1, 4)])
    options = {'analysis': some, 'settings': PLAIN, 'progress': False}
    report = convert(stub(INVERTED), video, out, batch_size=4, **options)
    assert (report['frames'], report['swapped'], report['passed_through']) == (6, 3, 3)
    assert report['fps'] > 0 and report['detail'] is None and report['out'] == str(out)
    before, after = [list(read_frames(path)) for path in (video, out)]
    assert [t for _, t, _ in before] == [t for _, t, _ in after]
    assert probe(out).has_audio
    centre = tuple(np.mean(face_at(0).landmarks, 0).astype(int)[::-1])
    for n, ((_, _, x), (_, _, y)) in enumerate(zip(before, after)):
        expected = 255 - x[centre].astype(int) if n in (0, 1, 4) else x[centre].astype(int)
        assert np.abs(y[centre] - expected).max() < 20
    facts = read_credentials(out)
    assert facts['ai_generated'] and facts['intact'] and facts['source_type'].startswith('composite')
    assert not leftovers(tmp_path, 'in.mp4', 'out.mp4')
    with pytest.raises(InputError, match=r'out.mp4: exists; choose another name or pass --force'):
        convert(stub(), video, out, **options)
    assert convert(stub(), video, out, force=True, **options)['frames'] == 6


def test_a_part_a_moment_and_a_layer_of_a_video(tmp_path):
    video, frames = write_video(tmp_path / 'in.mp4', 25), [rgb for *_, rgb in read_frames(tmp_path / 'in.mp4')]
    some = analysed([face_at(n) for n in range(25)], 25)
    write = lambda out, **changes: convert(
        stub(INVERTED),
        video,
        tmp_path / out,
        analysis=some,
        settings=dataclasses.replace(PLAIN, steady=False, **changes),
        progress=False,
    )
    assert write('all.avi', codec='ffv1')['frames'] == 25
    whole = [rgb for *_, rgb in read_frames(tmp_path / 'all.avi')]
    assert write('part.avi', codec='ffv1', start=0.2, stop=0.4)['frames'] == 5
    times, part = zip(*[(time, rgb) for _, time, rgb in read_frames(tmp_path / 'part.avi')])
    np.testing.assert_allclose(times, np.arange(5) / 25, atol=1e-3)
    np.testing.assert_array_equal(part, whole[5:10])
    assert probe(tmp_path / 'part.avi').has_audio
    assert write('moment.png', preview=0.21)['frames'] == 1
    moment = read_image(tmp_path / 'moment.png')
    assert np.abs(moment.astype(int) - whole[5]).mean() < 2  # before it is stored as luma and chroma
    assert write('layer', codec='png16', start=0.2, stop=0.28)['frames'] == 2
    alone = cv2.imread(str(tmp_path / 'layer' / '000000.png'), cv2.IMREAD_UNCHANGED)
    assert alone.dtype == np.uint16 and alone.shape == (200, 240, 4)
    colour, alpha = alone[..., 2::-1] / 257, alone[..., 3:] / 65535
    assert np.abs(colour * alpha + frames[5] * (1 - alpha) - moment).max() <= 1.01
    write('view.mp4', compare=True, mask_view=True, stop=0.1)
    assert probe(tmp_path / 'view.mp4').size == (3 * 240, 200)
    assert all(read_credentials(path)['intact'] for path in (tmp_path / 'part.avi', tmp_path / 'layer' / '000001.png'))


def test_a_picture_and_a_folder_are_converted(tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    write_image(folder / 'one.png', smooth_frame(0))
    write_image(folder / 'two.bmp', smooth_frame(1))
    write_video(folder / 'three.mp4', 3)
    faces = [face_at(0, source='one.png'), face_at(1, source='three.mp4')]
    options = {'settings': PLAIN, 'progress': False}
    report = convert(stub(INVERTED), folder, tmp_path / 'out', analysis=analysed(faces, 5), **options)
    assert (report['frames'], report['swapped'], report['passed_through']) == (5, 2, 3)
    assert not leftovers(tmp_path / 'out', 'one.png', 'two.bmp.png', 'three.mp4')
    assert all(read_credentials(path)['ai_generated'] for path in (tmp_path / 'out').iterdir())
    np.testing.assert_array_equal(read_image(tmp_path / 'out' / 'two.bmp.png'), smooth_frame(1))  # bit for bit
    assert (read_image(tmp_path / 'out' / 'one.png') != smooth_frame(0)).any()

    picture = tmp_path / 'single.png'
    convert(stub(), folder / 'one.png', picture, analysis=analysed(faces[:1], 1), **options)
    inside = np.abs(read_image(picture).astype(int) - smooth_frame(0))
    assert inside.max() <= 12 and inside.mean() < 0.5  # the identity net gives the picture back but for interpolation
    with pytest.raises(InputError, match=r'out: exists; a folder is converted into a new folder'):
        convert(stub(), folder, tmp_path / 'out', analysis=analysed(faces, 5), **options)


def test_outputs_that_cannot_be(tmp_path):
    video = write_video(tmp_path / 'in.mp4', 2)
    with pytest.raises(InputError, match=r'out.png: .*in.mp4 is a video; name the output \*.mp4'):
        convert(stub(), video, tmp_path / 'out.png')
    with pytest.raises(InputError, match=r'gone.mp4: no such file'):
        convert(stub(), tmp_path / 'gone.mp4', tmp_path / 'out.mp4')
    with pytest.raises(InputError, match='the analysis given is of another source'):
        convert(stub(), video, tmp_path / 'out.mp4', analysis=analysed([face_at(0, source='b.mp4')]), settings=PLAIN)
    with pytest.raises(InputError, match='is a face set'):
        convert(stub(), write_faces(tmp_path / 'faces'), tmp_path / 'out')
    assert not leftovers(tmp_path, 'in.mp4', 'faces')


def test_a_video_without_a_face(tmp_path):
    path = tmp_path / 'in.mp4'
    with VideoWriter(path, 25, (96, 96)) as writer:
        writer.write(np.full((96, 96, 3), 90, np.uint8))
    with pytest.raises(InputError, match=r'in.mp4: no face'):
        convert(stub(), path, tmp_path / 'out.mp4', settings=PLAIN, progress=False, workers=1)
    assert not leftovers(tmp_path, 'in.mp4')


def test_nothing_is_left_when_writing_or_signing_fails(tmp_path, monkeypatch):
    video, out = write_video(tmp_path / 'in.mp4'), tmp_path / 'out.mp4'
    out.write_bytes(b'an earlier result')

    def full(path, *_, **__):
        raise WriteError(path, 'the disk is full; content credentials could not be added')

    monkeypatch.setattr('dfjax.data.media.signed.sign', full)
    options = {'analysis': analysed([face_at(0)]), 'settings': PLAIN, 'progress': False, 'force': True}
    with pytest.raises(InputError, match=f'^{out}: the disk is full'):
        convert(stub(), video, out, **options)
    assert out.read_bytes() == b'an earlier result'
    assert not leftovers(tmp_path, 'in.mp4', 'out.mp4')


def test_a_run_opens_with_its_averages(workdir):
    folder, state = workdir
    run = load_run(folder, 'swap')
    assert run.step == 3 and run.cfg.data.b.endswith('faces') and run.system is faceswap
    jax.tree.map(np.testing.assert_array_equal, {k: run.params[k] for k in state.ema}, state.ema)
    size = run.cfg.data.size
    faces, masks = run.system.swap(
        run.cfg, run.params, run.frozen, jnp.zeros((1, size, size, 3)), jnp.full((1, 68, 2), 0.5)
    )
    assert faces.shape == (1, 2 * size, 2 * size, 3) and masks.shape == (1, size, size, 1)


def test_gains_are_measured_once_and_kept_with_the_run(workdir, monkeypatch):
    run = load_run(workdir[0])
    gains = detail.run_gains(run)
    assert len(gains) == len(detail.SIGMAS) and all(1 <= g <= detail.MOST for g in gains)
    kept = run.path / 'detail_b_3.json'
    assert tuple(json.loads(kept.read_text())['gains']) == gains
    lost = dataclasses.replace(run, cfg=run.cfg.copy_and_resolve_references())
    with lost.cfg.unlocked():
        lost.cfg.data.b = 'nowhere'
    assert detail.run_gains(lost) == gains  # from the file
    kept.write_text('{"gains": [')
    assert detail.run_gains(lost) is None  # damaged, and the faces are gone
    assert detail.run_gains(run) == gains  # measured again


def test_runs_that_cannot_be_used(workdir, tmp_path):
    with pytest.raises(InputError, match='not a run'):
        load_run(tmp_path / 'nothing')
    with pytest.raises(InputError, match=r"a run of system 'faceswap', which cannot encode and decode; can: vae"):
        load_run(workdir[0], can=('encode', 'decode'))
    with pytest.raises(InputError, match=r'which cannot fly; can: none'):
        load_run(workdir[0], can='fly')
    cfg = get_config('smoke')
    claim(tmp_path / 'fresh', cfg)
    with pytest.raises(InputError, match='no checkpoint yet; train it first'):
        load_run(tmp_path / 'fresh')
    (tmp_path / 'fresh' / 'config.json').write_text('{"system": "face')
    with pytest.raises(InputError, match=r'config.json: damaged'):
        load_run(tmp_path / 'fresh')


def test_a_missing_run_is_said_by_the_verb(tmp_path):
    from argparse import ArgumentParser

    from dfjax.apps import convert as verb

    video = write_video(tmp_path / 'in.mp4', 2)
    parser = ArgumentParser()
    verb.add_arguments(parser)
    words = ['--run', tmp_path / 'gone', '--into', video, '-o', tmp_path / 'out.mp4']
    with pytest.raises(InputError, match='gone: not a run'):
        verb.run(parser.parse_args(list(map(str, words))))

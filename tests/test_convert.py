"""Conversion of frames and of whole files, and the runs that it opens."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_faces import FACE, write_faces
from test_paste import smooth_frame

from configs.faceswap import get_config
from dfjax.apps.convert import convert
from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.face import Face
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.decode import Frame
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.errors import InputError, WriteError
from dfjax.inference import sharpen as detail
from dfjax.inference.frames import Job
from dfjax.inference.run import Run, load_run
from dfjax.inference.settings import Part, Settings
from dfjax.inference.swap import Swapper
from dfjax.systems import faceswap
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.workdir import claim

pytestmark = pytest.mark.whole

PLAIN = Settings(colour='none', detail=False)
IDENTITY = SimpleNamespace(swap=lambda cfg, params, frozen, x, points, side: (x, jnp.ones_like(x[..., :1])))
INVERTED = SimpleNamespace(swap=lambda cfg, params, frozen, x, points, side: (-x, jnp.ones_like(x[..., :1])))


def stub(system=IDENTITY, path='none') -> Run:
    cfg = get_config('smoke')
    with cfg.unlocked():
        cfg.data.update(size=64, face_type='full')
    return Run(Path(path), cfg, system, {}, 0)


def face_at(frame, x=60.0, y=40.0, side=110.0, source='in.mp4') -> Face:
    landmarks = (FACE * side + (x, y)).astype(np.float32)
    return Face(source, frame, frame / 25, (x, y, x + side, y + side), 1.0, landmarks)


@pytest.fixture(scope='module')
def tiny() -> Run:
    cfg = get_config('smoke')
    state = faceswap.init(cfg, jax.random.key(0))
    moved = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(1), x.shape), state.ema['decoder_b'])
    return Run(Path('none'), cfg, faceswap, {**state.aux, **state.params, **state.ema, 'decoder_b': moved}, 0)


@pytest.mark.parametrize(
    'settings',
    [Settings(), Settings('hist-match', 'hull', blur=0.02, sharpen=0.5, motion_blur=0.5, degrade=1.0)],
    ids=lambda settings: settings.mode,
)
def test_results_do_not_depend_on_the_batch_size(tiny, settings):
    frames = [smooth_frame(i) for i in range(7)]
    faces = [[face_at(i, x=40 + 5 * i)] for i in range(7)]
    faces[2], faces[4] = [], [face_at(4), face_at(4, x=150, y=90, side=70)]
    done = {}
    for size in (1, 2, 3, 8):
        swapper = Swapper(tiny, settings, batch_size=size, gains=(1.5, 1.2, 1.0))
        done[size] = [out for i in range(0, 7, size) for out in swapper(frames[i : i + size], faces[i : i + size])]
        assert done[size][2] is frames[2]  # the very frame: passed through untouched
        assert all((out != frame).any() for i, (out, frame) in enumerate(zip(done[size], frames)) if i != 2)
        # Sums may round in another way where a face lies elsewhere in memory: one level, in a few values of 100,000.
        apart = np.abs(np.stack(done[size]).astype(int) - np.stack(done[1]))
        assert apart.max() <= 1 and (apart > 0).mean() < 5e-5


def test_a_person_shows_nothing_further_out_than_they_have_shown(tiny):
    pictures = jnp.stack([jnp.asarray(smooth_frame(i)[:32, :32] / 127.5 - 1, jnp.float32) for i in range(2)])
    landmarks = jnp.stack([jnp.asarray(FACE, jnp.float32)] * 2)

    def apart(sd: float) -> float:
        """How far the swaps of two pictures are apart where every unit of the code spreads by `sd`."""
        stats = tiny.params['stats']
        code = {'mean': stats['b']['code']['mean'], 'square': stats['b']['code']['mean'] ** 2 + sd**2}
        params = tiny.params | {'stats': stats | {'b': stats['b'] | {'code': code}}}
        one, two = faceswap.swap(tiny.cfg, params, tiny.frozen, pictures, landmarks)[0]
        return float(jnp.abs(one - two).max())

    assert apart(1e-4) < 1e-3 < 0.01 < apart(1e3)


def test_the_input_frames_are_not_changed():
    frame = smooth_frame(0)
    kept = frame.copy()
    out = Swapper(stub(INVERTED), PLAIN)([frame], [[face_at(0)]])[0]
    assert (frame == kept).all() and (out != kept).any()


def test_the_net_gets_the_aligned_face_and_its_landmarks_in_units_of_the_side():
    seen = {}

    def swap(cfg, params, frozen, x, points, side):
        seen[side] = x.shape
        jax.debug.callback(lambda x, p: seen.update(x=np.array(x), points=np.array(p)), x, points)
        return x, jnp.ones_like(x[..., :1])

    frame, face = smooth_frame(4), face_at(0)
    Swapper(stub(SimpleNamespace(swap=swap)), settings=PLAIN, side='a', batch_size=2)([frame], [[face]])
    jax.effects_barrier()
    matrix = align_matrices(face.landmarks[None], 'full', 64)[0]
    assert seen['a'] == (2, 64, 64, 3)
    np.testing.assert_allclose(seen['x'][0], crop(frame, matrix, 64) / 127.5 - 1, atol=1e-6)
    pixels = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(seen['points'][0], (pixels + 0.5) / 64, atol=1e-5)


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match=r"colour 'blue' is unknown: choose one of none, reinhard"):
        Swapper(stub(), Settings(colour='blue'))
    with pytest.raises(InputError, match='batch size 0'):
        Swapper(stub(), batch_size=0)


def test_the_device_begins_the_next_faces_before_the_last_are_pasted(monkeypatch):
    """A job asks for the second group before it reads the first, and that is what starts the device."""
    seen, swapper = [], Swapper(stub(INVERTED), PLAIN, batch_size=2)
    merge = swapper._merge
    monkeypatch.setattr(swapper, '_merge', lambda look: lambda *x: seen.append('begun') or merge(look)(*x))
    monkeypatch.setattr('dfjax.inference.swap.lay', lambda *x: seen.append('pasted'))
    frames = [Frame(n, smooth_frame(n), n, 1, n / 25) for n in range(6)]
    job = Job('', '', lambda pictures: swapper.begin(pictures, [[face_at(0)]] * len(pictures)), batch=2)
    assert len(list(job(SimpleNamespace(size=(64, 64)), iter(frames)))) == 6
    assert seen == ['begun', 'begun', 'pasted', 'pasted', 'begun', 'pasted', 'pasted', 'pasted', 'pasted']


def test_a_device_without_memory_says_which_batch_size_to_try(monkeypatch):
    swapper = Swapper(stub(), batch_size=8)

    def apply(*_):
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes')

    monkeypatch.setattr(swapper, '_merge', lambda _: apply)
    with pytest.raises(InputError, match='out of memory with --batch-size 8; try --batch-size 4'):
        swapper([smooth_frame(0)], [[face_at(0)]])


# --- whole files


def write_video(path, frames=6):
    with VideoWriter(path, 25, (240, 200), sound=(np.zeros((4000, 1), np.float32), 16000)) as writer:
        for n in range(frames):
            writer.write(smooth_frame(n))
    return path


def analysed(faces, frames=6, source='in.mp4') -> Analysis:
    return Analysis(source, 240, 200, frames, faces)


def leftovers(folder, *expected) -> bool:
    return sorted(p.name for p in folder.iterdir()) != sorted(expected)


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


# --- runs


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

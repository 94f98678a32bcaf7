"""Clips and speech: which frames and which sound are drawn, from videos, folders and rendered people."""

import json

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.io import wavfile

from dfjax.data.batches import make_data
from dfjax.data.kinds import open_streams
from dfjax.data.media.audio import read_sound
from dfjax.data.media.image import write_image
from dfjax.data.media.video import VideoWriter
from dfjax.data.names import parse
from dfjax.data.render.speech import RATE
from dfjax.data.sets.clip import Clip, frames_at, open_clips
from dfjax.data.sets.clips import APART, AWAY, MARGIN, SAMPLES, TwoFrames, Windows, windows_of
from dfjax.errors import InputError, ReadError
from dfjax.ops.mel import mel

SIZE, NAME = 16, 'render:talk:3:2:40'
KINDS = {'clips': {}, 'speech': dict(frames=3, windows=2)}


def section(source=NAME, **keys) -> ConfigDict:
    return ConfigDict(dict(source=str(source), size=SIZE, crop=0, resident_bytes=2**30) | keys)


def numbered(count: int, base: int = 0, seconds: float | None = None) -> Clip:
    """A clip whose frames are grey levels base + number, and whose sound is the number of each sample."""
    seconds = count / 25 if seconds is None else seconds
    frame = lambda n: np.full((4, 4, 3), base + n, np.uint8)
    landmarks = np.tile(np.arange(count, dtype=np.float32)[:, None, None], (1, 68, 2))
    sound = 1 + np.arange(round(seconds * RATE), dtype=np.float32)
    return Clip(f'clip {base}', frame, count, landmarks=landmarks, sound=sound)


@pytest.fixture(scope='module')
def talkers(tmp_path_factory) -> list[Clip]:
    """Two rendered people, kept in a cache of their own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
        clips = open_clips(parse(NAME), SIZE)
        again = open_clips(parse(NAME), SIZE)
    assert all((a.frame(7) == b.frame(7)).all() for a, b in zip(clips, again))  # drawn, and from the cache
    return clips


# what is drawn


def test_two_frames_are_different_ones_of_one_clip_and_all_come():
    data = TwoFrames(parse('x'), [numbered(5), numbered(7, 100)])
    items = [data.read(index, seed) for index in (0, 1) for seed in range(400)]
    pairs = [(int(i['source']['image'][0, 0, 0]), int(i['driving']['image'][0, 0, 0])) for i in items]
    found = {p: pairs.count(p) for p in set(pairs)}
    assert len(found) == 5 * 4 + 7 * 6 and all(a != b and a // 100 == b // 100 for a, b in found)
    assert max(found[p] for p in found if p[0] < 100) < 2.5 * 400 / 20  # about as often each
    for item, (a, b) in zip(items, pairs):
        assert item['apart'] == pytest.approx((b - a) / 25)
        assert item['source']['landmarks'][0, 0] == a % 100 and item['driving']['landmarks'][0, 0] == b % 100


@pytest.mark.parametrize('windows', [1, 4])
def test_windows_have_their_sound_and_a_reference_elsewhere(windows):
    frames, count = 5, 80
    data = Windows(parse('x'), [numbered(count, seconds=3.0)], frames, windows)  # 0.2 s of it without sound
    starts = []
    for seed in range(300):
        item = data.read(0, seed)
        first, other = (item[k]['image'][:, 0, 0, 0, 0].astype(int) for k in ('frames', 'reference'))
        assert (item['frames']['image'][:, :, 0, 0, 0] == first[:, None] + np.arange(frames)).all()
        assert (item['reference']['landmarks'][:, :, 5, 1] == other[:, None] + np.arange(frames)).all()
        assert (np.diff(first) >= APART).all() and (np.abs(other - first) >= AWAY).all()
        np.testing.assert_allclose(item['apart'], (other - first) / 25, rtol=1e-6)
        at = first[:, None] * SAMPLES - MARGIN + np.arange(2 * MARGIN + frames * SAMPLES)
        assert (item['sound'] == np.where((at >= 0) & (at < 3 * RATE), at + 1, 0)).all()
        starts += first.tolist()
    last = count - frames - (APART - 1 if windows > 1 else 0)
    assert min(starts) == 0 and max(starts) == last and len(set(starts)) > 0.8 * (count - frames)


def test_a_reference_is_as_far_as_a_short_clip_allows():
    first, other = windows_of(np.arange(200, dtype=np.uint32), np.full(200, 14, np.int32), 5, 1)
    furthest = np.maximum(first, 9 - first)
    assert (np.abs(other - first) == furthest).all() and set(first.ravel()) == set(range(10))


def test_the_sound_of_a_window_holds_the_mel_columns_of_its_time(talkers):
    """Those of the whole sound, for as many columns as Wav2Lip's nets see of each frame of the window."""
    data = Windows(parse('x'), talkers[:1], 5, 1)
    whole = np.asarray(mel(talkers[0].sound))  # 80 columns a second
    items = (data.read(0, seed) for seed in range(200))
    starts = {_frame_of(item, talkers[0]): item['sound'][0] for item in items}
    tried = [n for n in starts if n % 5 == 0 and 5 < n < 30]  # where a frame begins with a column
    assert tried
    for n in tried:
        column, margin = n * 16 // 5, 80 * MARGIN // RATE
        window = np.asarray(mel(starts[n]))[:, margin - 3 : margin + 13 + 16]
        np.testing.assert_allclose(window, whole[:, column - 3 : column + 13 + 16], atol=2e-3)


def _frame_of(item: dict, clip: Clip) -> int:
    """Which frame of a clip the first of a window is."""
    return int(np.argmax([(clip.frame(n) == item['frames']['image'][0, 0]).all() for n in range(clip.count)]))


# batches


@pytest.mark.parametrize('kind', KINDS)
def test_held_and_streamed_clips_give_the_same_batches(kind, talkers, monkeypatch):
    monkeypatch.setattr(
        'dfjax.data.kinds.open_clips', lambda *_: [numbered(20), numbered(31, 100), *talkers_like(talkers)]
    )
    found = {}
    for limit in (2**30, 0):
        cfg = ConfigDict(dict(seed=1, batch_size=4, data=section(resident_bytes=limit, **KINDS[kind])))
        data = make_data(cfg, kind)
        assert data.resident is bool(limit)
        sample = jax.jit(lambda feed, step, data=data: data.sample(feed, step, 0))
        found[limit] = [sample(data.feed(1), jnp.int32(step)) for step in range(5)]
        data.close()
    for held, streamed in zip(found[2**30], found[0]):
        assert jax.tree.structure(held) == jax.tree.structure(streamed)
        for name in ('key', 'step_key'):
            assert (jax.random.key_data(held.pop(name)) == jax.random.key_data(streamed.pop(name))).all()
        for one, two in zip(jax.tree.leaves(held), jax.tree.leaves(streamed)):
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)
    shapes = jax.tree.map(lambda x: (x.shape, str(x.dtype)), found[0][0])
    if kind == 'clips':
        frame = {'image': ((4, 4, 4, 3), 'uint8'), 'landmarks': ((4, 68, 2), 'float32')}
        assert shapes == {'source': frame, 'driving': frame, 'apart': ((4,), 'float32')}
    else:
        window = {'image': ((4, 2, 3, 4, 4, 3), 'uint8'), 'landmarks': ((4, 2, 3, 68, 2), 'float32')}
        sound = ((4, 2, 3 * SAMPLES + 2 * MARGIN), 'float32')
        assert shapes == {'frames': window, 'reference': window, 'sound': sound, 'apart': ((4, 2), 'float32')}


def talkers_like(clips: list[Clip]) -> list[Clip]:
    """The same at four pixels a side, one without landmarks."""
    small = lambda clip: lambda n: np.ascontiguousarray(clip.frame(n)[::4, ::4])
    known = [dict(landmarks=clips[0].landmarks), {}]
    return [Clip(c.name, small(c), c.count, sound=c.sound, **k) for c, k in zip(clips, known)]


# rendered clips


def test_rendered_clips_come_with_what_moves_them(talkers):
    """Landmarks show the lips as open as the voice has them; another clip is another person with another voice."""
    for clip in talkers:
        assert clip.frame(0).shape == (SIZE, SIZE, 3) and clip.count == 40 and clip.landmarks.shape == (40, 68, 2)
        gap = np.linalg.norm(clip.landmarks[:, 66] - clip.landmarks[:, 62], axis=-1)
        assert np.corrcoef(gap, clip.motion['voice_open'])[0, 1] > 0.97
        assert {'yaw', 'open', 'smile', 'blink'} <= set(clip.motion) and clip.motion['yaw'].shape == (40,)
        assert (clip.landmarks > 0).all() and (clip.landmarks < 1).all()
    one, two = talkers
    assert np.abs(one.frame(0).astype(int) - two.frame(0)).mean() > 8
    assert np.abs(one.motion['voice_open'] - two.motion['voice_open']).mean() > 0.1


# videos and folders


def film(path, grey: list[int], fps: float = 25, sound: np.ndarray | None = None):
    """A video of grey frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps, (64, 48), sound=None if sound is None else (sound, RATE)) as writer:
        for value in grey:
            writer.write(np.full((48, 64, 3), value, np.uint8))


def test_videos_are_sampled_at_25_frames_a_second(tmp_path):
    """The frame nearest in time, at any rate."""
    for fps, truth in ((50, [20, 60, 100, 140, 180]), (25, range(20, 200, 20)), (10, [20, 20, 40, 40, 40, 60, 60])):
        film(tmp_path / f'{fps}.mp4', list(range(20, 200, 20)), fps)
        found = [int(picture.mean()) for picture in frames_at(tmp_path / f'{fps}.mp4', 25)]
        assert np.abs(np.subtract(found[: len(list(truth))], list(truth))).max() <= 21 if fps == 10 else 3
        assert abs(len(found) - 9 * 25 / fps) <= 1


def test_a_folder_of_videos_and_of_folders_of_pictures(tmp_path, capsys):
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.float32)
    film(tmp_path / 'one.mp4', list(range(20, 220, 8)), sound=tone)
    (tmp_path / 'bad.mp4').write_bytes(b'nothing')
    for n in range(6):
        write_image(tmp_path / 'two' / f'{n}.png', np.full((30, 40, 3), 10 * n, np.uint8))
    two, one = open_clips(parse(str(tmp_path)), SIZE)
    assert (one.count, two.count) == (25, 6) and two.sound is None and one.landmarks is None
    assert [int(two.frame(n).mean()) for n in range(6)] == [0, 10, 20, 30, 40, 50]
    assert np.abs([int(one.frame(n).mean()) - 20 - 8 * n for n in range(25)]).max() <= 4
    assert abs(len(one.sound) - RATE) < 0.1 * RATE
    spectrum = np.abs(np.fft.rfft(one.sound[2000:14000]))
    assert spectrum.argmax() * RATE / 12000 == pytest.approx(440, abs=2)
    said = capsys.readouterr().err
    assert '1 of 3 clips are left out' in said and 'bad.mp4: not a' in said
    item = open_streams('clips', section(tmp_path))[''].read(0, 5)
    assert np.isnan(item['source']['landmarks']).all() and item['driving']['image'].shape == (SIZE, SIZE, 3)
    data = open_streams('speech', section(tmp_path, frames=5, windows=1))['']
    assert len(data) == 1 and data.read(0, 1)['sound'].shape == (1, 5 * SAMPLES + 2 * MARGIN)


def test_long_videos_are_kept_from_their_start_on_and_it_is_said(tmp_path, monkeypatch, capsys):
    film(tmp_path / 'one.mp4', list(range(20, 220, 8)))
    monkeypatch.setattr('dfjax.data.sets.clip.KEPT_BYTES', 10 * SIZE * SIZE * 3)
    (clip,) = open_clips(parse(str(tmp_path / 'one.mp4')), SIZE)
    assert clip.count == 10 and 'only its first 0.4 s are kept' in capsys.readouterr().err


def test_sound_of_any_rate_comes_at_16_khz_on_the_clock_of_the_pictures(tmp_path):
    """A click half a second into the file is found there; sound that begins late is preceded by silence."""
    rate = 44_100
    click = np.zeros((rate, 2), np.int16)
    click[rate // 2 : rate // 2 + 200] = 20_000
    path = tmp_path / 'x.mkv'
    with av.open(str(path), 'w') as file:
        stream = file.add_stream('pcm_s16le', rate=rate, layout='stereo')
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(click.reshape(1, -1)), format='s16', layout='stereo')
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    sound = read_sound(path, 16000, mono=True)[0][:, 0]
    assert sound.dtype == np.float32 and abs(len(sound) - RATE) < 100
    assert abs(np.abs(sound).argmax() - RATE // 2) < 80 and 0.4 < sound.max() < 0.8
    film(tmp_path / 'silent.mp4', [10, 20])
    with pytest.raises(ReadError, match=r'silent.mp4: has no sound'):
        read_sound(tmp_path / 'silent.mp4')


def test_bad_clips_get_one_line(tmp_path, capsys):
    for n in range(3):
        write_image(tmp_path / 'short' / f'{n}.png', np.zeros((9, 9, 3), np.uint8))
        write_image(tmp_path / 'single' / f'{n}' / '0.png', np.zeros((9, 9, 3), np.uint8))
    cases = [
        ('no such folder or video', 'clips', 'gone'),
        ('clips of 1 frames at most; at least 2 are needed', 'clips', tmp_path / 'single'),
        ('none of its 1 clips has sound', 'speech', tmp_path / 'short'),
        ('write render:talk:SEED:COUNT:FRAMES', 'clips', 'render:people:1:4'),
        ('write render:talk:SEED:COUNT:FRAMES', 'clips', 'render:talk:1:4'),
        ('config key data.source is empty', 'clips', ''),
        ('clips, where pictures are needed', 'unpaired', NAME),
    ]
    for message, kind, source in cases:
        keys = dict(frames=5, windows=1, a=str(source), b=str(source))
        with pytest.raises(InputError, match=message) as caught:
            open_streams(kind, section(source, **keys))
        assert '\n' not in str(caught.value)
    facts = [{'clip': f'{n}', 'in_sync': n == 1} for n in range(2)]
    for n in range(2):
        for frame in range(12):
            write_image(tmp_path / 'late' / f'{n}' / f'{frame:02}.png', np.zeros((9, 9, 3), np.uint8))
        wavfile.write(tmp_path / 'late' / f'{n}' / 'sound.wav', RATE, np.zeros(RATE // 2, np.int16))
    late = section(tmp_path / 'late', frames=5, windows=1)
    (tmp_path / 'late' / 'clips.json').write_text(json.dumps(facts))
    assert len(open_streams('speech', late)['']) == 1 and len(open_streams('clips', late)['']) == 2
    assert '1 of 2 clips are left out' in capsys.readouterr().err
    for unknown in ([], [{'clip': '1', 'in_sync': None}]):  # nobody looked at the other, or it was too short to tell
        (tmp_path / 'late' / 'clips.json').write_text(json.dumps(facts[:1] + unknown))
        (found,) = open_streams('speech', late).values()
        assert len(found) == 1 and found.clips[0].name.endswith('1')
    for text, said in (
        (json.dumps([f | {'in_sync': False} for f in facts]), 'in none of its 2'),
        ('{', 'extract them'),
    ):
        (tmp_path / 'late' / 'clips.json').write_text(text)
        with pytest.raises(InputError, match=said):
            open_streams('speech', late)
    with pytest.raises(InputError, match='clips of 4 frames at most; at least 7 are needed'):
        Windows(parse('x'), [numbered(4)], 5, 1)

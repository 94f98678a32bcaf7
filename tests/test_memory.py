"""What is kept of a frame while videos are made: bytes, counted in Python's own memory, not by long runs."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import wavfile

from dfjax.data.faces.analyse import Analysis
from dfjax.data.faces.table import ROW, Faces
from dfjax.data.media.audio import read_sound
from dfjax.errors import WriteError
from dfjax.inference import lipsync
from dfjax.inference.driving import driver_of, talk
from dfjax.inference.lips import hear, listen
from dfjax.inference.mouthpool import Patches
from dfjax.inference.mouthshape import shape_of
from dfjax.inference.ownspeech import learn
from dfjax.inference.reenact import Animator

FEW, MANY, FPS, RATE = 3500, 7000, 25, 16_000
PICTURE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
STEPS = {  # what is done, and bytes of a frame that it may take at once
    'driver': 3600,
    'animator': 1800,
    'pool': 1000,
    'shape': 3000,
    'own speech': 3000,
    'hearing': 3000,
    'dubbing': 1500,
}


def analysed(talker, count: int) -> Analysis:
    rows, turn = np.zeros(count, ROW), np.arange(count) % len(talker)
    rows['frame'], rows['time'], rows['landmarks'] = np.arange(count), np.arange(count) / FPS, talker.landmarks[turn]
    rows['sharpness'], rows['descriptor'] = 5, -1
    faces = Faces().take(rows)
    faces.sources.append('talk.mp4')
    return Analysis('talk.mp4', 256, 256, count, faces)


def peaks(talker, count: int) -> dict[str, int]:
    """Bytes that each of STEPS takes at once of a video of so many frames."""
    made, taken = SimpleNamespace(), {}
    sound, times = (
        np.random.default_rng(0).normal(0, 0.1, count * RATE // FPS).astype(np.float32),
        np.arange(count) / FPS,
    )
    analysis = analysed(talker, count)
    work = {
        'driver': lambda: driver_of(analysis),
        'animator': lambda: Animator(PICTURE, talker.landmarks[0], made.driver),
        'pool': lambda: lipsync.gather_pool('talk.mp4', made.driver, analysis),
        'shape': lambda: shape_of(made.driver.motion),
        'own speech': lambda: learn(listen(sound)[2], made.shape.seen(made.driver.motion), times),
        'hearing': lambda: hear(sound, times, own=getattr(made, 'own speech')),
        'dubbing': lambda: lipsync.Dubbing(made.driver, made.pool, made.shape, made.hearing, np.arange(count), 1.0),
    }
    for name in STEPS:
        tracemalloc.start()
        setattr(made, name, work[name]())
        taken[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return taken


@pytest.mark.whole
def test_each_frame_of_a_long_video_takes_little_memory(monkeypatch):
    monkeypatch.setattr(lipsync, 'read_frames', lambda _: ((n, n / FPS, PICTURE) for n in range(MANY)))
    talker = talk('talk:1:10')
    peaks(talker, 100)  # what is loaded once
    few, many = peaks(talker, FEW), peaks(talker, MANY)
    each = {name: (many[name] - few[name]) / (MANY - FEW) for name in STEPS}
    assert all(each[name] < most for name, most in STEPS.items()), each
    assert max(many.values()) < 60e6, many


def test_a_sound_is_held_once(tmp_path):
    samples = np.random.default_rng(0).normal(0, 3000, (120 * 44100, 2)).astype(np.int16)
    wavfile.write(tmp_path / 'long.wav', 44100, samples)
    tracemalloc.start()
    try:
        sound, rate = read_sound(tmp_path / 'long.wav', RATE, mono=True)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * sound.nbytes
    finally:
        tracemalloc.stop()
    assert (sound.shape, rate) == ((120 * RATE, 1), RATE)


def test_mouths_wait_on_the_disk(monkeypatch):
    patches, pictures = Patches(), [PICTURE[:n, : 2 * n] for n in (40, 90, 41)]
    tracemalloc.start()
    for _ in range(100):
        for picture in pictures:
            patches.append(picture)
    assert tracemalloc.get_traced_memory()[0] < 200_000
    tracemalloc.stop()
    assert len(patches) == 300 and np.array_equal(patches[298], pictures[1])
    assert [p.shape for p in patches[3:5]] == [p.shape for p in pictures[:2]]
    with open('/dev/full', 'r+b', buffering=0) as full:
        monkeypatch.setattr(patches, '_file', full)
        with pytest.raises(WriteError, match='the disk is full'):
            patches.append(PICTURE)

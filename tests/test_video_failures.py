"""What happens to bad videos and failing work: one clear line, nothing left behind, no thread left running."""

import resource
import signal
import threading

import av
import numpy as np
import pytest
from toy_jobs import same, transform_video
from videos import chirp, make, scene

from dfjax.data.media.threads import Behind, ahead
from dfjax.data.media.video import VideoWriter, probe, read_frames
from dfjax.errors import InputError


def one_line(error, path):
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """An mp4 of 6 s whose index comes first, as for the web."""
    path = tmp_path_factory.mktemp('whole') / 'whole.mp4'
    with VideoWriter(path, 25, (64, 48)) as writer:
        for picture in scene(150):
            writer.write(picture)
    return path.read_bytes()


def bad(name, path, whole):
    if name == 'folder':
        path.mkdir()
    elif name == 'audio only':
        with av.open(str(path), 'w') as out:
            stream = out.add_stream('aac', rate=16000, layout='mono')
            frame = av.AudioFrame.from_ndarray(chirp(16000)[None], format='fltp', layout='mono')
            frame.sample_rate = 16000
            out.mux(stream.encode(frame) + stream.encode(None))
    elif name == 'zero frames':
        with av.open(str(path), 'w') as out:
            stream = out.add_stream('libx264', rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
            out.start_encoding()
    elif name != 'missing':
        path.write_bytes({'empty': b'', 'text': b'no video\n' * 200, 'no index': whole[:1000]}[name])


@pytest.mark.parametrize('name', ['missing', 'empty', 'text', 'no index', 'folder', 'audio only', 'zero frames'])
def test_bad_videos_are_refused_in_one_line(tmp_path, whole, name):
    path = tmp_path / 'bad.mp4'
    bad(name, path, whole)
    for read in (probe, lambda p: next(read_frames(p)), lambda p: transform_video(p, tmp_path / 'out.mp4', same)):
        with pytest.raises(InputError) as error:
            read(path)
        one_line(error, path)
    assert set(tmp_path.iterdir()) <= {path}


@pytest.mark.parametrize('damage', ['cut', 'zeros'])
def test_damage_half_way_is_not_taken_for_the_end(tmp_path, whole, damage):
    path, half = tmp_path / 'half.mp4', len(whole) // 2
    path.write_bytes(whole[:half] if damage == 'cut' else whole[:half] + bytes(len(whole) - half))
    got = []
    with pytest.raises(InputError, match='frames') as error:
        got.extend(read_frames(path))
    one_line(error, path)
    assert 10 < len(got) < 150
    with pytest.raises(InputError):
        transform_video(path, tmp_path / 'out.mp4', same)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('how', ['error', 'ctrl-c', 'full disk', 'wrong count', 'wrong size'])
def test_a_failure_leaves_nothing_behind(tmp_path, how):
    noise = np.random.default_rng(0).integers(0, 255, (60, 96, 128, 3)).astype(np.uint8)
    source, out = make(tmp_path / 'in.mp4', noise, range(0, 2400, 40)), tmp_path / 'out.mp4'
    before, limit = threading.active_count(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background start by ignoring it

    def fn(frames):
        if frames[0][0] == 20 and how != 'full disk':
            if how == 'error':
                raise ZeroDivisionError
            if how == 'ctrl-c':
                signal.raise_signal(signal.SIGINT)
            return [] if how == 'wrong count' else [rgb[:-2] for _, _, rgb in frames]
        return same(frames)

    kind = {'error': ZeroDivisionError, 'ctrl-c': KeyboardInterrupt, 'full disk': InputError}.get(how, ValueError)
    try:
        if how == 'full disk':  # the system refuses to let the file grow
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        with pytest.raises(kind) as error:
            transform_video(source, out, fn, batch=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGINT, handler)
    if how == 'full disk':
        one_line(error, out)
        assert 'disk is full' in str(error.value)
    assert list(tmp_path.iterdir()) == [source] and threading.active_count() == before


def test_existing_output_and_wrong_suffix(tmp_path):
    source, out = make(tmp_path / 'in.mp4', scene(3), [0, 40, 80]), tmp_path / 'out.mp4'
    out.write_bytes(b'precious')
    with pytest.raises(InputError, match='--force'):
        transform_video(source, out, same)
    assert out.read_bytes() == b'precious'
    assert transform_video(source, out, same, force=True) == 3 and probe(out).frames == 3
    with pytest.raises(InputError, match='mp4'):
        transform_video(source, tmp_path / 'out.avi', same)


def test_ahead_overlaps_is_bounded_and_ends_with_its_reader():
    made, full = [], threading.Event()

    def items():
        for i in range(1000):
            made.append(i)
            if len(made) == 6:
                full.set()
            yield i

    reader = ahead(items(), depth=4)
    assert next(reader) == 0
    assert full.wait(5)  # 1 read, 4 waiting and 1 in hand were made while nobody asked
    threading.Event().wait(0.3)
    assert len(made) == 6
    reader.close()
    assert not any(t.name == 'ahead' for t in threading.enumerate())

    def breaks():
        yield 1
        raise OSError('gone')

    reader = ahead(breaks(), 4)
    assert next(reader) == 1
    with pytest.raises(OSError, match='gone'):
        next(reader)


def test_behind_works_off_in_order_and_hands_back_errors():
    done, go = [], threading.Event()

    def work(item):
        assert go.wait(5)
        done.append(item)

    with Behind(work, depth=8) as behind:
        for i in range(5):
            behind.put(i)
        assert done == []  # puts do not wait for the work
        go.set()
    assert done == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError), Behind(lambda item: 1 / item, depth=1) as behind:
        for _ in range(10):
            behind.put(0)
    assert not any(t.name == 'behind' for t in threading.enumerate())

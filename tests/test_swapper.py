"""Faces of frames through the net and back, in batches."""

from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from converting import INVERTED, PLAIN, face_at, stub
from fake_faces import FACE
from test_paste import smooth_frame

from configs.faceswap import get_config
from dfjax.data.faces.align import align_matrices, crop
from dfjax.data.media.decode import Frame
from dfjax.errors import InputError
from dfjax.inference.frames import Job
from dfjax.inference.run import Run
from dfjax.inference.settings import Settings
from dfjax.inference.swap import Swapper
from dfjax.systems import faceswap

pytestmark = pytest.mark.whole


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

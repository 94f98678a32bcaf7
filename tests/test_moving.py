"""`dfjax animate --run`: keypoints of a driver, what goes back into the picture, and the verb on small pictures."""

from types import SimpleNamespace

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from untrained import smooth_picture, untrained

from dfjax.apps.cli import main
from dfjax.data.faces.square import face_square, whole_square
from dfjax.data.faces.warp import apply
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, probe
from dfjax.inference.moving import NetAnimator, best_frame, drive
from dfjax.inference.run import load_run

pytestmark = pytest.mark.whole

SIZE = 32
CORNERS = np.float32([[-0.2, -0.2], [0.2, -0.2], [0.0, 0.2]])


def blob(x: float, y: float, h: int = SIZE, w: int = SIZE, sigma: float = 3.0) -> np.ndarray:
    """A white spot at (x, y) on black, uint8 [h, w, 3]."""
    bump = np.exp(-((np.arange(w) - x) ** 2 + (np.arange(h)[:, None] - y) ** 2) / (2 * sigma**2))
    return np.rint(255 * bump[..., None].repeat(3, -1)).astype(np.uint8)


class Spot:
    """A system whose keypoints follow a spot, and whose pictures are shifted as they go."""

    ANIMATES = ()

    @staticmethod
    def keypoints(cfg, params, pictures):
        light = (pictures[..., 0] + 1) / 2
        at = jnp.linspace(-1, 1, pictures.shape[1])
        whole = light.sum((1, 2))
        middle = jnp.stack([(light.sum(1) * at).sum(-1) / whole, (light.sum(2) * at).sum(-1) / whole], -1)
        eye = jnp.broadcast_to(jnp.eye(2), (len(pictures), 3, 2, 2))
        return middle[:, None] + CORNERS, eye

    @staticmethod
    def animate(cfg, params, pictures, source, driving, large=None):
        shift = (driving[0] - source[0]).mean(1) * (large.shape[1] - 1) / 2
        one = lambda x, d: jax.image.scale_and_translate(
            x, x.shape, (0, 1), jnp.ones(2), d[::-1], 'linear', antialias=False
        )
        return jax.vmap(one)(large + 1, shift) - 1


@pytest.fixture(scope='module')
def spot():
    return SimpleNamespace(
        system=Spot, cfg=SimpleNamespace(data=SimpleNamespace(size=SIZE)), params={'w': np.zeros(1)}, path='spot'
    )


def test_keypoints_do_not_depend_on_how_many_there_are(spot):
    pictures = [blob(8 + n, 16) for n in range(11)]
    whole = drive(spot, pictures)
    assert whole[0].shape == (11, 3, 2) and whole[1].shape == (11, 3, 2, 2)
    for n in (0, 4, 10):
        np.testing.assert_array_equal(drive(spot, pictures[n : n + 1])[0][0], whole[0][n])
    np.testing.assert_allclose(whole[0].mean(1)[:, 0], 2 * (8 + np.arange(11)) / (SIZE - 1) - 1, atol=2e-3)


def test_the_best_frame_is_the_one_of_the_same_form():
    rng = np.random.default_rng(0)
    driving = rng.normal(size=(9, 5, 2))
    assert best_frame(0.3 * driving[6] + [0.2, -0.4], driving) == 6


@pytest.mark.parametrize('absolute', [False, True])
def test_motion_is_carried_over(spot, absolute):
    """Relative to the frame most like the picture, or as it is; the square fills the picture."""
    picture, driver = blob(40, 28, 64, 64, 5.0), [blob(14 + 2 * n, 18) for n in range(4)]
    animator = NetAnimator(spot, picture, whole_square(64, 64, SIZE), drive(spot, driver), absolute=absolute, frame=0)
    made = animator([3, 0])
    moved = np.array([(14 + 2 * 3) * 63 / 31, 18 * 63 / 31]) if absolute else np.array([40 + 6 * 63 / 31, 28])
    light = made[0][..., 0].astype(float)
    found = np.array([(light.sum(0) * np.arange(64)).sum(), (light.sum(1) * np.arange(64)).sum()]) / light.sum()
    np.testing.assert_allclose(found, moved, atol=0.3)
    if not absolute:
        np.testing.assert_array_equal(made[1], picture)


def test_what_lies_outside_the_square_keeps_its_bits(spot):
    picture = smooth_picture(90, 120)
    picture[20:70, 40:90] //= 4
    picture[30:60, 50:80] = np.maximum(picture[30:60, 50:80], blob(15, 15, 30, 30, 4.0))
    matrix = face_square(np.array([[50.0, 30], [80, 60]] * 34), SIZE)
    animator = NetAnimator(spot, picture, matrix, drive(spot, [blob(12, 16), blob(20, 16)]), frame=0)
    (x, y), side = animator.corner, animator.side
    made = animator([1])[0]
    outside = np.ones((90, 120), bool)
    outside[max(y, 0) : y + side, max(x, 0) : x + side] = False
    assert outside.any() and (made != picture).any()
    np.testing.assert_array_equal(made[outside], picture[outside])


def test_a_square_holds_a_face_wherever_it_goes():
    landmarks = np.random.default_rng(0).uniform(0, 1, (20, 68, 2)) * 50 + np.linspace(100, 300, 20)[:, None, None]
    seen = apply(face_square(landmarks, 64), landmarks)
    assert seen.min() > 0 and seen.max() < 63
    one = apply(face_square(landmarks[3], 64), landmarks[3])
    np.testing.assert_allclose(np.ptp(one, axis=0).max(), 32, rtol=0.02)  # half the side: the rest is room


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp('runs') / 'heads', 'fomm')


def test_detail_of_the_picture_moves_along(run):
    """Where nothing moves and all is seen, more pixels in are more pixels out."""
    opened = load_run(run, can=('keypoints', 'animate'))
    small, large = (smooth_picture(s, s)[None] / 127.5 - 1 for s in (32, 96))
    points = opened.system.keypoints(opened.cfg, opened.params, jnp.asarray(small))
    apply = jax.jit(lambda *x: opened.system.animate(opened.cfg, opened.params, *x))
    made, wide = apply(small, points, points), apply(small, points, points, large)
    assert made.shape == (1, 32, 32, 3) and wide.shape == (1, 96, 96, 3)
    np.testing.assert_allclose(cv2.resize(np.array(wide[0]), (32, 32), interpolation=cv2.INTER_AREA), made[0], atol=0.4)


def test_the_verb(run, tmp_path, capsys):
    write_image(tmp_path / 'a.png', smooth_picture(70, 90))
    with VideoWriter(tmp_path / 'd.mp4', 25, (64, 48)) as writer:
        for n in range(5):
            writer.write(smooth_picture(48, 64, n))
    words = ['animate', '--image', str(tmp_path / 'a.png'), '--driving', str(tmp_path / 'd.mp4'), '--run', str(run)]
    assert main([*words, '--any', '-o', str(tmp_path / 'out.mp4'), '--json']) == 0
    made = probe(tmp_path / 'out.mp4')
    assert made.size == (90, 70) and made.frames == 5
    picture = ['--driving', str(tmp_path / 'a.png')]
    assert main([*words, *picture, '--any', '-o', str(tmp_path / 'out.png'), '--size', '64']) == 0
    assert read_image(tmp_path / 'out.png').shape == (50, 64, 3)
    with VideoWriter(tmp_path / 'still.mp4', 25, (64, 48)) as writer:
        for _ in range(5):
            writer.write(smooth_picture(48, 64))
    still = ['--driving', str(tmp_path / 'still.mp4')]
    assert main([*words, *still, '--any', '--absolute', '-o', str(tmp_path / 'still-out.mp4')]) == 0
    capsys.readouterr()
    bad = {tuple(still): 'nothing moves in it'} | {
        ('--mouth', 'drawn'): '--mouth',
        ('--frame', '7'): '5 frames',
        ('--driving', 'talk:3'): 'no pictures',
    }
    for wrong, said in bad.items():
        assert main([*words, '--any', '-o', str(tmp_path / 'no.mp4'), *wrong]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / 'no.mp4').exists()

"""A face bent to new landmarks: places, edges, folds; and the mouth and lids that are painted in."""

import cv2
import numpy as np
import pytest

from dfjax.inference import lids, mouth
from dfjax.inference.bend import RING, Bend
from dfjax.inference.head import load_head
from dfjax.inference.opening import paint

POINTS = load_head().mean[:, :2] * 30 + [160, 150]  # 30 pixels between the eyes


@pytest.fixture(scope='module')
def ramp() -> np.ndarray:
    """A picture whose red is x / 2 and whose green is y / 2."""
    y, x = np.mgrid[:320, :330]
    return np.stack([x / 2, y / 2, 0 * x], -1).astype(np.uint8)


# The bend


def test_what_does_not_move_keeps_its_bits(noise):
    np.testing.assert_array_equal(Bend(noise, POINTS)(POINTS), noise)


def test_outside_the_ring_pictures_keep_their_bits(noise):
    bend = Bend(noise, POINTS)
    bent = bend(POINTS + np.random.default_rng(1).normal(0, 3, POINTS.shape), np.array([4.0, 2.0]))
    y, x = np.mgrid[:320, :330]
    outside = np.hypot(x - bend.centre[0], y - bend.centre[1]) > RING * bend.eyes + 1
    assert outside.sum() > 5000 and (bent[~outside] != noise[~outside]).mean() > 0.5
    np.testing.assert_array_equal(bent[outside], noise[outside])


def test_points_come_to_lie_where_they_should(ramp):
    """The colours of a ramp say where a pixel comes from."""
    moves = np.zeros_like(POINTS)
    moves[17:68] = 4 * np.stack([np.sin(POINTS[17:68, 0] / 30), np.cos(POINTS[17:68, 1] / 25)], -1)
    bent = Bend(ramp, POINTS)(POINTS + moves).astype(float)
    for own, now in zip(POINTS[27:48], (POINTS + moves)[27:48]):
        x, y = np.round(now).astype(int)
        np.testing.assert_allclose(2 * bent[y, x, :2], own + np.array([x, y]) - now, atol=2.0)


def test_a_face_that_leaves_the_picture_is_mirrored():
    picture = np.random.default_rng(2).integers(0, 255, (90, 100, 3), np.uint8)
    points = POINTS - [110, 110]
    bent = Bend(picture, points)(points + 6)
    assert bent.shape == picture.shape and bent.dtype == np.uint8


def test_folds_are_undone(ramp):
    """Points that change places would turn the picture inside out: going right, it must come from further right."""
    crossed = POINTS.copy()
    crossed[[36, 45]] = POINTS[[45, 36]]
    bend = Bend(ramp, POINTS)
    bent = bend(crossed)
    assert bend.folds == 1
    row = bent[int(POINTS[36, 1]), int(POINTS[0, 0]) : int(POINTS[16, 0]), 0].astype(int)
    assert np.diff(row).min() >= -2
    bend(POINTS)
    assert bend.folds == 1


# The mouth


def opened(gap: float) -> np.ndarray:
    """POINTS with the lips apart by `gap` distances between the eyes."""
    lips = POINTS[:68].copy()
    middle = lips[[61, 62, 63, 65, 66, 67], 1].mean()
    lips[[60, 64], 1] = middle
    lips[[61, 62, 63], 1], lips[[65, 66, 67], 1] = middle - 15 * gap, middle + 15 * gap
    return lips


def test_edges_seen_from_the_side_are_curves_still():
    """Points that hide each other, as of a puckered mouth in profile, give numbers."""
    lips = opened(0.3)
    lips[[61, 62, 63], 0] = lips[60, 0]
    lips[[65, 66], 0] = lips[64, 0] + 2
    inside = mouth.between_lips(lips, 30.0, (320, 330))
    assert np.isfinite(mouth.drawn(inside, np.full(3, 140.0))).all() and np.isfinite(inside.within()).all()


def test_shut_lips_show_nothing():
    inside = mouth.between_lips(opened(0.0), 30.0, (320, 330))
    assert mouth.shown(inside, 0.0).max() == 0
    inside = mouth.between_lips(opened(0.3), 30.0, (320, 330))
    assert inside.gap == pytest.approx(0.3, abs=1e-6)
    assert mouth.shown(inside, 0.0).max() == 1
    assert mouth.shown(inside, 0.3).max() == 0  # the picture's own mouth is open as far


def test_painting_stays_between_the_lips(noise):
    lips = opened(0.4)
    inside = mouth.between_lips(lips, 30.0, noise.shape)
    painted = noise.copy()
    paint(painted, inside, mouth.drawn(inside, np.array([200.0, 150, 130])), mouth.shown(inside, 0.0))
    y, x = np.nonzero((painted != noise).any(-1))
    assert lips[60, 0] - 1 <= x.min() and x.max() <= lips[64, 0] + 1
    assert lips[61:64, 1].min() - 2 <= y.min() and y.max() <= lips[65:68, 1].max() + 2
    assert len(y) > 50


def test_a_drawn_mouth_has_bright_teeth_over_a_dark_back():
    inside = mouth.between_lips(opened(0.4), 30.0, (320, 330))
    colour = mouth.drawn(inside, np.array([200.0, 150, 130]))
    middle = colour[:, colour.shape[1] // 2][mouth.shown(inside, 0)[:, colour.shape[1] // 2] > 0.9].mean(-1)
    assert middle.argmax() < len(middle) / 3 and middle.max() > 2 * middle.min()
    grey = mouth.drawn(inside, np.full(3, 140.0))
    assert np.ptp(grey, -1).max() < 1e-6  # a statue's is grey


def test_the_drivers_mouth_takes_the_pictures_light_not_its_hue():
    lips = opened(0.4)
    inside = mouth.between_lips(lips, 30.0, (320, 330))
    frame = np.full((320, 330, 3), (60, 40, 30), np.uint8)
    tone = mouth.DriverMouth(np.array([100.0, 100, 100]), np.array([200.0, 160, 120]))
    seen = tone(inside, lips, frame, lips)
    assert np.ptp(seen, -1).max() < 1  # on grey stone it is grey
    assert seen.mean() == pytest.approx(
        (frame[0, 0] @ mouth.LUMA) * 100 / (np.array([200, 160, 120]) @ mouth.LUMA), 0.02
    )


def test_the_drivers_mouth_is_bent_to_the_lips(ramp):
    lips, theirs = opened(0.4), opened(0.2) + np.array([20, 30])
    tone = mouth.DriverMouth(np.array([200.0, 150, 100]), np.array([200.0, 150, 100]))
    inside = mouth.between_lips(lips, 30.0, ramp.shape)
    seen = tone(inside, lips, ramp, theirs)
    x, y = lips[[62, 66]].mean(0).round().astype(int)
    goal = theirs[[62, 66]].mean(0)
    np.testing.assert_allclose(2 * seen[y - inside.rows.start, x - inside.columns.start, :2], goal, atol=3)


# Lids


def test_edges_that_meet_are_kept_apart_only_where_they_were():
    met = POINTS.copy()
    met[lids.PAIRS] = POINTS[lids.PAIRS].mean(1, keepdims=True)
    down = np.array([0.0, 1.0])
    apart = lids.keep_apart(met, POINTS, 30.0, down)
    own = np.linalg.norm(POINTS[lids.PAIRS[:, 1]] - POINTS[lids.PAIRS[:, 0]], axis=-1)
    wanted = np.minimum(own, lids.APART * 30)
    np.testing.assert_allclose((apart[lids.PAIRS[:, 1]] - apart[lids.PAIRS[:, 0]])[:, 1], wanted, atol=1e-9)
    np.testing.assert_array_equal(lids.keep_apart(POINTS, POINTS, 30.0, down), POINTS)
    np.testing.assert_array_equal(lids.keep_apart(met, met, 30.0, down), met)


def test_shut_lids_cover_the_eye():
    """A white eye in grey skin: open it is white, shut it is not."""
    points, skin = 3 * POINTS - 300, np.full((400, 400, 3), 120, np.uint8)
    for upper, lower in lids.EYES:
        eye = points[[*upper, *lower[2:0:-1]]]
        cv2.fillConvexPoly(skin, np.round(eye).astype(np.int32), (255, 255, 255))
    for share, white in (([1.0, 1.0], 255), ([0.0, 0.0], 121)):
        picture = skin.copy()
        lids.shut_lids(picture, points, np.array(share), 90.0)
        for upper, lower in lids.EYES:
            x, y = points[[*upper, *lower]].mean(0).round().astype(int)
            assert (picture[y - 2 : y + 3, x - 8 : x + 9] <= white).all()
            assert picture[y, x].max() == 255 if share[0] else picture[y, x].max() < 125
    wide = lids.openings(points)
    np.testing.assert_allclose(lids.openings(np.stack([points, 2 * points])), [wide, wide])

"""The head renderer: geometry, mask, swap truth, and independence of parameters."""

import cv2
import numpy as np
import pytest
from straight_heads import motion, people

from dfjax.data import render as heads
from dfjax.data.render.features import landmarks
from dfjax.data.render.head import head, moment
from dfjax.data.render.parameters import IDENTITY, INNER, MOTION
from dfjax.data.render.surface import directions, map_coordinates
from dfjax.errors import InputError

MIRROR = [
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36,
    41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
]  # fmt: skip


def test_shapes_and_determinism():
    how = heads.stack([heads.random_motion(k) for k in range(3)])
    a, b = heads.render(people(3), how, 96), heads.render(people(3), how, 96)
    assert a.image.shape == (3, 96, 96, 3) and a.image.dtype == np.uint8
    assert a.mask.shape == (3, 96, 96) and a.mask.dtype == np.uint8
    assert a.landmarks.shape == (3, 68, 2) and a.landmarks.dtype == np.float32
    assert all(v.shape == (3,) and v.dtype == bool for v in a.attributes.values())
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.landmarks, b.landmarks)
    alone = heads.render({k: v[1] for k, v in people(3).items()}, {k: v[1] for k, v in how.items()}, 96)
    np.testing.assert_array_equal(alone.image[0], a.image[1])


def test_a_straight_head_is_symmetric():
    points = heads.render(heads.random_identity(5), motion(), 256).landmarks[0]
    mirrored = points[MIRROR] * [-1, 1] + [255, 0]
    np.testing.assert_allclose(mirrored, points, atol=0.05)


def test_landmarks_follow_roll_shift_and_scale():
    who = heads.random_identity(2)
    rest = heads.render(who, motion(), 256).landmarks[0]
    middle = np.array([127.5, 127.5])
    moved = heads.render(who, motion(roll=25, x=0.1, y=-0.05, scale=0.21), 256).landmarks[0]
    c, s = np.cos(np.radians(25)), np.sin(np.radians(25))
    turn = np.array([[c, s], [-s, c]])  # anticlockwise as seen, with y down
    expected = (rest - middle) @ turn.T * (0.21 / 0.28) + middle + [0.1 * 256, -0.05 * 256]
    np.testing.assert_allclose(moved, expected, atol=1e-2)


@pytest.mark.parametrize('turned', [{'yaw': 30.0}, {'pitch': -20.0}])
def test_landmarks_are_points_of_one_rigid_body(turned):
    """Three views of the same head: the third view's landmarks follow from the points that the first two fix."""
    who = heads.random_identity(4)
    name, angle = next(iter(turned.items()))
    views = [heads.render(who, motion(**{name: a}), 256).landmarks[0] for a in (0, angle / 2, angle)]
    near = [(v - 127.5) / (0.28 * 256) * [1, -1] for v in views]  # decimetres, y up, on the plane through the origin

    def rows(a: float, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c, s = np.cos(np.radians(a)), np.sin(np.radians(a))
        r = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]] if name == 'yaw' else [[1, 0, 0], [0, c, s], [0, -s, c]])
        # q = (R p)_xy / (1 - (R p)_z / 9)
        return np.stack([r[k] + q[k] * r[2] / 9 for k in (0, 1)]), q

    for k in range(68):
        pairs = [rows(0, near[0][k]), rows(angle / 2, near[1][k])]
        p, *_ = np.linalg.lstsq(
            np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs]), rcond=None
        )
        a, b = rows(angle, near[2][k])
        np.testing.assert_allclose(a @ p, b, atol=2e-3)


def test_landmarks_lie_on_the_surface():
    who = {k: float(v) for k, v in heads.random_identity(1).items()}
    how = {k: float(v) for k, v in motion(open=0.6, smile=0.5).items()}
    h = head(who)
    now = moment(who, how, h)
    points = landmarks(who, how, now.skin, h.rest)
    far = np.linalg.norm(points, axis=1)
    x, y = map_coordinates((points / far[:, None]).T)
    on = now.skin[np.round(y).astype(int), np.round(x).astype(int)]
    assert np.abs(far - on).max() < 0.03  # decimetres; the map is read at the nearest of its pixels


def test_map_coordinates_invert_directions():
    d = directions(65)
    x, y = map_coordinates(d, 65)
    columns, rows = np.meshgrid(np.arange(65), np.arange(65))
    seen = np.hypot(columns - 32, rows - 32) < 31
    np.testing.assert_allclose(x[seen], columns[seen], atol=1e-3)
    np.testing.assert_allclose(y[seen], rows[seen], atol=1e-3)


def test_mask_is_the_face_inside_the_jaw():
    bare = heads.random_identity(0) | {'fringe': 0, 'bald': 0, 'hair_length': 0, 'hair_volume': 0.2}
    out = heads.render(bare, motion(), 256)
    mask, points = out.mask[0] > 127, out.landmarks[0]
    hull = np.zeros((256, 256), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    assert (mask & (hull > 0)).sum() / hull.sum() > 0.95  # the landmarks' hull belongs to the face
    assert mask[: int(points[17:27, 1].min()) - 3].sum() > 0.08 * mask.sum()  # and so does the forehead
    assert not mask[int(points[8, 1]) + 4 :].any() and not mask[:, : int(points[0, 0]) - 6].any()


def test_hair_hides_the_mask():
    who = heads.random_identity(0) | {'bald': 0, 'build': 0.1}
    bare = heads.render(who | {'fringe': 0}, motion(), 128).mask.astype(float)
    fringe = heads.render(who | {'fringe': 1}, motion(), 128).mask.astype(float)
    assert 0.55 < fringe.sum() / bare.sum() < 0.93
    assert (fringe > bare + 40).mean() < 0.001  # hair adds no face


def test_truth_is_the_target_outside_of_the_face():
    a, b = heads.random_identity(11), heads.random_identity(12)
    how = heads.stack([heads.random_motion(k) for k in range(4)])
    swap, target = heads.truth(a, b, how, 128), heads.render(a, how, 128)
    outside = target.mask == 0
    np.testing.assert_array_equal(swap.image[outside], target.image[outside])
    inside = target.mask == 255
    other = heads.render(heads.swapped(a, b), how, 128)
    np.testing.assert_array_equal(swap.image[inside], other.image[inside])
    assert np.abs(swap.image[inside].astype(int) - target.image[inside]).mean() > 5
    np.testing.assert_array_equal(heads.truth(a, a, how, 128).image, target.image)


def test_truth_can_take_the_tone_of_the_target():
    a, b = (
        heads.random_identity(11) | {'skin': 0.1},
        heads.random_identity(12) | {'skin': 0.9, 'beard': 0, 'moustache': 0},
    )
    target = heads.render(a, motion(), 128)
    inside = target.mask == 255
    light = [heads.truth(a, b, motion(), 128, match_tone=k).image[inside].mean() for k in (False, True)]
    assert light[0] < light[1] - 40
    assert abs(light[1] - target.image[inside].mean()) < 15


def test_every_parameter_shows():
    """Each parameter changes the picture of a man or of a woman."""
    man = heads.random_identity(8) | {'masculine': 0.9, 'build': 0.9, 'bald': 0.0, 'beard': 0.0, 'moustache': 0.5}
    man |= {
        'hair_red': 0.5,
        'hair_grey': 0.0,
        'hair_dark': 0.4,
        'glasses': 0.7,
        'freckles': 0.4,
        'fringe': 0.5,
        'age': 0.5,
    }
    woman = man | {'masculine': 0.1, 'build': 0.1, 'hair_length': 0.9}
    how = motion(open=0.3, shadow=0.8)
    people_seen = [(who, heads.render(who, how, 128).image.astype(int)) for who in (man, woman)]

    def far_end(value: float, r) -> float:
        return r.low if abs(value - r.low) > abs(value - r.high) else r.high

    def shows(who: dict, seen: np.ndarray, name: str, r) -> bool:
        return np.abs(heads.render(who | {name: far_end(who[name], r)}, how, 128).image - seen).sum() > 200

    for name, r in IDENTITY.items():
        assert any(shows(who, seen, name, r) for who, seen in people_seen), name
    ends = [how | {name: far_end(how[name], r)} for name, r in MOTION.items()]
    for name, image in zip(MOTION, heads.render(man, heads.stack(ends), 128).image):
        assert np.abs(image - people_seen[0][1]).sum() > 200, name


def test_seeds_differ_and_parameters_are_independent():
    many = people(400)
    varying = [k for k in many if k not in ('hair_dark', 'build')]
    corr = np.corrcoef([many[k] for k in varying])
    assert np.abs(corr - np.eye(len(varying))).max() < 0.25
    assert len({float(v) for v in many['width']}) == 400
    assert set(heads.swapped(many, many)) == set(IDENTITY) and set(INNER) < set(IDENTITY)


def test_small_changes_of_parameters_are_small_in_the_picture():
    how = {k: float(v) for k, v in heads.random_motion(9).items()}
    who = heads.random_identity(9)
    base = heads.render(who, how, 128).image.astype(int)
    for name in ('open', 'smile', 'blink', 'brow_raise', 'yaw', 'light_yaw'):
        step = 0.002 * (MOTION[name].high - MOTION[name].low)
        assert np.abs(heads.render(who, how | {name: how[name] + step}, 128).image.astype(int) - base).mean() < 1, name


def test_animation_is_smooth_and_alive():
    talk = heads.animate(4, 250)
    assert set(talk) == set(MOTION) and all(v.shape == (250,) for v in talk.values())
    again = heads.animate(4, 100)
    for name, v in talk.items():
        np.testing.assert_allclose(again[name], v[:100], atol=1e-6)
    assert np.abs(np.diff(talk['yaw'])).max() < 2.5 and talk['yaw'].std() > 3
    assert np.abs(np.diff(talk['open'])).max() < 0.4 and talk['open'].max() > 0.3
    shut = talk['blink'] > 0.5
    blinks = (np.diff(shut.astype(int)) == 1).sum()
    assert 1 <= blinks <= 6 and shut.mean() < 0.15


def test_attributes_say_what_is_drawn():
    who = heads.random_identity(0) | {'masculine': 0.9, 'beard': 1.0, 'glasses': 0.0, 'bald': 0.0}
    labels = heads.render(who, motion(smile=1.0), 64).attributes
    assert labels['male'][0] and labels['beard'][0] and labels['smile'][0] and not labels['glasses'][0]
    woman = heads.render(who | {'masculine': 0.1}, motion(), 64).attributes
    assert not woman['beard'][0] and not woman['smile'][0]


@pytest.mark.parametrize('change, says', [({'nose': 1.0}, 'nose'), ({'yaw': None}, 'yaw')])
def test_wrong_keys_are_named(change, says):
    how = {k: v for k, v in (motion() | change).items() if v is not None}
    with pytest.raises(InputError, match=says):
        heads.render(heads.random_identity(0), how, 64)


def test_too_small_a_picture_is_refused():
    with pytest.raises(InputError, match='64'):
        heads.render(heads.random_identity(0), motion(), 32)

"""The head in three dimensions: rotations, the fit to landmarks, smoothing, retargeting."""

from dataclasses import replace

import numpy as np
import pytest

from dfjax.data.render import animate, head_basis, random_identity
from dfjax.data.render.features import landmarks as rendered_landmarks
from dfjax.data.render.head import head as make_head
from dfjax.data.render.head import moment
from dfjax.data.render.trace import camera
from dfjax.inference import head as heads
from dfjax.inference.retarget import face_shapes, find_best_frame, gaps, held_back, retarget
from dfjax.ops.expression import LIDS, LIPS

HEAD = heads.load_head()
FRAMES = 12


def motion(frames: int = FRAMES, seed: int = 0, **fields) -> heads.Motion:
    """A random motion of the model itself."""
    rng = np.random.default_rng(seed)
    made = {
        'turn': rng.uniform(-0.15, 0.15, (frames, 3)),
        'scale': rng.uniform(80, 90, frames),
        'place': rng.uniform(200, 220, (frames, 2)),
        'expression': rng.normal(0, 0.7, (frames, 10)),
        'residual': np.zeros((frames, 68, 3)),
        'identity': rng.normal(0, 0.7, 12),
    }
    return heads.Motion(**(made | fields))


def talking(seed: int, frames: int, size: int = 256) -> tuple[np.ndarray, dict]:
    """Landmarks [T, 68, 2] of a rendered person who talks, and its parameters."""
    who = {name: float(value) for name, value in random_identity(seed).items()}
    how, still = animate(seed, frames, 5.0), make_head(who, 48)
    points = []
    for n in range(frames):
        now = {name: float(value[n]) for name, value in how.items()}
        surface = moment(who, now, still)
        points.append(camera(now, size).project(rendered_landmarks(who, now, surface.skin, still.rest)))
    return np.stack(points), how


# The basis


def test_the_basis_is_small_and_a_head():
    assert head_basis.FILE.stat().st_size < 200_000
    left, right = HEAD.mean[36:42].mean(0), HEAD.mean[42:48].mean(0)
    assert np.linalg.norm(right - left) == pytest.approx(1, abs=1e-5)
    assert right[0] > left[0] and HEAD.mean[8, 1] > HEAD.mean[30, 1] > left[1]  # x to the right, y down
    assert HEAD.mean[30, 2] < HEAD.mean[0, 2]  # z away: the nose is nearer than the ear


def test_the_basis_explains_other_people():
    """Of people that it was not made from, less than a fifth of the variance is left."""
    mean, left, all_ = HEAD.mean.reshape(-1), 0.0, 0.0
    flat, unit = HEAD.identity.reshape(len(HEAD.identity), -1), 0.64  # decimetres between the renderer's eyes
    for seed in range(5000, 5006):
        person = {name: float(value) for name, value in random_identity(seed).items()} | {'fringe': 0.0}
        points = head_basis.head_points(person, head_basis.REST) * [1, -1, -1]
        away = points.reshape(-1) / unit - mean
        weights = np.linalg.lstsq(flat.T, away, rcond=None)[0]
        left, all_ = left + ((away - weights @ flat) ** 2).sum(), all_ + (away**2).sum()
    assert left < 0.2 * all_


def test_directions_are_those_of_most_variance():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(12, 3)))[0].T  # three directions of 4 points
    moves = (rng.normal(size=(2000, 3)) * [3, 2, 1]) @ axes
    found = head_basis.directions(moves.reshape(2000, 4, 3), 2).reshape(2, 12)
    for k, size in enumerate((3, 2)):
        assert np.linalg.norm(found[k]) == pytest.approx(size, rel=0.05)
        assert abs(found[k] @ axes[k]) == pytest.approx(size, rel=0.05)


# Rotations


def test_rotation_vectors_and_matrices_are_inverse():
    turn = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 3))
    matrices = heads.rotation_matrices(turn)
    np.testing.assert_allclose(matrices @ matrices.swapaxes(1, 2), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(heads.rotation_vectors(matrices), turn, atol=1e-9)
    np.testing.assert_allclose(heads.rotation_matrices(np.zeros(3)), np.eye(3))
    quarter = heads.rotation_matrices(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ [1, 0, 0], [0, 1, 0], atol=1e-12)


# The fit


def test_pose_of_a_known_head_is_exact():
    true = motion()
    points = heads.shapes(HEAD, true.identity, true.expression)
    seen = heads.view(points, heads.rotation_matrices(true.turn), true.scale, true.place)
    turns, scale, place = heads.fit_pose(points, seen)
    np.testing.assert_allclose(heads.rotation_vectors(turns), true.turn, atol=1e-9)
    np.testing.assert_allclose(scale, true.scale)
    np.testing.assert_allclose(place, true.place)


def test_the_model_itself_is_found_again():
    true = motion(40)
    seen = heads.project(HEAD, true)[:, :68]
    fitted = heads.fit_motion(HEAD, seen, heads.fit_identity(HEAD, seen))
    assert np.degrees(np.abs(fitted.turn - true.turn)).mean() < 1.5
    assert np.linalg.norm(fitted.residual, axis=-1).mean() < 0.02
    np.testing.assert_allclose(heads.project(HEAD, fitted)[:, :68], seen, atol=1e-9)


@pytest.mark.parametrize('seed', [900, 902])
def test_rendered_heads_are_turned_as_they_are(seed):
    seen, how = talking(seed, 12)
    fitted = heads.fit_motion(HEAD, seen, heads.fit_identity(HEAD, seen))
    degrees = np.degrees(fitted.turn) * -1  # the renderer counts the other way round, about axes that point up
    for axis, name in ((1, 'yaw'), (0, 'pitch'), (2, 'roll')):
        assert np.corrcoef(degrees[:, axis], how[name])[0, 1] > 0.98, name
        assert np.abs(degrees[:, axis] - how[name]).mean() < 2.5, name
    np.testing.assert_allclose(heads.project(HEAD, fitted)[:, :68], seen, atol=1e-6)
    plain = heads.project(HEAD, replace(fitted, residual=0 * fitted.residual))[:, :68]
    assert np.linalg.norm(plain - seen, axis=-1).mean() < 0.04 * fitted.scale.mean()


def test_a_long_clip_is_fitted_in_pieces_alike(monkeypatch):
    seen = heads.project(HEAD, motion(30))[:, :68]
    person = heads.fit_identity(HEAD, seen)
    whole = heads.fit_motion(HEAD, seen, person)
    monkeypatch.setattr(heads, 'CHUNK', 7)
    np.testing.assert_allclose(heads.fit_motion(HEAD, seen, person).turn, whole.turn, atol=1e-12)


# Smoothing


def test_smoothing_keeps_a_steady_motion_at_any_times():
    times = np.cumsum([0, 0.03, 0.05, 0.02, 0.04, 0.03, 0.06, 0.03, 0.03, 0.04, 0.05, 0.02])
    steady = motion(turn=times[:, None] * [0.1, 0.4, -0.2], place=times[:, None] * [30.0, 10.0])
    smoothed = dict(heads.smooth(steady, times, 0.001))
    np.testing.assert_allclose(smoothed['turn'], steady.turn, atol=1e-9)
    even = np.arange(FRAMES) / 25
    steady = motion(turn=even[:, None] * [0.1, 0.4, -0.2])
    np.testing.assert_allclose(dict(heads.smooth(steady, even, 0.1))['turn'], steady.turn, atol=1e-9)


def test_smoothing_is_by_seconds():
    """Noise at twice the rate is averaged over twice the frames."""
    noise = np.random.default_rng(1).normal(0, 1, (400, 2))
    noisy = motion(400, place=noise)
    spread = [dict(heads.smooth(noisy, np.arange(400) / fps, 0.05))['place'].std() for fps in (25, 100)]
    # A gaussian of sigma frames leaves 1 / sqrt(2 sqrt(pi) sigma) of white noise.
    np.testing.assert_allclose(spread, [(2 * np.sqrt(np.pi) * 0.05 * fps) ** -0.5 for fps in (25, 100)], rtol=0.15)


# Retargeting


def test_the_drivers_own_picture_moves_as_the_driver():
    driver = motion(expression=np.random.default_rng(3).normal(0, 0.3, (FRAMES, 10)))
    targets = retarget(HEAD, driver[4:5], driver, driver[4:5])
    np.testing.assert_allclose(targets.points[4], heads.project(HEAD, driver)[4], atol=1e-9)
    away = np.linalg.norm(targets.points - heads.project(HEAD, driver), axis=-1)[:, :68]
    assert away.mean() < 0.01 * 85
    assert targets.limited == 0


def test_another_person_keeps_its_shape():
    """A driver who only turns gives the true picture of another head, turned."""
    still = np.zeros((FRAMES, 10))
    driver = motion(seed=1, expression=still)
    source = motion(1, seed=2, expression=still[:1], turn=driver.turn[:1])
    targets = retarget(HEAD, source, driver, driver[:1])
    scale = source.scale * driver.scale / driver.scale[0]
    place = source.place + source.scale * (driver.place - driver.place[0]) / driver.scale[0]
    true = motion(seed=2, expression=still, turn=driver.turn, scale=scale, place=place, identity=source.identity)
    lids = [row for pair in LIDS for row in pair]
    rest = np.setdiff1d(np.arange(85), lids)
    np.testing.assert_allclose(targets.points[:, rest], heads.project(HEAD, true)[:, rest], atol=1e-6)


@pytest.mark.parametrize('part, rows', [('brows', range(17, 27)), ('eyes', range(36, 48))])
def test_only_the_parts_asked_for_move(part, rows):
    driver, source = motion(seed=1), motion(1, seed=2)
    targets = retarget(HEAD, source, driver, driver[:1], drive=[part])
    moved = np.linalg.norm(targets.points - heads.project(HEAD, source), axis=-1).max(0)
    assert moved[list(rows)].min() > 0.3
    assert np.delete(moved, list(rows)).max() < 1e-9
    assert np.abs(targets.neck).max() < 1e-9


def test_gain_scales_the_expression():
    driver, source = motion(seed=1), motion(1, seed=2)
    still = retarget(HEAD, source, driver, driver[:1], drive=['brows'], gain=0)
    np.testing.assert_allclose(
        still.points, np.broadcast_to(heads.project(HEAD, source), still.points.shape), atol=1e-9
    )
    one, two = (retarget(HEAD, source, driver, driver[:1], ['brows'], gain).points for gain in (0.2, 0.4))
    own = heads.project(HEAD, source)
    np.testing.assert_allclose((two - own)[:, 17:27], 2 * (one - own)[:, 17:27], atol=0.3)


def test_what_closes_closes():
    """Lips and lids that the driver shuts are shut in the picture, whatever its own shape."""
    driver = motion(2, seed=1, turn=np.zeros((2, 3)))
    residual = np.zeros((2, 68, 3))
    for pairs in (LIPS, LIDS):
        gap = face_shapes(HEAD, driver)[1, pairs, 1]
        residual[1, pairs, 1] = gap.mean(-1, keepdims=True) - gap
    driver = replace(driver, residual=residual)
    assert gaps(face_shapes(HEAD, driver), LIPS)[1].max() < 1e-9 < gaps(face_shapes(HEAD, driver), LIDS)[0].min()
    source = motion(1, seed=5, turn=np.zeros((1, 3)))
    points = retarget(HEAD, source, driver, driver[:1]).points[1] / source.scale
    assert np.abs(points[LIDS[:, 1], 1] - points[LIDS[:, 0], 1]).max() < 0.01
    wide = replace(driver[:1], residual=driver.residual[:1] + _parted(0.2))
    points = retarget(HEAD, replace(source, residual=_parted(0.1)), driver, wide).points[1] / source.scale
    assert (points[LIPS[:, 1], 1] - points[LIPS[:, 0], 1]).max() < 0.01


def _parted(gap: float) -> np.ndarray:
    residual = np.zeros((1, 68, 3))
    residual[0, LIPS[:, 1], 1] = gap
    return residual


def test_the_best_frame_is_the_one_alike():
    driver = motion(seed=1)
    assert find_best_frame(HEAD, replace(driver[7:8], identity=driver.identity), driver, np.arange(len(driver))) == 7
    assert find_best_frame(HEAD, replace(driver[7:8], identity=driver.identity), driver, np.arange(7)) < 7


def test_limits_are_soft():
    x = np.linspace(-3, 3, 601)
    y = held_back(x, 1.0)
    assert np.abs(y).max() < 1 and (np.diff(y) > 0).all()
    np.testing.assert_allclose(y[np.abs(x) <= 0.7], x[np.abs(x) <= 0.7])
    far = motion(turn=np.tile([0, 1.2, 0], (FRAMES, 1)))
    targets = retarget(HEAD, motion(1, seed=2, turn=np.zeros((1, 3))), far, motion(1, turn=np.zeros((1, 3))))
    assert targets.limited == FRAMES

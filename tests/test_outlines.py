"""The outline of a face as a mask: brows, hair, beards, the forehead."""

import cv2
import numpy as np
import pytest

from dfjax.data.faces.align import MEAN_FACE
from dfjax.data.faces.brows import MIDDLE, find_brows
from dfjax.data.faces.mask import face_outline, hull_polygon, rasterise
from dfjax.data.faces.warp import apply, similarity


def drawn_brows(raised: float, dark: int, fringe: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A picture of skin with brows this far over where the mean face has them, in distances of the eyes, and its eyes'
    distance."""
    points = MEAN_FACE * 150 + 60
    distance = points[42:48, 0].mean() - points[36:42, 0].mean()
    picture = np.full((256, 256, 3), 170, np.uint8)
    if fringe:
        picture[: int(points[17:27, 1].min() - 0.1 * distance)] = 30
    for brow in (slice(17, 22), slice(22, 27)):
        line = points[brow] - (0, (raised + MIDDLE) * distance)
        cv2.polylines(picture, [np.round(line * 16).astype(np.int32)], False, (dark,) * 3, 10, shift=4)
    return picture, distance


def outline_of(**dark) -> tuple[np.ndarray, np.ndarray]:
    """Pixels inside the outline of a face drawn as plain skin, lit from the right, and where something dark lies."""
    points = MEAN_FACE * 150 + 50
    y, x = np.mgrid[:256, :256]
    skin = np.array([200, 150, 120]) * (0.5 + 0.5 * x / 256)[..., None]  # a cheek in shadow is no hair
    places = {
        'temple': x < points[17, 0] - 3,
        'forehead': y < points[17:27, 1].min() - 25,
        'beard': y > points[48:, 1].max(),
        'brows': np.hypot((x - points[19, 0]) / 20, (y - points[19, 1]) / 6) < 1,
    }
    where = places[dark['at']] if dark else np.zeros((256, 256), bool)
    picture = np.where(where[..., None], 25, skin).astype(np.uint8)
    return rasterise(face_outline(picture, points), 256) > 127, where


def test_mask_covers_the_polygon_to_a_fraction_of_a_pixel():
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    for shift in (0, 0.25, 0.6):
        polygon = np.stack([60 + shift + 40 * np.cos(angle), 64 + 30 * np.sin(angle)], 1)
        mask = rasterise(polygon, 128) / 255
        area = 0.5 * abs(
            np.sum(polygon[:, 0] * np.roll(polygon[:, 1], -1) - polygon[:, 1] * np.roll(polygon[:, 0], -1))
        )
        y, x = np.indices(mask.shape)
        assert mask.sum() == pytest.approx(area, rel=0.003)
        assert (mask * x).sum() / mask.sum() == pytest.approx(60 + shift, abs=0.03)
        assert (mask * y).sum() / mask.sum() == pytest.approx(64, abs=0.03)
    assert 100 < ((mask > 0.02) & (mask < 0.98)).sum() < 400  # a soft edge, one pixel wide


def test_mask_moves_with_the_matrix():
    polygon, matrix = hull_polygon(MEAN_FACE * 90 + 40), similarity(np.array([80.0, 90]), 200, 0.2, 96)
    np.testing.assert_array_equal(rasterise(polygon, 96, matrix), rasterise(apply(matrix, polygon), 96))


def test_outline_holds_the_face_and_the_forehead():
    points = (MEAN_FACE * 200 + 100).astype(np.float32)
    outline = hull_polygon(points)
    inside = [cv2.pointPolygonTest(outline, tuple(map(float, p)), True) for p in points]
    assert min(inside) > -0.01
    brow, nose = points[17:27, 1].mean(), points[31:36, 1].mean()
    assert 0.3 < (brow - outline[:, 1].min()) / (nose - brow) < 0.8
    assert cv2.isContourConvex(outline)


def test_raised_brows_do_not_raise_the_forehead():
    points = MEAN_FACE * 150 + 50
    raised = points.copy()
    raised[17:27, 1] -= 20
    np.testing.assert_allclose(hull_polygon(raised), hull_polygon(points), atol=1e-3)


@pytest.mark.parametrize('raised', [-0.05, 0.0, 0.1, 0.25])
def test_brows_are_found_where_they_are_drawn(raised):
    picture, distance = drawn_brows(raised, 60)
    points = MEAN_FACE * 150 + 60
    moved = find_brows(picture, points) - points
    np.testing.assert_allclose(moved[17:27, 1], -raised * distance, atol=0.03 * distance)
    assert not moved[17:27, 0].any() and not np.delete(moved, slice(17, 27), 0).any()


@pytest.mark.parametrize(('dark', 'fringe'), [(165, False), (170, True)])
def test_brows_that_are_not_seen_stay(dark, fringe):
    points = MEAN_FACE * 150 + 60
    np.testing.assert_array_equal(find_brows(drawn_brows(0.2, dark, fringe)[0], points), points)


@pytest.mark.parametrize(('at', 'left'), [('temple', 0.5), ('forehead', 0.1)])
def test_hair_is_outside_the_outline(at, left):
    whole = rasterise(hull_polygon(MEAN_FACE * 150 + 50), 256) > 127
    got, hair = outline_of(at=at)
    if at == 'temple':  # hair is looked for above the root of the nose, and what is next to the brow may be its end
        hair &= np.arange(256)[:, None] < MEAN_FACE[27, 1] * 150 + 50
    assert (whole & hair).sum() > 40
    assert (got & hair).sum() < left * (whole & hair).sum()
    far = ~cv2.dilate(hair.astype(np.uint8), np.ones((25, 25))).astype(bool)
    assert (got & far).sum() > 0.975 * (whole & far).sum()


@pytest.mark.parametrize('at', [None, 'beard', 'brows'])
def test_skin_in_shadow_beards_and_brows_are_inside_the_outline(at):
    whole = rasterise(hull_polygon(MEAN_FACE * 150 + 50), 256) > 127
    got, _ = outline_of(**({'at': at} if at else {}))
    assert (got & ~whole).sum() < 0.005 * whole.sum() and (got & whole).sum() > 0.985 * whole.sum()

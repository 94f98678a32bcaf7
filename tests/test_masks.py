"""Masks drawn by hand and by nets, things in front of faces, and the verb that writes them."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_faces import SIZE, write_faces
from test_convert import face_at, write_video
from test_paste import smooth_frame

from configs.segment import get_config
from dfjax.apps.mask import mask
from dfjax.data.batches import make_data
from dfjax.data.faces.faceset import load_faceset, read_face
from dfjax.data.faces.polygons import outlined, outlines_path, read_outlines, traced, write_outlines
from dfjax.data.names import parse
from dfjax.data.render.things import KINDS, thing
from dfjax.data.sets.things import Things
from dfjax.errors import InputError
from dfjax.evaluation.segment import composed, figures, iou
from dfjax.inference.masking import Masker
from dfjax.inference.run import Run
from dfjax.systems import segment

# Outlines


def shape(label, *points, kind='polygon'):
    return {'label': label, 'points': [list(p) for p in points], 'group_id': None, 'shape_type': kind, 'flags': {}}


def drawn(path, *shapes, **more):
    path.write_text(json.dumps({'version': '5.0.1', 'flags': {}, 'shapes': shapes, 'imageData': None} | more))
    return path


def test_outlines_of_labelme_are_the_mask(tmp_path):
    faces = load_faceset(write_faces(tmp_path / 'faces'))
    row, before = faces.rows[0], read_face(faces.rows[0], SIZE, SIZE)['mask']
    square = shape('face', (10, 10), (40, 10), (40, 30), (10, 30))
    hole = shape('not face', (20, 15), (30, 15), (30, 25), (20, 25))
    path = drawn(outlines_path(row.path, row.file), square, hole)
    assert path.name == Path(row.file).with_suffix('.json').name
    truth = np.zeros((SIZE, SIZE), np.uint8)  # labelme counts from the corner of a pixel
    truth[10:30, 10:40] = 255
    truth[15:25, 20:30] = 0
    np.testing.assert_array_equal(read_face(row, SIZE, SIZE)['mask'] > 127, truth > 127)
    half = cv2.resize(truth, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
    assert np.abs(read_face(row, SIZE, SIZE // 2)['mask'].astype(int) - half).mean() < 3
    drawn(path, hole)  # where the face is, its landmarks say
    kept = read_face(row, SIZE, SIZE)['mask']
    assert not kept[16:24, 21:29].any()
    np.testing.assert_array_equal(kept[:14], before[:14])


@pytest.mark.parametrize(
    ('shapes', 'said'),
    [
        ([shape('nose', (0, 0), (1, 0), (1, 1))], "label 'nose': polygons are labelled 'face' or 'not face'"),
        ([shape('face', (0, 0), (5, 5), kind='rectangle')], "a 'rectangle' that is no polygon"),
        ([shape('face', (0, 0), (5, 5))], 'no polygon of three points or more'),
        ([shape('face', (0, 0), (5, 'x'), (3, 3))], 'no polygons as labelme writes them'),
        ('face', 'no polygons as labelme writes them'),
    ],
)
def test_outlines_that_are_none(tmp_path, shapes, said):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps({'shapes': shapes}))
    with pytest.raises(InputError, match=said) as error:
        read_outlines(path)
    assert str(error.value).startswith(str(path)) and '\n' not in str(error.value)


def test_a_mask_comes_back_from_its_outlines(tmp_path):
    y, x = np.mgrid[:96, :96]
    truth = (np.hypot(x - 48, 1.2 * (y - 50)) < 36) & ~(np.hypot(x - 60, y - 40) < 9) & ~(np.abs(x - y - 10) < 3)
    write_outlines(tmp_path / 'a.json', traced(np.uint8(255 * truth)), 96, tmp_path / 'a.png')
    found = read_outlines(tmp_path / 'a.json')
    assert found.ours and found.face
    back = outlined(found, np.zeros((3, 2)), 96, np.eye(2, 3)) > 127
    assert (back & truth).sum() / (back | truth).sum() > 0.96
    write_outlines(tmp_path / 'b.json', traced(np.zeros((96, 96), np.uint8)), 96, tmp_path / 'b.png')
    hull = np.float32([[10, 10], [80, 10], [40, 90]])
    assert not outlined(read_outlines(tmp_path / 'b.json'), hull, 96, np.eye(2, 3)).any()


# Things


@pytest.mark.parametrize('kind', KINDS)
def test_things_have_an_alpha_and_are_many(kind):
    made = np.stack([thing(kind, seed, 64) for seed in range(6)])
    assert made.shape == (6, 64, 64, 4) and made.dtype == np.uint8
    share = (made[..., 3] > 127).mean((1, 2))
    assert (share > 0.002).sum() >= 5 and share.max() < 0.8
    assert len(np.unique(made.reshape(6, -1), axis=0)) == 6
    np.testing.assert_array_equal(made[3], thing(kind, 3, 64))


def test_names_of_things():
    assert len(Things(parse('render:things:2:7'), 32)) == 7
    with pytest.raises(InputError, match='no things in front of faces; write render:things:SEED:COUNT'):
        Things(parse('render:people:1:4'), 32)


# The net


@pytest.fixture(scope='module')
def run():
    cfg = get_config('smoke')
    params = jax.jit(lambda key: segment.init(cfg, key).ema)(jax.random.key(0))
    return Run(Path('none'), cfg, segment, params, 0)


def test_what_is_laid_in_front_is_taken_out_of_the_mask(run):
    """Red things over grey faces: where the picture is red, the mask is 0, and the other way round."""
    cfg = get_config('smoke')
    with cfg.unlocked():
        cfg.augment.update(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
        cfg.covered = 1.0
    size = cfg.data.size
    data = make_data(cfg, 'masked')
    batch = data.sample(data.feed(1), jnp.int32(0), 0)
    batch['face'] |= {
        'image': jnp.full_like(batch['face']['image'], 120),
        'mask': jnp.full((8, size, size), 255, np.uint8),
    }
    rgba = batch['thing']['rgba'].at[..., :3].set(jnp.uint8([255, 0, 0]))
    pictures, seen = jax.jit(lambda batch: segment.covered_faces(cfg, batch))(batch | {'thing': {'rgba': rgba}})
    red = np.asarray(pictures[..., 0] - pictures[..., 1]) / 2
    inner = np.asarray(seen[..., 0]) + red
    assert red.max() > 0.8
    middle = inner[:, size // 4 : -size // 4, size // 4 : -size // 4]
    assert np.abs(middle - 1).mean() < 0.06  # but for what a lens and a sensor do to the picture


def test_intersection_over_union_and_compositions():
    one, other = np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4, 1))
    one[0, :2], other[0, 1:3] = 1, 1
    np.testing.assert_allclose(iou(one, other), [1 / 3, 1])
    rgba = np.zeros((1, 2, 2, 4), np.uint8)
    rgba[0, 0, 0] = 10, 20, 30, 255
    picture, seen = composed(np.full((1, 2, 2, 3), 100, np.uint8), np.full((1, 2, 2), 255, np.uint8), rgba)
    assert picture[0, 0, 0].tolist() == [10, 20, 30] and seen[0, 0, 0, 0] == 0 and seen[0, 1, 1, 0] == 1


def test_figures_of_a_net_that_knows_and_of_one_that_does_not(run):
    names = {'data': 'render:people:5:12'}
    all_of_it = SimpleNamespace(mask=lambda cfg, params, x: jnp.ones_like(x[..., :1]))
    report = figures(Run(Path('none'), run.cfg, all_of_it, {}, 0), **names)
    assert 0.05 < report['iou'] < 0.6 < report['iou_hull'] < 1
    assert {'iou', 'iou_bare', 'iou_hull', 'faces', 'iou_hand', 'iou_hair'} <= set(report)


# The verb


def seen_by(run, function):
    return Run(run.path, run.cfg, SimpleNamespace(mask=function), {}, 0)


def left_half(cfg, params, x):
    half = jnp.arange(x.shape[2]) < x.shape[2] // 2
    return jnp.broadcast_to(half[:, None].astype(jnp.float32), (*x.shape[:3], 1))


def test_masks_are_written_into_a_face_set_and_drawn_ones_stay(run, tmp_path):
    folder, net = write_faces(tmp_path / 'faces'), seen_by(run, left_half)
    rows = load_faceset(folder).rows
    own = drawn(rows[2].path.with_suffix('.json'), shape('face', (1, 1), (9, 1), (9, 9)))
    kept = own.read_text()
    with pytest.raises(InputError, match='faces of type full, where the net has learnt whole_face'):
        mask(folder, net, progress=False)
    with net.cfg.unlocked():
        net.cfg.data.face_type = 'full'
    try:
        assert mask(folder, net, progress=False) == {'faces': 6, 'written': 5, 'kept': 1}
        assert mask(folder, net, progress=False)['written'] == 5 and own.read_text() == kept  # its own are replaced
        found = read_face(load_faceset(folder).rows[0], SIZE, SIZE)['mask'] > 127
        assert found[:, : SIZE // 2 - 1].all() and not found[:, SIZE // 2 + 1 :].any()
        assert mask(folder, net, force=True, progress=False) == {'faces': 6, 'written': 6, 'kept': 0}
        with pytest.raises(InputError, match='leave --out out'):
            mask(folder, net, tmp_path / 'out')
    finally:
        with net.cfg.unlocked():
            net.cfg.data.face_type = 'whole_face'


def test_a_preview_shows_what_is_seen(run, tmp_path):
    masker = Masker(seen_by(run, left_half))
    frame = smooth_frame(0)
    out = masker.tint([frame, frame], [[face_at(0)], []])
    assert out[1] is frame
    where = np.argwhere((out[0] != frame).any(-1))
    assert 0.1 < len(where) / frame[..., 0].size < 0.5 and where[:, 1].max() < 130
    video = write_video(tmp_path / 'in.mp4', 2)
    with pytest.raises(InputError, match=r'in.mp4: is no face set; name the preview'):
        mask(video, run)

"""Codes: paths between them, attribute vectors, edits; against closed forms and encoders that are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from fake_faces import write_faces
from ml_collections import ConfigDict
from scipy import stats

from dfjax.data.kinds import Labelled
from dfjax.data.media.image import write_image
from dfjax.errors import InputError
from dfjax.evaluation import held_out as heldout
from dfjax.inference import attributes as vectors
from dfjax.inference import choices, latents
from dfjax.inference.crops import read_pictures
from dfjax.inference.edit import Editor, feathered

SIZE, LATENT = 8, 4


class Linear:
    """Codes that are four of a picture's pixels, and pictures that are nothing but their codes."""

    size = SIZE

    def encode(self, pictures):
        return pictures[:, 0, :LATENT, 0].astype(np.float32)

    def decode(self, codes):
        pictures = np.zeros((len(codes), SIZE, SIZE, 3), np.uint8)
        pictures[:, 0, :LATENT] = np.clip(np.rint(codes), 0, 255)[..., None].astype(np.uint8)
        return pictures


class Coded:
    """A labelled source whose pictures hold codes: pixel k is `base`, and `base + 60` where label k is true."""

    def __init__(self, labels, noise=8.0, seed=0):
        self.name, self.labels = 'coded', labels
        table = np.stack(list(labels.values()), 1)
        codes = 100 + 60 * table + np.random.default_rng(seed).normal(size=table.shape) * noise
        self.pictures = np.zeros((len(table), SIZE, SIZE, 3), np.uint8)
        self.pictures[:, 0, : table.shape[1]] = codes.round()[..., None]

    def __len__(self):
        return len(self.pictures)

    def read(self, index, seed):
        return {'image': self.pictures[index]}


@pytest.fixture(scope='module')
def source():
    """400 pictures; `b` comes with `a` three times out of four, `c` is rare and by itself."""
    rng = np.random.default_rng(1)
    a = rng.random(400) < 0.5
    return Coded({'a': a, 'b': np.where(rng.random(400) < 0.75, a, ~a), 'c': rng.random(400) < 0.1})


@pytest.fixture(scope='module')
def made(source):
    names = ('a', 'b', 'c')
    return vectors.compute(Linear(), Labelled([source], names), names)


# Paths


def test_slerp_keeps_the_length_and_turns_evenly():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 32))
    a, b = 3 * a / np.linalg.norm(a), 3 * b / np.linalg.norm(b)
    walk = np.stack([latents.slerp(a, b, t) for t in np.linspace(0, 1, 9)])
    np.testing.assert_allclose(np.linalg.norm(walk, axis=1), 3, rtol=1e-6)
    cosines = (walk[1:] * walk[:-1]).sum(1) / 9
    whole = np.arccos((a * b).sum() / 9)
    np.testing.assert_allclose(np.arccos(cosines), whole / 8, rtol=1e-4)
    np.testing.assert_allclose(walk[[0, -1]], [a, b], atol=1e-9)


def test_slerp_of_codes_on_one_line_is_that_line():
    a = np.array([1.0, 2.0])
    np.testing.assert_allclose(latents.slerp(a, 3 * a, 0.5), 2 * a)
    np.testing.assert_allclose(latents.slerp(a, -a, 0.25), 0.5 * a)


def test_names_to_choose_from_are_those_there_are():
    assert set(choices.PATHS) == set(latents.PATHS) and set(choices.EASINGS) == set(latents.EASINGS)


@pytest.mark.parametrize('kind', latents.PATHS)
@pytest.mark.parametrize('easing', latents.EASINGS)
def test_a_path_goes_through_its_stops(kind, easing):
    stops = np.random.default_rng(0).normal(size=(3, 5))
    walk = latents.path(stops, 4, kind, easing)
    assert walk.shape == (9, 5)
    np.testing.assert_allclose(walk[::4], stops, atol=1e-9)
    assert all(ease(0) == 0 and ease(1) == 1 for ease in latents.EASINGS.values())


# Vectors


def test_a_vector_is_what_its_attribute_adds(made):
    np.testing.assert_allclose(made.vectors[2][:3], [0, 0, 60], atol=20)  # c is by itself; of 31 pictures
    assert made.vectors[0][0] == pytest.approx(60, abs=2)
    assert made.vectors[0][1] == pytest.approx(30, abs=8)  # three quarters less one
    assert made.source == 'coded'


def test_classes_are_balanced_by_leaving_out_of_the_larger_one(source, made):
    rare = int(source.labels['c'].sum())
    assert made.counts[2] == rare
    having, without = vectors.balanced(source.labels['c'], np.ones(400, bool), np.random.default_rng(0))
    assert len(having) == len(without) == rare
    assert source.labels['c'][having].all() and not source.labels['c'][without].any()
    known = np.arange(400) < 200
    assert max(np.concatenate(vectors.balanced(source.labels['a'], known, np.random.default_rng(0)))) < 200


def test_auc_is_the_rank_statistic_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    high, low = rng.normal(0.7, 1, 60).round(1), rng.normal(0, 1, 80).round(1)  # with ties
    expected = stats.mannwhitneyu(high, low).statistic / (60 * 80)
    assert vectors.auc(high, low) == pytest.approx(expected)


def test_separability_is_measured_on_what_the_vector_has_not_seen():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, 40, 300))  # more dimensions than examples: what is seen can always be told apart
    assert vectors.separability(*noise) == pytest.approx(0.5, abs=0.15)
    apart = noise + np.array([3.0, 0.0]).reshape(2, 1, 1) * (np.arange(300) == 0)
    assert vectors.separability(*apart) > vectors.separability(*noise) + 0.1


def test_orthogonal_vectors_leave_the_others_alone(made):
    freed = made.orthogonal(['b', 'c'])
    np.testing.assert_allclose(freed.vectors[0] @ made.vectors[1:].T, 0, atol=1e-2)
    np.testing.assert_array_equal(freed.vectors[1:], made.vectors[1:])
    assert abs(made.correlation()[0, 1]) > 0.5 > 1e-4 > abs(freed.correlation()[0, 1])


def test_shifts_add_up(made):
    expected = 1.5 * made.vectors[0] - made.vectors[2]
    np.testing.assert_allclose(made.shift({'a': 1.5, 'c': -1.0}), expected, rtol=1e-6)


def test_vectors_are_kept_with_the_run(made, tmp_path):
    run = SimpleNamespace(path=tmp_path, step=7)
    assert vectors.load(run) is None
    vectors.save(run, made)
    kept = vectors.load(run)
    assert (kept.names, kept.source) == (made.names, made.source)
    np.testing.assert_array_equal(kept.vectors, made.vectors)
    assert '"correlation"' in (tmp_path / 'vectors.json').read_text()
    assert vectors.load(SimpleNamespace(path=tmp_path, step=8)) is None  # the run has gone on
    (tmp_path / vectors.FILE).write_bytes(b'damaged')
    assert vectors.load(run) is None


def test_an_unknown_attribute_lists_those_there_are(made):
    for call in (lambda: made.shift({'hat': 1.0}), lambda: made.orthogonal(['hat'])):
        with pytest.raises(InputError, match="'hat' is unknown; there are: a, b, c"):
            call()


def test_an_attribute_of_one_class_or_none_is_one_line():
    cfg = ConfigDict(dict(data=dict(source='render:3:4', size=32, labels=[])))
    with pytest.raises(
        InputError, match="render:3:4: attribute 'male' cannot be told: fewer than 2 pictures have it, or"
    ):
        vectors.open_labelled(cfg, wanted=['male'])
    with pytest.raises(InputError, match="render:3:4: attribute 'hat' is unknown; there are: "):
        vectors.open_labelled(cfg, wanted=['hat'])


def test_a_rare_attribute_is_left_out_and_said_if_asked_for(tmp_path):
    """One picture of five has the hat, all have the face: a vector for the smile is made all the same."""
    for n in range(5):
        write_image(tmp_path / f'{n}.png', np.full((SIZE, SIZE, 3), 30 * n, np.uint8))
    rows = ''.join(f'{n}.png,{n % 2},{int(n == 3)},1\n' for n in range(5))
    (tmp_path / 'labels.csv').write_text(f'file,smile,hat,face\n{rows}')
    cfg = ConfigDict(dict(data=dict(source=str(tmp_path), size=SIZE, labels=[])))
    labelled, names, few = vectors.open_labelled(cfg)
    assert (names, few) == (('smile',), ('hat', 'face'))
    made = vectors.compute(Linear(), labelled, names, few)
    assert made.counts.tolist() == [2] and np.isfinite(made.vectors).all()
    for name in few:
        with pytest.raises(InputError, match=f"attribute '{name}' cannot be told: fewer than 2 pictures have it"):
            vectors.open_labelled(cfg, wanted=['smile', name])
        with pytest.raises(InputError, match=f"attribute '{name}' is left out: in {tmp_path} fewer than 2"):
            made.shift({'smile': 1.0, name: 1.0})
    vectors.save(SimpleNamespace(path=tmp_path, step=1), made)
    assert vectors.load(SimpleNamespace(path=tmp_path, step=1)).few == few


def test_pictures_are_cut_as_the_runs_or_refused(tmp_path):
    cfg = ConfigDict(dict(data=dict(source='render:3:4', size=SIZE, labels=[], crop=6)))
    faces = str(write_faces(tmp_path / 'faces'))
    assert dict(vectors.picture_section(cfg, 'x', ('a',))) == dict(
        source='x', labels=('a',), size=SIZE, crop=6, face_type='whole_face', resident_bytes=0
    )
    for read in (
        lambda: heldout.load_pictures(cfg, faces),
        lambda: vectors.open_labelled(cfg, faces),
        lambda: read_pictures(faces, SIZE, 'whole_face'),
    ):
        with pytest.raises(InputError, match='faces: faces of type full, where whole_face is needed'):
            read()
    assert len(read_pictures(faces, SIZE, None)) == len(read_pictures(faces, SIZE, 'full')) == 6
    cfg.data.source = faces
    assert heldout.load_pictures(cfg, faces)['image'].shape == (6, SIZE, SIZE, 3)


# Edits


def test_a_whole_picture_is_decoded_from_its_moved_code(source):
    picture = source.pictures[0]
    shift = np.array([20.0, -30.0, 0.0, 5.0], np.float32)
    (out,) = Editor(Linear(), shift, None)([picture], [[]])
    np.testing.assert_array_equal(out, Linear().decode(Linear().encode(picture[None]) + shift)[0])


def test_detail_is_added_to_the_picture_and_no_shift_changes_no_bit(source):
    picture = np.random.default_rng(0).integers(60, 160, (SIZE, SIZE + 4, 3), np.uint8)
    (same,) = Editor(Linear(), np.zeros(LATENT, np.float32), None, detail=True)([picture], [[]])
    np.testing.assert_array_equal(same, picture)
    shift = np.array([0.0, 40.0, 0.0, 0.0], np.float32)
    (out,) = Editor(Linear(), shift, None, detail=True)([picture], [[]])
    change = out.astype(int) - picture
    assert (change[0, 2 + 1] == 40).all()  # the middle square begins two columns in
    assert np.count_nonzero(change) == 3


@pytest.mark.parametrize('detail', [False, True])
def test_faces_are_edited_where_they_are_and_the_rest_keeps_its_bits(detail):
    from dfjax.data.faces.align import template

    size = 64
    frame = np.random.default_rng(0).integers(0, 256, (2 * size, 2 * size, 3), np.uint8)
    inner = template('whole_face', size) + 20  # an upright face at its own scale, 20 pixels in
    landmarks = np.zeros((68, 2), np.float32)
    from dfjax.data.faces.align import ALIGNED

    landmarks[list(ALIGNED)] = inner

    class Painter:
        size = 64

        def encode(self, pictures):
            return np.zeros((len(pictures), 1), np.float32)

        def decode(self, codes):
            return np.clip(100 + codes, 0, 255).astype(np.uint8)[:, None, None].repeat(64, 1).repeat(64, 2).repeat(3, 3)

    editor = Editor(Painter(), np.array([30.0]), 'whole_face', detail)
    out, untouched = editor([frame, frame], [[SimpleNamespace(landmarks=landmarks)], []])
    assert untouched is frame
    square = slice(20, 84)
    outside = np.ones(frame.shape[:2], bool)
    outside[square, square] = False
    np.testing.assert_array_equal(out[outside], frame[outside])
    centre = out[40:64, 40:64].astype(int)
    expected = np.minimum(frame[40:64, 40:64].astype(int) + 30, 255) if detail else np.full_like(centre, 130)
    assert np.abs(centre - expected).max() <= 1


def test_a_feathered_square_is_1_inside_and_0_at_the_edge():
    mask = feathered(64)
    assert mask[8:-8, 8:-8].min() == 1 and mask[0].max() == mask[:, -1].max() == 0

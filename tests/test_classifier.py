"""The classifier: learns labels, keeps to what is known, and is kept in a run's folder."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.data.kinds import WHOLE, open_streams
from dfjax.data.media.image import write_image
from dfjax.errors import InputError
from dfjax.evaluation import classifier as module
from dfjax.evaluation.classifier import classifier_for, predict, train_classifier

pytestmark = pytest.mark.whole

SIZE, STEPS = 16, 30


def dots(folder, seed: int, count: int = 24):
    """Noise with a white square, at the top or at the bottom: two folders, two labels."""
    rng = np.random.default_rng(seed)
    for n in range(count):
        picture = rng.integers(0, 120, (SIZE, SIZE, 3), np.uint8)
        picture[2:6] = 255 if n % 2 else picture[2:6]
        picture[10:14] = picture[10:14] if n % 2 else 255
        path = folder / ('top' if n % 2 else 'bottom') / f'{n}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, picture)
    return str(folder)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    return dots(tmp_path_factory.mktemp('dots'), 0)


@pytest.fixture(scope='module')
def classifier(source):
    return train_classifier(source, ('top', 'bottom'), SIZE, STEPS, batch_size=16)


def accuracy(classifier, source):
    """The share of a source's pictures in which the classifier is right, by label [K]."""
    section = ConfigDict(dict(source=source, labels=classifier.labels, size=classifier.size, resident_bytes=2**31))
    rows = open_streams('labelled', section)[WHOLE].arrays()
    right = (predict(classifier, rows['image']) > 0.5) == (rows['label'] > 0.5)
    return (right * rows['known']).sum(0) / rows['known'].sum(0)


def test_it_learns_what_tells_the_labels_apart(classifier, tmp_path):
    assert accuracy(classifier, dots(tmp_path, 1)).tolist() == [1.0, 1.0]


def test_predictions_are_the_same_for_bytes_and_floats_and_any_number(classifier):
    pictures = np.random.default_rng(3).integers(0, 255, (130, SIZE, SIZE, 3), np.uint8)
    found = predict(classifier, pictures)
    assert found.shape == (130, 2) and (found >= 0).all() and (found <= 1).all()
    np.testing.assert_allclose(predict(classifier, pictures / np.float32(127.5) - 1), found, atol=1e-5)
    np.testing.assert_allclose(predict(classifier, pictures[128:]), found[128:], atol=1e-5)
    plain = np.ones((2, SIZE, SIZE, 3), np.uint8) * np.uint8([[[[40]]], [[[200]]]])
    np.testing.assert_allclose(predict(classifier, np.tile(plain, (1, 2, 2, 1))), predict(classifier, plain), atol=1e-5)


def test_it_is_kept_for_its_arguments_only(source, tmp_path, monkeypatch, classifier):
    trained = []
    monkeypatch.setattr(module, 'train_classifier', lambda *a: trained.append(a) or classifier)
    first = classifier_for(tmp_path, source, ('top', 'bottom'), SIZE, STEPS)
    again = classifier_for(tmp_path, source, ('top', 'bottom'), SIZE, STEPS)
    assert len(trained) == 1 and again.labels == first.labels
    pictures = np.random.default_rng(0).integers(0, 255, (3, SIZE, SIZE, 3), np.uint8)
    assert (predict(again, pictures) == predict(first, pictures)).all()
    classifier_for(tmp_path, source, ('top', 'bottom'), SIZE, STEPS, seed=1)
    assert len(trained) == 2
    (tmp_path / 'classifier.npz').write_bytes(b'PK')
    classifier_for(tmp_path, source, ('top', 'bottom'), SIZE, STEPS)
    assert len(trained) == 3 and [p.name for p in tmp_path.iterdir()] == ['classifier.npz']


def test_a_label_that_does_not_exist_is_named(source):
    with pytest.raises(InputError, match="no label 'smile'; there are: bottom, top"):
        train_classifier(source, ('smile',), SIZE)


@pytest.mark.slow
def test_every_label_of_rendered_people_is_found_on_others():
    from dfjax.data.render.people import LABELS

    found = accuracy(train_classifier('render:people:100:2000', tuple(LABELS)), 'render:people:101:500')
    assert found.min() >= 0.95, found

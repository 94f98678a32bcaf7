"""A run watched from a notebook: what is shown, in one place, and that curves go through their points."""

import base64
import importlib.util
import json
import re
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from test_runs import write_run
from untrained import smooth_picture

import dfjax
from dfjax.apps.inline import LONGEST, draw
from dfjax.data.media.image import decode_image, write_image
from dfjax.errors import InputError

SVG = '{http://www.w3.org/2000/svg}'


class Place:
    """What IPython's DisplayHandle is asked to show."""

    def __init__(self):
        self.shown = []
        self.display = self.update = lambda view: self.shown.append((str(view), view._repr_html_()))
        Place.newest = self


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr('IPython.display.DisplayHandle', Place)
    return lambda: Place.newest.shown


def pictures(page: str) -> dict[str, bytes]:
    """The pictures within a page, by kind."""
    return {
        kind: base64.b64decode(data) for kind, data in re.findall(r'src="data:image/([\w+]+);base64,([^"]+)"', page)
    }


def lines(svg: str | bytes) -> list[np.ndarray]:
    """The points [N, 2] of every curve of a drawing, in pixels from its own upper left corner."""
    drawn = [line.get('points').split() for line in ElementTree.fromstring(svg).iter(f'{SVG}polyline')]
    return [np.array([point.split(',') for point in points], float) for points in drawn]


def texts(svg: str | bytes) -> list[str]:
    return [text.text for text in ElementTree.fromstring(svg).iter(f'{SVG}text')]


def until(true) -> None:
    end = time.monotonic() + 30
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


def test_one_place_shows_a_run_as_it_goes_on_and_how_it_ended(place, tmp_path):
    run = tmp_path / 'w'
    with dfjax.watching(run, every=0.01):
        assert [line for line, _ in place()] == ['w: not begun yet']
        write_run(run, rows=[(10, 1.0), (20, 0.5)])
        until(lambda: place()[-1][0] == 'w (vae): step 20 of 100, 2.0 steps/s, 40 s left')
        assert list(pictures(place()[-1][1])) == ['svg+xml']
        write_image(run / 'preview.jpg', smooth_picture(40, 60))
        until(lambda: list(pictures(place()[-1][1])) == ['svg+xml', 'jpeg'])
        seen = len(place())
        time.sleep(0.1)
        assert len(place()) == seen  # what is as it was is not sent again
    with pytest.raises(KeyboardInterrupt), dfjax.watching(run, every=1000):
        with (run / 'metrics.jsonl').open('a') as file:
            file.write('\n' + json.dumps({'step': 30, 'total': 0.25, 'rate': 1e-4}) + '\n')
        raise KeyboardInterrupt
    first, last = place()
    assert [first[0], last[0]] == [
        'w (vae): step 20 of 100, 2.0 steps/s, 40 s left',
        'w (vae): step 30 of 100, 2.0 steps/s',
    ]
    (curve,) = lines(pictures(last[1])['svg+xml'])  # of the losses, and not of the learning rate
    assert len(curve) == 3


def test_curves_go_through_their_points():
    steps, values = [10, 20, 40, 50], [3.0, 5.0, 1.0, 2.0]
    points = [*zip(steps, values), (60, float('nan')), (70, float('inf'))]
    svg = draw(
        [('total', points), ('a<b', [(1, 0.01), (2, 0.1), (3, 1.0)]), ('one', [(1, 1.0)]), ('flat', [(1, 0), (2, 0)])]
    )
    (x, y), (_, logarithms), (_, flat) = (line.T for line in lines(svg))
    np.testing.assert_allclose((x - x[0]) / (x[-1] - x[0]), [0, 0.25, 0.75, 1], atol=1e-3)
    np.testing.assert_allclose((y - y[1]) / (y[2] - y[1]), [0.5, 0, 1, 0.75], atol=1e-3)
    assert y[2] > y[1]  # pixels are counted from above
    np.testing.assert_allclose(np.diff(logarithms), np.diff(logarithms).mean(), atol=0.11)
    assert flat[0] == flat[1]
    assert {'total 2', '5', '1', '10', 'step 50', 'a<b 1 (log)', 'flat 0'} <= set(texts(svg)) and 'one 1' not in texts(
        svg
    )
    assert draw([('one', [(1, 1.0)])]) == draw([]) == ''


def test_a_large_preview_is_sent_small(place, tmp_path):
    run, large = write_run(tmp_path / 'w'), smooth_picture(600, 2 * LONGEST)
    write_image(run / 'preview.jpg', large)
    with dfjax.watching(run):
        small = decode_image(pictures(place()[0][1])['jpeg'], 'small')
    assert small.shape == (300, LONGEST, 3)
    assert np.abs(small.astype(float) - large.reshape(300, 2, LONGEST, 2, 3).mean((1, 3))).mean() < 3


def test_a_damaged_preview_ends_nothing(place, tmp_path):
    run = write_run(tmp_path / 'w', rows=[(10, 1.0), (20, 0.5)])
    (run / 'preview.jpg').write_bytes(b'')
    with dfjax.watching(run):
        assert list(pictures(place()[0][1])) == ['svg+xml']


def test_without_ipython_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match='pip install ipython'), dfjax.watching(tmp_path):
        pass

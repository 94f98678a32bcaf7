"""Runs from outside, while they train and afterwards: listed, drawn, their newest preview, and their page."""

import http.client
import json
import os
import re
import socket
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dfjax.apps import watch
from dfjax.apps.cli import main
from dfjax.apps.glance import glance, runs_under
from dfjax.apps.runs import between, plot
from dfjax.data.media.progress import spoken
from dfjax.errors import InputError


def write_run(folder, steps=100, rows=(), **config):
    folder.mkdir(parents=True)
    stored = {'system': 'vae', 'steps': steps, 'data': {'size': 64}} | config
    (folder / 'config.json').write_text(json.dumps(stored))
    lines = [json.dumps({'step': n, 'seconds': 5.0, 'steps_per_second': 2.0, 'total': y}) + '\n' for n, y in rows]
    (folder / 'metrics.jsonl').write_text(''.join(lines) + '{"step": 9')  # a row that is being written
    return folder


def test_a_run_is_seen_while_it_trains(tmp_path):
    one = glance(write_run(tmp_path / 'w', rows=[(10, 1.0), (20, 0.5)]))
    assert (one.step, one.steps, one.rate, one.left, one.state) == (20, 100, 2.0, 40.0, 'training')
    old = time.time() - 3600
    for name in ('metrics.jsonl', 'config.json'):
        os.utime(one.path / name, (old, old))
    assert glance(one.path).state == 'stopped'
    (one.path / 'checkpoints' / '100').mkdir(parents=True)
    assert (glance(one.path).state, glance(one.path).saved) == ('done', 100)
    with pytest.raises(InputError, match='not a run'):
        glance(tmp_path)


def test_runs_are_listed_and_drawn(tmp_path, capsys):
    write_run(tmp_path / 'a' / 'one', rows=[(10, 4.0), (20, 1.0)])
    write_run(tmp_path / 'two.mp4.run', steps=20, rows=[(20, 1.0)], system='gan')
    assert [path.name for path in runs_under(tmp_path)] == ['one', 'two.mp4.run']
    assert main(['runs', str(tmp_path), '--plot']) == 0
    out = capsys.readouterr().out
    assert '20 of 100 (20 %)  training  loss 1  40 s left' in out and '20 of 20 (100 %)  done' in out
    assert main(['runs', str(tmp_path), '--json']) == 0
    assert [run['system'] for run in json.loads(capsys.readouterr().out)['runs']] == ['vae', 'gan']
    assert main(['runs', str(tmp_path), '--plot', '--loss', 'nothing']) == 2
    assert 'has seconds, step, steps_per_second, total' in capsys.readouterr().err


def test_a_plot_goes_through_its_points():
    assert between([(0, 0), (10, 5), (20, 5)], 5) == 2.5
    lines = plot([(0, 8.0), (50, 0.0), (100, 8.0)], wide=20, high=4).splitlines()
    assert len(lines) == 5 and lines[0].split('│')[0].strip() == '8' and lines[3].split('│')[0].strip() == '0'
    curve = [line.split('│')[1] for line in lines[:4]]
    dots = lambda row, at: curve[row][at] != '\u2800'
    assert dots(0, 0) and dots(0, 19) and not dots(3, 0)  # high at both ends
    assert any(dots(3, at) for at in (9, 10)) and not any(dots(0, at) for at in range(6, 14))  # low in the middle


@pytest.mark.parametrize('seconds, text', [(None, '?'), (40, '40 s'), (720, '12 min'), (12600, '3.5 h')])
def test_times_are_spoken(seconds, text):
    assert spoken(seconds) == text


def test_the_newest_preview_is_copied(tmp_path, capsys):
    run, out = write_run(tmp_path / 'w'), tmp_path / 'now.jpg'
    assert main(['preview', '--run', str(run), '-o', str(out)]) == 2
    assert 'no preview yet' in capsys.readouterr().err
    (run / 'previews').mkdir()
    for step, grey in ((10, 50), (20, 200)):
        cv2.imwrite(str(run / 'previews' / f'{step:08d}.jpg'), np.full((8, 8, 3), grey, np.uint8))
    assert main(['preview', '--run', str(run), '-o', str(out)]) == 0
    assert abs(cv2.imread(str(out)).mean() - 200) < 3
    assert main(['preview', '--run', str(run), '-o', str(out)]) == 2
    assert '--force' in capsys.readouterr().err
    assert main(['preview', '--run', str(run), '-o', str(out.with_suffix('.png'))]) == 2
    assert 'name the copy *.jpg' in capsys.readouterr().err and not out.with_suffix('.png').exists()


# The page


@pytest.fixture
def page(tmp_path):
    """The server of a run's page, and a function that asks it: (path, method, headers) -> (status, body)."""
    run = write_run(tmp_path / 'out.mp4.run', rows=[(10, 1.0), (20, 0.5)])
    (run / 'job.json').write_text(json.dumps({'into': '/videos/anna b.mp4'}))
    cv2.imwrite(str(run / 'preview.jpg'), np.full((8, 8, 3), 90, np.uint8))
    server = watch.make_server(run, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def ask(path='/', method='GET', **headers):
        connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=10)
        connection.request(method, path, headers={k.replace('_', '-'): v for k, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors='replace')

    yield SimpleNamespace(run=run, ask=ask)
    server.shutdown()
    server.server_close()


def test_a_page_shows_a_run_and_stops_it(page):
    status, text = page.ask()
    assert status == 200 and 'stop and use it now' in text
    assert not re.search(r'(src|href)="(https?:)?//', text)  # nothing is fetched from elsewhere
    state = json.loads(page.ask('/state.json')[1])
    assert (state['step'], state['steps'], state['state'], state['left']) == (20, 100, 'training', '40 s')
    assert state['curves']['total'] == [[10, 1.0], [20, 0.5]] and 'step' not in state['curves']
    assert state['use'] == f"dfjax convert --run {page.run} --into '/videos/anna b.mp4' -o OUT.mp4"
    assert page.ask('/preview.jpg')[0] == 200 and page.ask('/config.json')[0] == 404
    token = re.search(r"'X-Token': '([^']+)'", text)[1]
    assert page.ask('/stop', 'POST', X_Token=token)[0] == 200 and (page.run / 'stop').exists()


@pytest.mark.parametrize(
    'path, method, headers',
    [
        ('/stop', 'POST', {}),
        ('/stop', 'POST', {'X_Token': 'TOKEN'}),
        ('/', 'GET', {'Host': 'evil.example:7870'}),
        ('/state.json', 'GET', {'Host': 'evil.example'}),
        ('/../config.json', 'POST', {}),
    ],
)
def test_nobody_else_may_ask_the_page(page, path, method, headers):
    assert page.ask(path, method, **headers)[0] == 403
    assert not (page.run / 'stop').exists()


def test_a_port_that_is_taken_is_one_line(page, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(InputError, match='is taken'):
            watch.make_server(page.run, taken.getsockname()[1])
    with pytest.raises(InputError, match='not a run'):
        watch.make_server(tmp_path, 0)
    assert watch.newest(tmp_path) == page.run

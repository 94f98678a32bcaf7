"""The front door of training: named runs from any folder, what keys mean, and what runs say of themselves."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dfjax.apps import convert, doctor, evaluate, swap, verify, watch
from dfjax.apps.cli import main
from dfjax.apps.glance import glance, runs_under
from dfjax.apps.runs import between, plot
from dfjax.config import config_file, full_name, load_config
from dfjax.data.media.progress import spoken
from dfjax.errors import InputError
from dfjax.explain import explain, variants_of
from dfjax.ops import backend
from dfjax.systems import SYSTEMS


def write_run(folder, steps=100, rows=(), **config):
    folder.mkdir(parents=True)
    stored = {'system': 'vae', 'steps': steps, 'data': {'size': 64}} | config
    (folder / 'config.json').write_text(json.dumps(stored))
    lines = [json.dumps({'step': n, 'seconds': 5.0, 'steps_per_second': 2.0, 'total': y}) + '\n' for n, y in rows]
    (folder / 'metrics.jsonl').write_text(''.join(lines) + '{"step": 9')  # a row that is being written
    return folder


@pytest.mark.parametrize('system', SYSTEMS)
def test_every_key_has_a_meaning_and_every_named_run_is_listed(system):
    keys = explain(load_config(f'{system}:laptop'))
    assert not [key.name for key in keys if not key.comment]
    assert all(key.range for key in keys if key.kind in ('number', 'whole number'))
    runs = variants_of(str(config_file(system)))
    assert {'laptop', 'gpu', 'paper', 'smoke'} <= runs.keys() and runs['laptop']


def test_keys_say_what_the_source_says():
    keys = {key.name: key for key in explain(load_config('faceswap:gpu'))}
    assert keys['input_size'].comment == 'side of the picture that the encoder sees'
    assert (keys['batch_size'].value, keys['batch_size'].default) == (32, 16)
    assert keys['augment.warp'].comment.startswith('standard deviation of the control points')
    assert keys['optimizer.kind'].range.startswith('one of adam, ') and keys['optimizer.kind'].kind == 'text'
    assert keys['data.face_type'].range == 'one of half, mid, full, whole_face, head'
    two = {key.name: key for key in explain(load_config('stargan:gpu'))}  # keys that are made in a comprehension
    assert (
        two['optimizer.g.clip'].comment == two['optimizer.d.clip'].comment == 'greatest norm of a gradient; 0 for any'
    )


def test_a_system_alone_is_what_the_device_can_do(monkeypatch):
    assert full_name('vae') == f'{config_file("vae")}:laptop'
    monkeypatch.setattr('dfjax.config.accelerated', lambda: True)
    assert full_name('vae') == f'{config_file("vae")}:gpu'
    assert full_name('vae:paper') == f'{config_file("vae")}:paper'
    assert full_name('my.py:x') == 'my.py:x'
    assert backend.accelerated() is False


def test_config_lists_keys_with_what_is_set(capsys):
    assert main(['config', 'vae:smoke', '--config.batch_size=4', '--json']) == 0
    keys = {key['name']: key for key in json.loads(capsys.readouterr().out)['keys']}
    assert (keys['batch_size']['value'], keys['batch_size']['default']) == (4, 16)
    assert main(['config', 'vae:smoke', '--config.bach=4']) == 2
    assert 'did you mean' in capsys.readouterr().err
    assert main(['config', 'faceswp']) == 2
    assert "did you mean 'faceswap'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    'words, line',
    [
        (['vae:huge'], "there is no variant 'huge'; there are: smoke, laptop"),
        (['vae:smoke', '--a', 'x'], '--a: vae has no data.a; its data are given by --data'),
        (['faceswap:smoke', '--data', 'x'], '--data: faceswap has no data.source; its data are given by --a and --b'),
        (['vae:smoke', '--steps', '0'], '--steps 0: give 1 or more'),
        (['vae:smoke', '--config.bach_size=3'], "did you mean 'batch_size'?"),
        ([], 'not a run; it has no config.json'),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_is_written(words, line, tmp_path, capsys):
    assert main(['train', *words, '-o', str(tmp_path / 'w')]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count('\n') == 1
    assert not (tmp_path / 'w').exists()


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


def test_doctor_says_what_is_there_and_how_to_mend_what_is_not(monkeypatch, capsys):
    assert main(['doctor', '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert found['ok'] and 'CPU' in found['device'] and found['packages']['jax'] != 'none' and not found['wrong']
    assert main(['doctor', '--commercial']) == 1
    assert 'not for commerce; animate with --points' in capsys.readouterr().out
    monkeypatch.setattr(doctor, 'version_of', lambda name: {'jaxlib': '0.10.2', 'flax': 'none'}.get(name, '1'))
    monkeypatch.setattr(doctor, 'CODECS', {'nothing264': 'video'})
    assert main(['doctor']) == 1
    out = capsys.readouterr().out
    for line in ('flax is not installed: pip install flax', "pip install 'jax!=0.10.2'", 'nothing264, for video'):
        assert line in out


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


# Lists of jobs


def test_jobs_are_done_once_and_failures_are_told(tmp_path, capfd):
    jobs = tmp_path / 'jobs.toml'
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((8, 8, 3), 90, np.uint8))
    jobs.write_text(
        '[[job]]\nrun = "verify a.png"\n[[job]]\nname = "bad"\nrun = ["preview", "--run", "none"]\n'
        '[[job]]\nrun = "dfjax config vae:smoke"\n'
    )
    assert main(['batch', str(jobs), '--dry-run', '--json']) == 0
    assert json.loads(capfd.readouterr().out)['left'] == ['1 verify', 'bad', '3 config']
    assert main(['batch', str(jobs), '--json']) == 1
    report = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert '3 config' in report['done'] and 'not a run' in report['failed']['bad']
    noted = (tmp_path / 'jobs.toml.done').read_text()
    assert main(['batch', str(jobs), '--json']) == 1
    assert (tmp_path / 'jobs.toml.done').read_text() == noted  # what is done is not done again
    assert '3 config' not in capfd.readouterr().err


@pytest.mark.parametrize(
    'text, line',
    [
        ('', 'no [[job]] in it'),
        ('[[job]]\nrun = 3', 'job 1 has no run'),
        ('[[job]]\nrun = "swpa x"', "job 1: there is no verb 'swpa'; did you mean 'swap'?"),
        ('[[job]]\nrun = "swap --face x"', 'job 1: dfjax swap: error: the following arguments are required'),
        ('[[job]]\nrun = "verify a"\n[[job]]\nrun = "verify b --nonsense"', 'job 2: dfjax verify: error: unrecognized'),
        ('[[job]]\nrun = "batch jobs.toml"', 'job 1: there is no verb'),
        ('[[job', 'not TOML'),
        ('[[job]]\nname="a"\nrun = "verify a"\n[[job]]\nname="a"\nrun = "verify b"', "two jobs are called 'a'"),
    ],
)
def test_a_wrong_list_is_refused_before_any_job_runs(text, line, tmp_path, capsys):
    (tmp_path / 'jobs.toml').write_text(text)
    assert main(['batch', str(tmp_path / 'jobs.toml')]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count('\n') == 1
    assert os.listdir(tmp_path) == ['jobs.toml']


# The shell


@pytest.mark.parametrize(
    'line, expected',
    [('dfjax tra', {'train', 'translate'}), ('dfjax config faceswap:p', {'faceswap:paper'})],
)
def test_words_are_completed(line, expected):
    env = os.environ | {'COMP_LINE': line, 'COMP_POINT': str(len(line)), '_ARGCOMPLETE': '1', '_ARGCOMPLETE_IFS': '\n'}
    code = 'import os, sys; os.dup2(1, 8); from dfjax.apps.cli import main; main([])'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=env)
    found = {word.strip() for word in re.split(r'[\n\x0b]', done.stdout) if word.strip()}
    assert {word.replace('\\', '') for word in found} == expected


# Reports


def test_reports_speak_to_people_and_scripts_get_the_figures(tmp_path, capsys, monkeypatch):
    figures = {'transfer': 0.64, 'expression': None, 'frames': 96}
    spoken = evaluate.spoken(figures)
    assert spoken['transfer'].startswith('0.64 ') and '0.5 is half-way' in spoken['transfer']
    assert spoken['expression'] is None and spoken['frames'] == 96
    args = SimpleNamespace(out='out.mp4', face=['b b.mp4'], into='a.mp4')
    soft = convert.spoken({'detail': (2.187, 2.513, 1.926)}, args)
    assert '2.2, 2.5, 1.9 times' in soft['detail'] and 'longer training' in soft['note'] and 'out.mp4' in soft['next']
    assert 'note' not in convert.spoken({'detail': None}, args)
    run = tmp_path / 'run'
    run.mkdir()
    (run / 'config.json').write_text(json.dumps(load_config('saehd:smoke').to_dict()))
    report = swap.spoken({'detail': None, 'steps': 60, 'workdir': str(run)}, args)
    assert '60 steps are few' in report['note'] and '--force --minutes 20' in report['next'][1]
    assert "dfjax evaluate --swap out.mp4 --input a.mp4 --face 'b b.mp4'" in report['next'][2]


def test_what_a_file_says_of_itself_is_a_sentence():
    said = {'generator': 'dfjax 1', 'description': 'face swapped', 'when': '2026-01-01', 'signer': 'S'}
    rows = [
        {'file': 'a.mp4', 'status': 'intact', 'ai_generated': True, 'mark_found': 'ab12'} | said,
        {'file': 'b.png', 'status': 'unmarked', 'ai_generated': None, 'mark_found': None},
    ]
    spoken = verify.spoken({'files': rows, 'ok': False}, None)
    assert spoken['a.mp4'] == (
        'intact: unchanged since it was signed; made by AI: face swapped, by dfjax 1, 2026-01-01; signed by S; '
        'invisible mark ab12'
    )
    assert spoken['b.png'].startswith('unmarked: ') and 'proves nothing' in spoken['b.png'] and spoken['ok'] is False


def test_a_reader_that_has_enough_is_no_error():
    line = f'{sys.executable} -m dfjax.apps.cli config vae:smoke | head -n 1'
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith('batch_size') and done.stderr == ''

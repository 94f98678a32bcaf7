"""The front door of training: named runs from any folder, what keys mean, what is refused, and the shell."""

import json
import os
import re
import subprocess
import sys

import pytest

from dfjax.apps import doctor
from dfjax.apps.cli import main
from dfjax.config import config_file, full_name, load_config
from dfjax.explain import explain, variants_of
from dfjax.ops import backend
from dfjax.systems import SYSTEMS


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


def test_a_reader_that_has_enough_is_no_error():
    line = f'{sys.executable} -m dfjax.apps.cli config vae:smoke | head -n 1'
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith('batch_size') and done.stderr == ''

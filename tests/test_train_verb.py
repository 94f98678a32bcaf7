"""`dfjax train` from a folder that is no checkout: begun by a name, gone on with, changed, lengthened, used."""

import json
from pathlib import Path

import pytest

import dfjax
from dfjax.apps.cli import main
from dfjax.training import timed
from dfjax.training.workdir import read_config

pytestmark = pytest.mark.whole


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('elsewhere')


@pytest.fixture(autouse=True)
def elsewhere(folder, monkeypatch):
    monkeypatch.chdir(folder)


def train(capsys, *words, status: int = 0) -> dict | str:
    """The report of a training in `w`, or the line that it is refused with."""
    assert main(['train', *words, '-o', 'w', '--json']) == status
    out, err = capsys.readouterr()
    return json.loads(out.splitlines()[-1]) if status == 0 else err.strip().splitlines()[-1]


def test_a_named_run_is_trained_from_any_folder(capsys):
    report = train(capsys, 'vae:smoke', '--steps', '4', '--data', 'render:people:1:12', '--config.optimizer.warmup=1')
    assert (report['system'], report['steps']) == ('vae', 4)
    assert 'dfjax sample --run w -o sheet.png' in report['next'] and 'dfjax evaluate --run w' in report['next']
    cfg = read_config('w')
    assert (cfg.data.source, cfg.optimizer.warmup, cfg.steps) == ('render:people:1:12', 1, 4)
    assert repr(dfjax.load_run('w')).startswith("Run('w', vae, step 4, ")


def test_without_a_name_it_goes_on_as_it_was_begun(capsys):
    assert train(capsys)['steps'] == 4
    assert train(capsys, '--steps', '6')['steps'] == 6
    assert read_config('w').data.source == 'render:people:1:12'


def test_another_config_is_refused_unless_it_is_a_change(capsys):
    assert '--change' in train(capsys, '--config.optimizer.lr=1e-4', status=2)
    assert train(capsys, '--steps', '7', '--change', '--config.optimizer.lr=1e-4')['steps'] == 7
    (line,) = Path('w/changes.jsonl').read_text().splitlines()
    assert json.loads(line) == {'step': 6, 'changed': {'optimizer.lr': [0.001, 0.0001]}}
    assert 'a run of system' in train(capsys, 'gan:smoke', status=2)


def test_minutes_after_the_end_train_on(capsys, monkeypatch):
    monkeypatch.setattr(timed, 'steps_for', lambda *args: 2)
    assert train(capsys, '--minutes', '1')['steps'] == 9


def test_the_same_from_python():
    report = dfjax.train(None, 'w', steps=10, progress=False)
    assert report['steps'] == 10 and (report['workdir'], report['system']) == ('w', 'vae')
    with pytest.raises(dfjax.errors.InputError, match='--steps 0'):
        dfjax.train(None, 'w', steps=0)

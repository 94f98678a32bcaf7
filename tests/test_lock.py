"""One process at a time in a run's folder, and what is in the way there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy_system as toy

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.training.lock import LOCK, locked
from dfjax.training.loop import train
from dfjax.training.workdir import PLACES

HOLDER = """
import sys, time
from dfjax.training.lock import locked
with locked(sys.argv[1]):
    print('held', flush=True)
    time.sleep(60)
"""


def start(folder: Path) -> subprocess.Popen:
    holder = subprocess.Popen([sys.executable, '-c', HOLDER, folder], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == 'held\n'
    return holder


def run(folder: Path, **changes):
    with toy.installed():
        cfg = build(toy.default_config(), {'steps': 2, **changes})
        return train(cfg, folder, data=toy.resident(cfg), progress=False)


def test_a_second_process_is_refused_and_a_killed_ones_lock_is_gone(tmp_path):
    holder = start(tmp_path / 'w')
    try:
        with pytest.raises(InputError, match=rf'/w: another process \({holder.pid}\) is at work there; wait') as error:
            run(tmp_path / 'w')
        assert '\n' not in str(error.value) and os.listdir(tmp_path / 'w') == [LOCK]
        with pytest.raises(InputError, match='another process'), locked(tmp_path / 'w'):
            pytest.fail('not reached')
        with locked(tmp_path / 'other'):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / 'w' / LOCK).exists()  # what a killed process leaves is in nobody's way
    run(tmp_path / 'w')
    assert {path.name for path in (tmp_path / 'w').iterdir()} == {
        'config.json',
        'metrics.jsonl',
        'log.txt',
        'checkpoints',
        'tb',
        'previews',
        'preview.jpg',
        'timelapse.webp',
    }


def test_a_process_may_enter_its_own_folder_again(tmp_path):
    with locked(tmp_path), locked(str(tmp_path)):
        assert (tmp_path / LOCK).exists()
    assert not os.listdir(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='file/w: cannot be written'), locked(tmp_path / 'file' / 'w'):
        pass


@pytest.mark.parametrize('name', PLACES)
def test_what_is_in_the_way_is_to_be_deleted(tmp_path, name):
    path = tmp_path / 'w' / name
    if PLACES[name]:
        path.parent.mkdir()
        path.write_text('')
    else:
        path.mkdir(parents=True)
    with pytest.raises(InputError, match=rf'w/{name}: is a .*; delete it'):
        run(tmp_path / 'w')
    assert [p.name for p in (tmp_path / 'w').iterdir()] == [name]

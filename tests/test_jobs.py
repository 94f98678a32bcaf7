"""Lists of jobs: done once, failures told, and a wrong list refused before any job runs."""

import json
import os

import cv2
import numpy as np
import pytest

from dfjax.apps.cli import main


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

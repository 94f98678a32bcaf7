"""The runs and files that the studio finds in its folder."""

import json
import sys

import pytest
from studio_client import a_run, posted

from dfjax.apps.studio.store import Locked, free_name, is_locked

pytest.importorskip('starlette', reason="the studio's extra is not installed: pip install -e '.[studio]'")
pytest.importorskip('httpx', reason='httpx is not installed: pip install httpx')

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='the studio needs WSL on Windows')


def test_runs_are_found_and_told(studio):
    client, folder = studio
    run = a_run(folder, 'deep/er/swap', data={'size': 160})
    a_run(folder, 'deep/er/and/too/deep')
    a_run(folder, '.studio/hidden')
    (run / 'checkpoints/20').mkdir(parents=True)
    (run / 'previews').mkdir()
    for step in (0, 10, 20):
        (run / f'previews/{step:08d}.jpg').write_bytes(b'\xff\xd8\xff' + bytes([step]) * 20)
    rows = [{'step': n, 'seconds': 1.0, 'total': 1 / (1 + n), 'odd': float('nan')} for n in range(1000)]
    (run / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)) + '\n{"step": 10')  # cut short by a kill
    (told,) = client.get('/api/state').json()['runs']
    assert (told['name'], told['step'], told['steps'], told['size']) == ('deep/er/swap', 20, 100, 160)
    assert told['previews'] == [0, 10, 20]
    curves = client.get('/api/curves/deep/er/swap').json()
    assert len(curves['step']) <= 241 and curves['step'][-1] == 999 and curves['total'][-1] == 1e-3
    assert curves['odd'][-1] is None
    assert client.get('/api/previews/deep/er/swap').content[-1] == 20
    assert client.get('/api/previews/deep/er/swap?step=10').content[-1] == 10
    assert client.get('/api/previews/deep/er/swap?step=11').status_code == 400


def test_a_run_is_deleted_only_when_nobody_works_there(studio):
    client, folder = studio
    run = a_run(folder)
    lock = Locked(run / '.lock')
    assert posted(client, '/api/runs/delete', {'run': run.name}).status_code == 400 and run.exists()
    lock.close()
    assert posted(client, '/api/runs/delete', {'run': run.name}).status_code == 200 and not run.exists()


def test_runs_behind_links_are_not_ours(studio, tmp_path_factory):
    client, folder = studio
    elsewhere = a_run(tmp_path_factory.mktemp('elsewhere'), 'run')
    (folder / 'link').symlink_to(elsewhere)
    (folder / 'parent').symlink_to(elsewhere.parent)
    assert client.get('/api/state').json()['runs'] == []


def test_results_have_names_of_their_own(tmp_path):
    assert free_name(tmp_path, 'swap', '.mp4', set()) == 'swap-1.mp4'
    (tmp_path / 'swap-1.mp4.run').mkdir()
    assert free_name(tmp_path, 'swap', '.png', {'swap-2.mp4'}) == 'swap-3.png'


def test_a_lock_lives_as_long_as_its_holder(tmp_path):
    held = Locked(tmp_path / 'lock')
    assert is_locked(tmp_path / 'lock')
    with pytest.raises(BlockingIOError):
        Locked(tmp_path / 'lock')
    held.close()
    assert not is_locked(tmp_path / 'lock')

"""The loop, on a system that trains in milliseconds: what a run's folder holds, stopping and going on."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time

import cv2
import jax
import numpy as np
import pytest
import toy_system as toy
from PIL import Image
from toy_training import config, rows, same, steps_kept, train

from dfjax.errors import InputError
from dfjax.training import loop, parallel, previews, timed
from dfjax.training.workdir import read_config

pytestmark = [pytest.mark.whole, pytest.mark.usefixtures('toy_is_a_system')]


@pytest.fixture(scope='module')
def whole(toy_is_a_system, tmp_path_factory):
    """A run of 40 steps that was never stopped: (state, folder)."""
    folder = tmp_path_factory.mktemp('whole') / 'w'
    return train(folder), folder


def test_a_run_learns_and_its_folder_holds_what_a_person_wants(whole):
    state, folder = whole
    assert int(state.step) == 40
    assert read_config(folder) == config()
    written = rows(folder)
    assert [row['step'] for row in written] == [10, 20, 30, 40]
    assert written[-1]['total'] < 0.3 * written[0]['total']
    for row in written:
        assert row['examples_per_second'] == pytest.approx(16 * row['steps_per_second'], rel=1e-2)
        assert 10 / row['steps_per_second'] == pytest.approx(row['seconds'], rel=1e-2)
        assert 0 <= row['data_wait'] <= 1
    assert sorted(int(p.stem) for p in (folder / 'previews').iterdir()) == [0, 10, 20, 30, 40]
    # 8 examples, two pictures each: a row an example, enlarged to columns of 96 pixels, above a strip with the step.
    assert cv2.imread(str(folder / 'previews' / '00000040.jpg')).shape == (8 * 96 + previews.STRIP, 2 * 96, 3)
    newest = (folder / 'preview.jpg').read_bytes()
    assert newest == (folder / 'previews' / '00000040.jpg').read_bytes()
    with Image.open(folder / 'timelapse.webp') as film:
        assert film.n_frames == 5 and film.size == (174, 720)  # of 192 x 790 pixels
    assert any(b'total' in p.read_bytes() for p in (folder / 'tb').iterdir())


def test_metrics_are_the_means_of_their_rows(whole, tmp_path):
    train(tmp_path, log_every=1)
    each = [row['total'] for row in rows(tmp_path)]
    assert [row['total'] for row in rows(whole[1])] == pytest.approx(np.mean(np.reshape(each, (4, 10)), 1), rel=1e-5)


def test_a_profile_is_of_a_few_steps_and_changes_none(whole, tmp_path):
    cfg = config()
    state = loop.train(cfg, tmp_path / 'w', data=toy.resident(cfg), progress=False, profile=tmp_path / 'trace')
    assert same(state.params, whole[0].params)
    (file,) = (tmp_path / 'trace').rglob('*.xplane.pb')
    events = [e.name for p in jax.profiler.ProfileData.from_file(str(file)).planes for l in p.lines for e in l.events]
    assert events.count('PjitFunction(advance)') in (10, 20)  # each, and again on the line of Python's calls


def test_previews_by_the_clock_change_no_bits_and_do_not_pile_up(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(previews, 'CLOCK', 0.0)
    monkeypatch.setattr(previews, 'SHARE', 0)
    monkeypatch.setattr(loop, 'SECONDS_PER_DISPATCH', 0.0)
    shown, show = [], previews.Previews.show
    monkeypatch.setattr(
        previews.Previews, 'show', lambda self, state, step: shown.append(step) or show(self, state, step)
    )
    assert same(train(tmp_path), whole[0])
    assert shown == list(range(41))  # after every dispatch, of a step each
    kept = sorted(int(path.stem) for path in (tmp_path / 'previews').iterdir())
    assert set(kept) > {0, 10, 20, 30, 40} and len(kept) < 36
    none = train(tmp_path / 'none', preview_every=0)
    assert same(none, whole[0]) and not (tmp_path / 'none' / 'preview.jpg').exists()


@pytest.mark.parametrize('way', ['streamed', 'pmap', 'streamed pmap', 'scan_steps'])
def test_every_way_gives_the_same_numbers(way, whole, tmp_path, monkeypatch):
    changes = {'parallel': 'pmap'} if 'pmap' in way else {}
    if way == 'scan_steps':
        monkeypatch.setattr(parallel.Devices, 'scan_steps', True)
    data = toy.Stream(config()) if 'streamed' in way else None
    train(tmp_path, data, steps=15, **changes)
    if data:
        data.set_state({'next': 99})  # the position comes from the checkpoint
    state = train(tmp_path, data, **changes)
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(whole[0].params)):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)
    assert rows(tmp_path)[-1]['total'] == pytest.approx(rows(whole[1])[-1]['total'], rel=1e-4)


def test_the_loop_does_not_take_torch_along():
    if importlib.util.find_spec('torch') is None:
        pytest.skip('torch is not installed')
    code = 'import sys; import dfjax.training.loop; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)


# Going on


def test_a_run_in_parts_equals_a_run_in_one(whole, tmp_path):
    for steps in (7, 20, 33, 40):
        state = train(tmp_path, steps=steps)
    assert same(state, whole[0])
    assert [row['step'] for row in rows(tmp_path)][-1] == 40


def test_a_finished_run_is_left_as_it_is(whole, capsys):
    before = rows(whole[1])
    assert same(train(whole[1]), whole[0])
    assert rows(whole[1]) == before
    assert 'all 40 steps are done' in capsys.readouterr().err


def test_the_newest_two_and_the_best_are_kept_also_by_a_run_that_goes_on(tmp_path):
    state = train(tmp_path, steps=30)
    assert steps_kept(tmp_path) == {20, 30}
    path = tmp_path / 'checkpoints' / '20' / 'metrics' / 'metrics'
    (tmp_path / 'checkpoints' / '20' / 'seal.json').unlink()
    path.write_text(json.dumps({'total': -1.0}))  # the best there will ever be
    train(tmp_path, steps=60)
    assert steps_kept(tmp_path) == {20, 50, 60}
    assert int(state.step) == 30


def test_keys_may_be_changed_on_going_on_and_the_run_notes_it(tmp_path, capsys):
    def go(change=True, **changes):
        cfg = config(steps=20, **changes)
        return loop.train(cfg, tmp_path, data=toy.resident(cfg), progress=False, change=change)

    train(tmp_path, steps=10)
    with pytest.raises(InputError, match=r'lr \(0.01, now 0.001\); use that config, another folder, or --change'):
        go(change=False, lr=1e-3)
    before = (tmp_path / 'config.json').read_text()
    with pytest.raises(InputError):
        go(width=8)  # another net
    assert (tmp_path / 'config.json').read_text() == before and not (tmp_path / 'changes.jsonl').exists()
    assert int(go(lr=1e-3).step) == 20
    assert json.loads((tmp_path / 'changes.jsonl').read_text()) == {'step': 10, 'changed': {'lr': [0.01, 0.001]}}
    assert read_config(tmp_path).lr == 1e-3 and 'changed from step 10 on: lr 0.01 -> 0.001' in capsys.readouterr().err
    assert rows(tmp_path)[-1]['step'] == 20


# Stopping


@pytest.mark.parametrize(('number', 'end'), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_saves_and_says_how_to_go_on(number, end, whole, tmp_path, capsys, monkeypatch):
    def interrupt():
        while not (tmp_path / 'metrics.jsonl').exists() or not rows(tmp_path):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    advance = parallel.Devices.advance
    monkeypatch.setattr(parallel.Devices, 'advance', lambda self, *args: time.sleep(0.05) or advance(self, *args))
    before = signal.getsignal(number)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(end) as caught:
        train(tmp_path, steps=100_000)
    thread.join()
    assert getattr(caught.value, 'code', 143) == 143
    assert signal.getsignal(number) is before
    stopped = max(steps_kept(tmp_path))
    assert (
        f'stopped at step {stopped} of 100000, saved in {tmp_path}; the same command goes on' in capsys.readouterr().err
    )
    assert same(train(tmp_path, steps=stopped + 5), train(tmp_path / 'whole', steps=stopped + 5))


def test_somebody_who_has_seen_enough_stops_a_run_that_can_go_on(whole, tmp_path, monkeypatch):
    advance = parallel.Devices.advance

    def slow(self, state, *args):
        if (tmp_path / 'metrics.jsonl').exists() and rows(tmp_path):
            (tmp_path / 'stop').touch()
        return advance(self, state, *args)

    monkeypatch.setattr(parallel.Devices, 'advance', slow)
    monkeypatch.setattr(loop, 'SECONDS_PER_DISPATCH', 0.0)
    state = train(tmp_path)
    assert 10 <= int(state.step) < 20 and not (tmp_path / 'stop').exists()
    monkeypatch.setattr(parallel.Devices, 'advance', advance)
    (tmp_path / 'stop').touch()  # left behind: it does not stop the next
    assert same(train(tmp_path), whole[0])


def test_a_deadline_saves_and_returns(tmp_path):
    cfg = config(steps=100_000_000)
    state = loop.train(cfg, tmp_path, data=toy.resident(cfg), deadline=3.0, progress=False)
    assert 0 < int(state.step) < cfg.steps
    assert max(steps_kept(tmp_path)) == int(state.step)


def test_steps_for_counts_what_fits(monkeypatch):
    cfg = config()
    advance = parallel.Devices.advance
    monkeypatch.setattr(parallel.Devices, 'advance', lambda self, *args: time.sleep(0.1) or advance(self, *args))
    began = time.monotonic()
    steps = timed.steps_for(cfg, toy.resident(cfg), 60.0)
    took = time.monotonic() - began
    assert 0.5 * (60 - 2 * took) / 0.12 < steps < (60 - took) / 0.1


def test_what_is_frozen_serves_the_run_after_what_was_timed(tmp_path):
    """Both are on the same devices: the steps that were timed must not have given its buffers away."""
    cfg = config(steps=4)
    data = toy.resident(cfg)
    timed.steps_for(cfg, data, 1.0)
    state = loop.train(cfg, tmp_path / 'w', data=data, progress=False)
    np.testing.assert_array_equal(state.frozen['matrix'], toy.frozen(cfg)['matrix'])
    assert same(state, train(tmp_path / 'untimed', steps=4))

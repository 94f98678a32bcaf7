"""The loop, on a system that trains in milliseconds: what a run's folder holds, stopping and going on, bad input."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_system as toy
from ml_collections import ConfigDict
from PIL import Image

from dfjax.config import build, load_config
from dfjax.errors import InputError
from dfjax.systems.state import State
from dfjax.training import header, loop, parallel, previews, timed, trackers
from dfjax.training.previews import labelled, sheet
from dfjax.training.restore import load_params
from dfjax.training.workdir import read_config

pytestmark = pytest.mark.whole


@pytest.fixture(autouse=True, scope='module')
def system():
    with toy.installed():
        yield


def config(**changes) -> ConfigDict:
    return build(toy.default_config(), changes)


def train(workdir, data=None, **changes) -> State:
    cfg = config(**changes)
    return loop.train(cfg, workdir, data=data or toy.resident(cfg), progress=False)


def same(one: State, other: State) -> bool:
    """Whether two states are equal bit for bit."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    raw = lambda x: np.asarray(jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
    return all(np.array_equal(raw(a), raw(b)) for a, b in pairs)


def rows(workdir) -> list[dict]:
    return [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]


def steps_kept(workdir) -> set[int]:
    return {int(p.name) for p in (workdir / 'checkpoints').iterdir()}


@pytest.fixture(scope='module')
def whole(system, tmp_path_factory):
    """A run of 40 steps that was never stopped: (state, folder)."""
    folder = tmp_path_factory.mktemp('whole') / 'w'
    return train(folder), folder


def test_a_profile_is_of_a_few_steps_and_changes_none(whole, tmp_path):
    cfg = config()
    state = loop.train(cfg, tmp_path / 'w', data=toy.resident(cfg), progress=False, profile=tmp_path / 'trace')
    assert same(state.params, whole[0].params)
    (file,) = (tmp_path / 'trace').rglob('*.xplane.pb')
    events = [e.name for p in jax.profiler.ProfileData.from_file(str(file)).planes for l in p.lines for e in l.events]
    assert events.count('PjitFunction(advance)') in (10, 20)  # each, and again on the line of Python's calls


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


def test_what_is_said_is_kept_in_the_runs_folder_with_the_time(tmp_path, capsys):
    folder, cfg = tmp_path / 'w', config(steps=20)
    with pytest.raises(InputError, match='no way'):
        train(folder, parallel='no way')
    assert not folder.exists()
    loop.train(cfg, folder, data=toy.resident(cfg))
    bar, before = capsys.readouterr().err, (folder / 'log.txt').read_text()
    train(folder, steps=20)
    with pytest.raises(InputError, match='another config'):
        train(folder, lr=0.5)
    text = (folder / 'log.txt').read_text()
    assert text.startswith(before) and '\r' not in text and '\r' in bar
    for line in text.splitlines():
        time.strptime(line[:19], '%Y-%m-%d %H:%M:%S')
    said = [line[20:] for line in text.splitlines()]
    assert said[:3] == header.header(cfg, folder).splitlines()
    assert said[-2] == 'all 20 steps are done' and 'another config: lr' in said[-1]
    assert sum('20/20' in line for line in said) == 1 and len(said) < 12, said


def test_a_header_says_what_runs_where_to_look_and_how_to_stop(tmp_path, capsys):
    cfg = config(steps=2)
    loop.train(cfg, tmp_path, data=toy.resident(cfg))
    lines = capsys.readouterr().err.splitlines()
    assert 'toy' in lines[0] and 'CPU' in lines[0] and '2 steps of 16' in lines[0]
    assert f'{tmp_path}/preview.jpg' in lines[1] and f'dfjax watch {tmp_path}' in lines[1]
    assert lines[2].startswith('Ctrl-C saves') and lines[3].startswith('compiling')


def test_a_named_run_is_known_by_its_config():
    cfg = load_config('faceswap:gpu', ['--config.batch_size=16', '--config.steps=7', '--config.data.a=x'])
    assert header.named(cfg) == 'faceswap:gpu with batch_size 16'
    assert header.named(load_config('faceswap:laptop')) == 'faceswap:laptop'
    assert header.named(config()) == 'toy'


def test_metrics_are_the_means_of_their_rows(whole, tmp_path):
    train(tmp_path, log_every=1)
    each = [row['total'] for row in rows(tmp_path)]
    assert [row['total'] for row in rows(whole[1])] == pytest.approx(np.mean(np.reshape(each, (4, 10)), 1), rel=1e-5)


def test_the_newest_two_and_the_best_are_kept_also_by_a_run_that_goes_on(tmp_path):
    state = train(tmp_path, steps=30)
    assert steps_kept(tmp_path) == {20, 30}
    path = tmp_path / 'checkpoints' / '20' / 'metrics' / 'metrics'
    (tmp_path / 'checkpoints' / '20' / 'seal.json').unlink()
    path.write_text(json.dumps({'total': -1.0}))  # the best there will ever be
    train(tmp_path, steps=60)
    assert steps_kept(tmp_path) == {20, 50, 60}
    assert int(state.step) == 30


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


def test_rows_and_previews_go_to_a_tracker_that_is_asked_for(tmp_path, monkeypatch):
    with pytest.raises(InputError, match='--log wandb: is not installed; pip install wandb'):
        trackers.check_trackers(['wandb'])
    said = []
    fake = SimpleNamespace(
        init=lambda **words: said.append(words),
        log=lambda values, step: said.append((step, *values)),
        Image=lambda picture: picture.shape,
        finish=lambda: said.append('finished'),
        __spec__=importlib.util.spec_from_loader('wandb', None),
    )
    monkeypatch.setitem(sys.modules, 'wandb', fake)
    cfg = config(steps=20)
    loop.train(cfg, tmp_path / 'w', data=toy.resident(cfg), progress=False, log=['wandb'])
    assert said[0]['name'] == said[0]['id'] == 'w' and said[0]['config']['batch_size'] == 16
    assert [entry[0] for entry in said[1:-1] if 'total' in entry] == [10, 20]
    assert [entry[0] for entry in said[1:-1] if 'preview' in entry] == [0, 10, 20]
    assert said[-1] == 'finished'


def test_a_tracker_of_ones_own_sees_what_the_run_reports(tmp_path):
    class Mine:
        def __init__(self):
            self.seen = []

        def row(self, step, values):
            self.seen.append((step, values['total']))

        def picture(self, step, picture):
            self.seen.append((step, picture.dtype))

        def close(self):
            self.seen.append('closed')

    mine, another, cfg = Mine(), Mine(), config(steps=20)
    loop.train(cfg, tmp_path, data=toy.resident(cfg), progress=False, log=[mine, another])
    totals = [(row['step'], row['total']) for row in rows(tmp_path)]
    assert mine.seen == [(0, 'uint8'), totals[0], (10, 'uint8'), totals[1], (20, 'uint8'), 'closed']
    assert another.seen == mine.seen


def test_a_tracker_that_fails_ends_no_training(tmp_path, monkeypatch, capsys):
    def away(*args, **words):
        raise ConnectionError('the server is away')

    spec = importlib.util.spec_from_loader('wandb', None)
    begun = SimpleNamespace(init=lambda **words: None, log=away, Image=lambda picture: 0, finish=away, __spec__=spec)
    monkeypatch.setitem(sys.modules, 'wandb', begun)
    cfg = config(steps=20)
    state = loop.train(cfg, tmp_path / 'w', data=toy.resident(cfg), progress=False, log=['wandb'])
    assert int(state.step) == 20
    assert capsys.readouterr().err.count('--log wandb: the server is away; nothing more is sent there') == 1
    monkeypatch.setitem(sys.modules, 'wandb', SimpleNamespace(init=away, __spec__=spec))
    with pytest.raises(InputError, match='--log wandb: cannot begin'):
        loop.train(cfg, tmp_path / 'v', data=toy.resident(cfg), progress=False, log=['wandb'])


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


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(InputError) as error:
        train(tmp_path, explode_at=26)
    line = str(error.value)
    assert 'not finite at step 26' in line
    assert 'step 20 is kept' in line
    assert '\n' not in line
    assert steps_kept(tmp_path) == {10, 20}
    assert int(load_params(tmp_path).step) == 20


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    step = toy.step

    def poisoned(cfg, state, batch):
        new, metrics = step(cfg, state, batch)
        return new.replace(params=jax.tree.map(lambda x: x / (new.step != 20), new.params)), metrics

    monkeypatch.setattr(toy, 'step', poisoned)
    with pytest.raises(InputError, match='not finite at step 20'):
        train(tmp_path)
    assert steps_kept(tmp_path) == {10}


def test_a_device_without_memory_says_which_batch_size_to_try(tmp_path, monkeypatch):
    init, large = toy.init, lambda state: state.replace(aux=state.aux | {'large': jnp.zeros(10**13)})
    monkeypatch.setattr(toy, 'init', lambda cfg, key: large(init(cfg, key)))
    with pytest.raises(InputError, match=r'ran out of memory with batch_size 16; try --config.batch_size=8$'):
        train(tmp_path)


def test_another_way_is_refused_in_a_line(tmp_path):
    with pytest.raises(InputError, match="'parallel' is one of jit, pmap, not 'tpu'"):
        train(tmp_path, parallel='tpu')


def test_the_loop_does_not_take_torch_along():
    if importlib.util.find_spec('torch') is None:
        pytest.skip('torch is not installed')
    code = 'import sys; import dfjax.training.loop; assert "torch" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True)


def test_sheet_puts_pictures_in_rows():
    pictures = np.stack([np.full((2, 3, 3), value, np.float32) for value in (-1.0, 0.0, 1.0)])
    out = sheet(pictures, 2)
    assert out.shape == (4, 6, 3)
    assert [out[0, 0, 0], out[0, 3, 0], out[2, 0, 0], out[2, 3, 0]] == [0, 128, 255, 0]


def test_sheets_carry_names_and_step():
    picture = np.full((64, 3 * 128, 3), 60, np.uint8)
    out = labelled(picture, 3, ('a', 'a as b', 'b'), 120)
    assert out.shape == (64 + 2 * previews.STRIP, 384, 3)
    assert (out[previews.STRIP : -previews.STRIP] == picture).all()
    written = out[: previews.STRIP].max(-1) > 128
    assert all(written[:, n * 128 : n * 128 + 64].any() for n in range(3)) and not written[:, 64:120].any()
    assert (out[-previews.STRIP :, 300:].max(-1) > 128).any()
    assert labelled(picture[:32, :32], 1, (), 0).shape == (96 + previews.STRIP, 96, 3)  # small ones are enlarged


def test_what_is_frozen_serves_the_run_after_what_was_timed(tmp_path):
    """Both are on the same devices: the steps that were timed must not have given its buffers away."""
    cfg = config(steps=4)
    data = toy.resident(cfg)
    timed.steps_for(cfg, data, 1.0)
    state = loop.train(cfg, tmp_path / 'w', data=data, progress=False)
    np.testing.assert_array_equal(state.frozen['matrix'], toy.frozen(cfg)['matrix'])
    assert same(state, train(tmp_path / 'untimed', steps=4))

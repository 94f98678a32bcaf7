"""Checkpoints: killed runs, damaged files, other configs, full disks."""

import errno
import json
import random
import shutil
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import toy_run
import toy_system as toy
from tensorboardX import event_file_writer
from toy_training import train

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.systems.state import State
from dfjax.training import checkpoint, loop, report, workdir
from dfjax.training.checkpoint import Checkpoints
from dfjax.training.restore import load_params
from dfjax.training.workdir import read_config

pytestmark = [pytest.mark.whole, pytest.mark.usefixtures('toy_is_a_system')]


@pytest.fixture(scope='module')
def whole(toy_is_a_system, tmp_path_factory):
    """(state, folder) of a run of 20 steps, with checkpoints at 10 and 20."""
    folder = tmp_path_factory.mktemp('whole') / 'w'
    return train(folder, steps=20), folder


@pytest.fixture
def run(whole, tmp_path):
    """A copy of that run."""
    return shutil.copytree(whole[1], tmp_path / 'w')


def largest(folder: Path) -> Path:
    return max((p for p in folder.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)


def cut(folder):
    path = largest(folder / 'state')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(folder):
    path = largest(folder / 'state')
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def lose(folder):
    shutil.rmtree(folder / 'state')


def lose_unsealed(folder):
    (folder / 'seal.json').unlink()
    for path in (folder / 'state').rglob('d/*'):
        path.write_bytes(path.read_bytes()[:100])


def half_a_seal(folder):
    (folder / 'seal.json').write_text('{"sta')


def test_a_run_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    folder, kills = tmp_path / 'w', 0
    while not (folder / 'end.npz').exists():
        process = toy_run.start(f'{folder}=jit', '--steps', 60, '--pace', 0.02)
        if kills < 2:
            seen = set((folder / 'checkpoints').glob('*'))  # a new one starts under a temporary name
            while process.poll() is None and not set((folder / 'checkpoints').glob('*')) - seen:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.25))
            process.kill()
            kills += 1
        said = process.communicate(timeout=300)[1]
        assert process.returncode in (0, -signal.SIGKILL), f'seed {seed}: {said}'
    whole = toy_run.leaves(train(tmp_path / 'whole', steps=60))
    assert all(map(np.array_equal, toy_run.ended(folder), whole)), f'seed {seed}'
    steps = [json.loads(line)['step'] for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    assert steps == sorted(set(steps))


def no_object_as_seal(folder):
    (folder / 'seal.json').write_text('null')


def deep_seal(folder):
    (folder / 'seal.json').write_text('[' * 100_000)


def list_as_seal(folder):
    (folder / 'seal.json').write_text('["state"]')


@pytest.mark.parametrize(
    'harm', [cut, flip, lose, lose_unsealed, half_a_seal, no_object_as_seal, deep_seal, list_as_seal]
)
def test_a_damaged_checkpoint_is_put_aside_and_the_one_before_it_used(harm, run, whole, capsys):
    harm(run / 'checkpoints' / '20')
    assert int(load_params(run).step) == 10
    state = train(run, steps=20)
    said = [line for line in capsys.readouterr().err.splitlines() if str(run / 'checkpoints' / '20') in line]
    assert len(said) == 2  # load_params and train
    assert said[1].endswith('going on from step 10')
    for one, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(whole[0].params)):
        np.testing.assert_array_equal(one, other)
    assert len(list(run.glob('damaged-checkpoint-20-*'))) == 1
    assert int(load_params(run).step) == 20


def test_if_all_are_damaged_one_line_says_so_and_nothing_is_touched(run):
    flip(run / 'checkpoints' / '10')
    cut(run / 'checkpoints' / '20')
    before = {p: p.read_bytes() for p in (run / 'checkpoints').rglob('*') if p.is_file()}
    for attempt in (lambda: train(run, steps=20), lambda: load_params(run)):
        with pytest.raises(InputError, match='no checkpoint can be read') as error:
            attempt()
        assert '\n' not in str(error.value)
    assert before == {p: p.read_bytes() for p in (run / 'checkpoints').rglob('*') if p.is_file()}


@pytest.mark.parametrize(
    ('change', 'name'),
    [
        (lambda net: {'w': {'kernel': net['w']}, 'v': net['v']}, 'net.w'),
        (lambda net: net | {'v': net['v'][:, :-1]}, 'net.v'),
        (lambda net: net | {'u': net['v']}, 'net.u'),
    ],
)
def test_parameters_of_another_model_are_one_line(change, name, run, monkeypatch):
    init = toy.init

    def other(cfg, rng):
        state = init(cfg, rng)
        return state.replace(params={'net': change(state.params['net'])})

    monkeypatch.setattr(toy, 'init', other)
    kept = sorted(path.name for path in (run / 'checkpoints').iterdir())
    for attempt in (lambda: load_params(run), lambda: train(run)):
        with pytest.raises(InputError, match=rf'trained with another version of the model \({name} is not the same\)'):
            attempt()
    assert sorted(path.name for path in (run / 'checkpoints').iterdir()) == kept


def test_a_half_written_checkpoint_is_not_seen(run, whole):
    shutil.copytree(run / 'checkpoints' / '20', run / 'checkpoints' / '30.orbax-checkpoint-tmp')
    assert int(load_params(run).step) == 20
    assert int(train(run, steps=30).step) == 30
    assert int(load_params(run).step) == 30


def test_another_config_is_refused_and_named(run):
    with pytest.raises(InputError) as error:
        train(run, lr=0.5, seed=3, steps=30)
    line = str(error.value)
    assert 'lr (0.01, now 0.5), seed (0, now 3)' in line
    assert 'steps' not in line
    assert str(run) in line
    assert read_config(run) == build(toy.default_config(), {'steps': 20})


def test_another_system_is_refused_and_named(run):
    from dfjax.systems import faceswap

    with pytest.raises(InputError, match="a run of system 'toy', not 'faceswap'"):
        loop.train(faceswap.default_config(), run)


def test_how_long_and_how_to_watch_may_change(run):
    changes = dict(steps=25, log_every=5, preview_every=0, checkpoint_every=100)
    assert int(train(run, **changes).step) == 25
    assert read_config(run) == build(toy.default_config(), changes)


def test_a_folder_without_checkpoints_takes_any_config(tmp_path):
    workdir.claim(tmp_path, build(toy.default_config(), {'lr': 1.0}))
    workdir.claim(tmp_path, build(toy.default_config(), {'lr': 2.0}))
    assert read_config(tmp_path).lr == 2.0


@pytest.mark.parametrize(
    ('text', 'line'),
    [
        (None, 'not a run; it has no config.json'),
        ('{"steps": 1', 'config.json: damaged'),
        ('{"steps": 1}', 'config.json: damaged'),
        ('{"system": "fceswap"}', "config.json: system 'fceswap' does not exist"),
        ('{"system": "toy", "stepps": 1}', "config.json: config key 'stepps' does not exist; did you mean 'steps'?"),
        ('{"system": "toy"}', 'has no checkpoint yet'),
    ],
)
def test_a_folder_that_is_no_run_is_one_line(tmp_path, text, line):
    if text is not None:
        (tmp_path / 'config.json').write_text(text)
    with pytest.raises(InputError, match=line.replace('?', r'\?')) as error:
        load_params(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_full_disk_is_one_line_and_the_checkpoint_before_it_stays(run, monkeypatch, capsys):
    usage = shutil.disk_usage(run)
    monkeypatch.setattr(checkpoint.shutil, 'disk_usage', lambda path: usage._replace(free=100))
    with pytest.raises(InputError, match='a checkpoint cannot be written: the disk is full'):
        train(run, steps=40)
    assert 'Traceback' not in capsys.readouterr().err
    assert int(load_params(run).step) == 20


def test_a_save_that_fails_is_one_line(run, monkeypatch, capsys):
    def fail(self, step, **kw):
        raise ValueError('RESOURCE_EXHAUSTED: Error writing "x": No space left on device')

    monkeypatch.setattr(checkpoint.ocp.CheckpointManager, 'save', fail)
    with pytest.raises(InputError, match='the disk is full'):
        train(run, steps=40)


@pytest.mark.parametrize('what', ['row', 'event'])
def test_a_disk_that_fills_up_in_the_report_is_one_line_that_says_what_to_do(what, tmp_path, monkeypatch, capfd):
    def full(*args):
        if len(done) == 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        done.append(args)

    done = []
    places = {
        'row': (report.Report, 'row'),
        'event': (event_file_writer.EventsWriter, 'write_event'),
    }
    monkeypatch.setattr(*places[what], full)
    with pytest.raises(InputError, match=f'^{tmp_path}.*the disk is full; mend that and run the same command'):
        train(tmp_path)
    assert 'Traceback' not in capfd.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match=r'file/w: cannot be written'):
        train(tmp_path / 'file' / 'w')


def test_parameters_come_back_without_optimiser_and_frozen(whole):
    state = load_params(whole[1])
    assert (state.opt, state.frozen) == ({}, {})
    for name in ('params', 'ema'):
        for one, other in zip(jax.tree.leaves(getattr(state, name)), jax.tree.leaves(getattr(whole[0], name))):
            np.testing.assert_array_equal(one, other)


def test_a_state_of_many_kinds_comes_back(tmp_path):
    import jax.numpy as jnp

    params = {'net': {'a': jnp.ones(3), 'b': jnp.ones(2, jnp.bfloat16)}}
    aux = {'empty': {}, 'none': None, 'pair': (jnp.ones(2), ()), 'key': jax.random.key(4)}
    state = State(jnp.int32(7), params, {'net': toy.optimizer(toy.default_config()).init(params)}, {}, aux)
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(7, state, 1.0, {'next': 5})
    with Checkpoints(tmp_path) as checkpoints:
        again, position = checkpoints.restore(shapes.replace(horizon=state.horizon))
    assert position == {'next': 5}
    again = again.replace(horizon=state.horizon)  # never saved: the loop sets it
    assert jax.tree.structure(again) == jax.tree.structure(state)
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(state)):
        assert one.dtype == other.dtype
        assert bool((one == other).all())

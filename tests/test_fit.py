"""`--fit`: a batch that fits into memory, chosen before training by what the compiled step says that it takes."""

import functools
import json

import jax
import pytest
import toy_system as toy
from ml_collections import ConfigDict

from dfjax.apps.cli import main
from dfjax.apps.train import train_for
from dfjax.config import build
from dfjax.data import batches
from dfjax.errors import InputError
from dfjax.training import fit, loop, timed
from dfjax.training.workdir import read_config

BATCH = 2048
KB, MB = 2**10, 2**20


@pytest.fixture(autouse=True)
def toy_is_a_system(monkeypatch):
    for module in (batches, loop):
        monkeypatch.setattr(module, 'make_data', lambda cfg, *_: toy.resident(cfg))
    monkeypatch.setattr(loop, 'train', functools.partial(loop.train, progress=False))
    with toy.installed():
        yield
    timed.forget()


def config(**changes) -> ConfigDict:
    return build(toy.default_config(), {'batch_size': BATCH, 'steps': 4, 'preview_every': 0} | changes)


@functools.cache
def takes(batch: int) -> int:
    cfg = config(batch_size=batch)
    return fit.needed(timed.devices_of(cfg, toy.resident(cfg)))


def test_the_batch_falls_as_the_limit_does(capsys):
    chosen = []
    for limit in (8 * MB, 0.7 * takes(BATCH), 0.3 * takes(BATCH)):
        cfg, data = fit.fitted(config(), toy.resident(config()), limit)
        assert cfg.batch_size == data.batch_size and fit.needed(timed.devices_of(cfg, data)) <= limit
        chosen.append(cfg.batch_size)
    assert chosen[0] == BATCH and chosen == sorted(set(chosen), reverse=True) and chosen[-1] % jax.device_count() == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f'batch {BATCH}: ') and said[1].startswith(f'batch {BATCH} -> {chosen[1]}: ')


def test_blocks_are_recomputed_before_the_batch_is_halved(monkeypatch, capsys):
    tried = [(cfg.batch_size, cfg.remat) for cfg in fit.candidates(config(batch_size=16))]
    assert tried[:4] == [(16, False), (16, True), (8, False), (8, True)]
    assert tried[-1] == (jax.device_count(), True)
    assert all(cfg.remat for cfg in fit.candidates(config(batch_size=16, remat=True)))
    monkeypatch.setattr(fit, 'needed', lambda devices: (1 if devices.cfg.remat else 3) * devices.cfg.batch_size * MB)
    cfg, _ = fit.fitted(config(batch_size=16), toy.resident(config(batch_size=16)), 20 * MB)
    assert (cfg.batch_size, cfg.remat) == (16, True)
    assert 'batch 16, blocks recomputed: 0.02 of 0.02 GB' in capsys.readouterr().err


def test_what_a_compiler_refuses_does_not_fit(monkeypatch):
    def needed(devices) -> int:
        if devices.cfg.batch_size > 8:
            raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: ran out of memory in memory space hbm')
        return 5

    monkeypatch.setattr(fit, 'needed', needed)
    assert fit.fitted(config(batch_size=16), toy.resident(config(batch_size=16)), MB)[0].batch_size == 8


@pytest.mark.parametrize('limit', [KB, 8 * KB])  # less than the state, less than a step
def test_what_never_fits_is_refused_in_a_line(limit):
    few = config(batch_size=jax.device_count())
    assert KB < fit.state_bytes(timed.devices_of(few, toy.resident(few))) < 8 * KB < takes(few.batch_size)
    with pytest.raises(InputError, match=r'^even a batch of \d+ with .* takes 0.00 GB, and 0.00 .*smaller model') as no:
        fit.fitted(few, toy.resident(few), limit)
    assert '\n' not in str(no.value)


@pytest.mark.parametrize('text', ['', 'much', '0GB', '-1GB', '2', 'inf GB', 'saehd:laptop'])
def test_sizes_that_are_none(text):
    assert fit.read_size('1.5 GB') == 1.5 * 2**30 and fit.read_size('500mb') == 500 * MB
    with pytest.raises(InputError, match='give a size as 2GB'):
        fit.read_size(text)


def test_a_run_keeps_what_was_chosen(tmp_path, monkeypatch):
    """Its step stays below the limit, and going on with it changes nothing."""
    limit = f'{0.7 * takes(BATCH) / MB:.4f}MB'
    assert train_for(config(), tmp_path, None, None, limit) == 4
    cfg = read_config(tmp_path)
    assert cfg.batch_size < BATCH and takes(cfg.batch_size) < fit.read_size(limit)
    assert train_for(config(**fit.kept(cfg)), tmp_path, 6, None, '1MB') == 6
    assert read_config(tmp_path).batch_size == cfg.batch_size


def test_it_goes_with_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(timed, 'steps_for', lambda cfg, data, seconds: data.batch_size // cfg.batch_size)
    assert train_for(config(), tmp_path, None, 60, True) == 1


def test_without_a_size_it_is_what_is_at_hand(monkeypatch):
    monkeypatch.setattr(fit, 'free_memory', lambda: 8e9 + fit.OWN)
    assert fit.at_hand() == 6e9
    assert fit.fitted(config(), toy.resident(config()))[0].batch_size == BATCH


@pytest.mark.whole
def test_the_command_and_its_repetition(tmp_path, monkeypatch, capsys):
    monkeypatch.undo()
    words = ['train', 'segment:smoke', '-o', str(tmp_path / 'w'), '--steps', '2', '--config.batch_size=4', '--json']
    assert main([*words, '--fit', '8GB']) == 0
    assert main([*words, '--fit', '1MB', '--steps', '3']) == 0  # fits what was chosen already
    assert json.loads(capsys.readouterr().out.splitlines()[-1])['steps'] == 3
    assert main(['train', 'segment:smoke', '-o', str(tmp_path / 'new'), '--fit', '0.01MB']) == 2
    assert not (tmp_path / 'new').exists()

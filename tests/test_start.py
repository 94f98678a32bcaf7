"""What is done before the first step of a run: nothing twice, and nothing that a step has to wait for."""

import logging
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_system as toy
from jax.experimental.compilation_cache import compilation_cache
from toy_training import config

from dfjax.ops.image import to_uint8
from dfjax.training import loop, parallel, timed
from dfjax.training.report import Report

pytestmark = pytest.mark.usefixtures('toy_is_a_system')

LEAST = 'jax_persistent_cache_min_compile_time_secs'
HITS, MISSES = '/jax/compilation_cache/cache_hits', '/jax/compilation_cache/cache_misses'
events: list[str] = []  # of JAX, in this process
jax.monitoring.register_event_listener(lambda name, **_: events.append(name))


@pytest.mark.parametrize('make_data', [toy.resident, toy.Stream])
@pytest.mark.parametrize('way', ['jit', 'pmap'])
def test_the_step_is_compiled_once_whatever_it_is_asked_for(tmp_path, monkeypatch, caplog, way, make_data):
    """For the time of a step, the run, and the one that goes on; and traced once where one trace serves both."""
    traced, step = [], toy.step
    monkeypatch.setattr(toy, 'step', lambda *args: traced.append(threading.current_thread()) or step(*args))
    cfg = config(steps=12, parallel=way)
    data = make_data(cfg)
    jax.config.update('jax_log_compiles', True)
    try:
        with caplog.at_level(logging.WARNING, 'jax'):
            timed.steps_for(cfg, data, 0.1)
            loop.train(cfg, tmp_path, data=data, progress=False)
    finally:
        jax.config.update('jax_log_compiles', False)
    compiled = [r.message for r in caplog.records if 'XLA compilation of jit(advance)' in r.message]
    assert len(compiled) == 1
    assert len(traced) == 1 if way == 'jit' else len(traced) <= 2
    assert threading.main_thread() not in traced


def test_a_second_start_compiles_nothing(tmp_path):
    """Another run of the same config, of another length, in a process that has nothing but the cache's folder."""
    before = {name: getattr(jax.config, name) for name in ('jax_compilation_cache_dir', LEAST)}
    jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'cache'))
    jax.config.update(LEAST, 0.0)
    try:
        for steps in (12, 20):
            jax.clear_caches()
            compilation_cache.reset_cache()
            events.clear()
            cfg = config(steps=steps)
            state = loop.train(cfg, tmp_path / f'{steps}', data=toy.resident(cfg), progress=False)
            assert int(state.step) == steps
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
    assert HITS in events and MISSES not in events


@pytest.mark.parametrize('make_data', [toy.resident, toy.Stream])
def test_the_first_preview_is_of_the_fresh_state_and_waits_for_a_step(tmp_path, monkeypatch, make_data):
    order, shown, advance = [], {}, parallel.Devices.advance

    def note(self, step, picture, keep=True):
        order.append('preview')
        shown[step] = picture[4, 4, 0]

    value = lambda params: jnp.tanh(params['net']['w'].sum())  # which every step changes
    monkeypatch.setattr(toy, 'preview', lambda cfg, state, batch: jnp.full((2, 8, 8, 3), value(state.params)))
    monkeypatch.setattr(Report, 'preview', note)
    monkeypatch.setattr(parallel.Devices, 'advance', lambda *args: order.append('step') or advance(*args))
    cfg = config(steps=2, lr=0.5)
    fresh = parallel.Devices(cfg, toy, make_data(cfg)).init().params
    want = to_uint8(np.float32(value(fresh)))
    last = loop.train(cfg, tmp_path, data=make_data(cfg), progress=False)
    assert order[:2] == ['step', 'preview'] and list(shown) == [0, 2]
    assert shown == {0: want, 2: to_uint8(np.float32(value(last.params)))} and shown[0] != shown[2]

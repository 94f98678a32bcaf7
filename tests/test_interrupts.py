"""Signals: they wait where stopping is not safe, and none is lost. Whole programs are stopped at random moments."""

import gc
import signal
import subprocess
import sys
import time

import pytest
from videos import chirp, make_with_sound

from dfjax import interrupts
from dfjax.interrupts import check, deferred

pytestmark = pytest.mark.whole


@pytest.fixture
def handled():
    """SIGTERM as `watch` has it, for the test alone."""
    before, hook = [signal.getsignal(number) for number in interrupts.SIGNALS], sys.unraisablehook
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background start by ignoring it
    interrupts.watch()
    yield
    for number, handler in zip(interrupts.SIGNALS, before):
        signal.signal(number, handler)
    sys.unraisablehook = hook


@pytest.mark.parametrize('number', interrupts.SIGNALS)
def test_a_signal_waits_for_the_next_check(handled, number):
    done = []
    with pytest.raises(KeyboardInterrupt), deferred():
        check()
        signal.raise_signal(number)
        done.append('after the signal')
        with deferred():  # one block inside another changes nothing
            done.append('inside')
        check()
        done.append('never')
    assert done == ['after the signal', 'inside']
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)  # handlers are as before


def test_a_signal_that_no_check_met_is_acted_upon_at_the_end(handled):
    done = []
    with pytest.raises(KeyboardInterrupt):
        with deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append('to its end')
        done.append('never')
    assert done == ['to its end']


def test_a_second_signal_does_not_wait(handled):
    with pytest.raises(KeyboardInterrupt), deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail('not reached')


def test_handlers_of_the_caller_are_asked(handled):
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    with deferred():
        signal.raise_signal(signal.SIGINT)
        assert not seen
        check()
        assert seen == [signal.SIGINT]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with deferred():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with pytest.raises(SystemExit) as error, deferred():
        signal.raise_signal(signal.SIGTERM)
    assert error.value.code == 128 + signal.SIGTERM


def test_an_interrupt_lost_in_a_callback_comes_again(handled):
    met = []

    def callback(phase, info):
        if not met:
            met.append(phase)
            signal.raise_signal(signal.SIGTERM)
            met.append('the exception is raised before this')

    gc.callbacks.append(callback)
    try:
        with pytest.raises(KeyboardInterrupt):
            gc.collect()
            time.sleep(5)
    finally:
        gc.callbacks.remove(callback)
    assert met == ['start']


CONVERSIONS = """
import os, pathlib, random, signal, sys, threading, time
import jax.numpy as jnp  # its callback of the garbage collector is where interrupts were lost
import numpy as np
from dfjax import interrupts
from dfjax.inference.frames import Job, run_job
from dfjax.inference.plan import plan_outputs

source, folder, count = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
interrupts.watch()

def change(pictures):
    return [255 - np.asarray(jnp.asarray(rgb)) for rgb in pictures]

def convert():
    run_job(Job('', '', change, 4), plan_outputs(source, folder / 'out.mp4', force=True))

convert()
start = time.monotonic()
convert()
whole, random = time.monotonic() - start, random.Random(0)
for _ in range(count):
    timer = threading.Timer(random.uniform(0, 0.8 * whole), os.kill, (os.getpid(), signal.SIGTERM))
    try:
        timer.start()
        while True:  # until it is stopped: a signal that is lost never ends this
            convert()
    except KeyboardInterrupt:
        pass
    assert [path.name for path in folder.iterdir()] == ['out.mp4'], list(folder.iterdir())
    assert threading.active_count() <= 2, threading.enumerate()  # this one and the timer's
print('done')
"""


def stop_conversions(tmp_path, count: int) -> None:
    source = make_with_sound(tmp_path / 'in.mkv', 'aac', chirp(48000), 48000)
    (tmp_path / 'out').mkdir()
    command = [sys.executable, '-c', CONVERSIONS, source, tmp_path / 'out', str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 5 * count)
    assert done.returncode == 0 and done.stdout == 'done\n', done.stderr[-2000:]


def test_conversions_stop_at_random_moments(tmp_path):
    stop_conversions(tmp_path, 25)


@pytest.mark.slow
def test_conversions_stop_at_very_many_random_moments(tmp_path):
    stop_conversions(tmp_path, 600)

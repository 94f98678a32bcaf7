"""How many steps fit into a time; the programs compiled to find out are kept for the training that follows."""

import time
from typing import Any

from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.systems import load_system
from dfjax.training.parallel import Devices, enable_compilation_cache, memory_errors
from dfjax.training.workdir import FREE_KEYS

SHARE = 0.92  # share of the time that is planned for steps: the rest is for previews and checkpoints

_kept: list = []  # devices, and what their programs depend on


def steps_for(cfg: ConfigDict, data: Any, seconds: float) -> int:
    """How many steps of `train` fit into so many seconds from now, compilation included.

    Times a few steps and leaves a margin. Set `cfg.steps` to the result before training: schedules follow it, and the
    run's folder remembers it (`workdir.read_config`), so that a resumed run keeps it. What is compiled here is kept for
    the `train` of the same data that follows.
    """
    started = time.monotonic()
    with memory_errors(cfg):
        devices = devices_of(cfg, data)
        position = data.get_state()
        try:
            state, metrics = devices.blank(), devices.zeros()
            state, metrics = devices.advance(state, metrics, devices.feed(1), 1)
            devices.read(metrics)
            done, began = 0, time.monotonic()
            while done < 3 or time.monotonic() - began < min(5.0, seconds / 50):
                state, metrics = devices.advance(state, metrics, devices.feed(1), 1)
                devices.read(metrics)
                done += 1
        finally:
            data.set_state(position)  # what was timed is not to be missing from the run
    each = (time.monotonic() - began) / done
    left = seconds - (time.monotonic() - started)
    return max(1, int(SHARE * left / each))


def devices_of(cfg: ConfigDict, data: Any) -> Devices:
    """The devices with the programs of a config; those of the call before, if it had the same, but for `steps`."""
    enable_compilation_cache()
    of_programs = build(cfg, dict.fromkeys(FREE_KEYS - {'parallel'}, 1))
    if not (_kept and _kept[0].data is data and _kept[1] == of_programs):
        _kept[:] = Devices(cfg, load_system(cfg.system), data), of_programs
    _kept[0].cfg = cfg
    return _kept[0]


def forget() -> None:
    """Lets go of what is kept."""
    _kept.clear()

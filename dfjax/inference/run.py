"""A training run, opened for use: its config, its system and the parameters that inference uses."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from dfjax.errors import InputError
from dfjax.systems import load_system
from dfjax.training.checkpoint import load_params, read_config


@dataclass(frozen=True, eq=False)
class Run:
    """What `load_run` gives.

    Attributes:
        path: the run's folder.
        cfg: its config, complete.
        system: the module of its system.
        params: by net name, averaged over the last steps where the system averages them.
        step: of the checkpoint that they are from.
    """

    path: Path
    cfg: ConfigDict
    system: ModuleType
    params: dict[str, Any]
    step: int


def load_run(workdir: Path | str, system: str | None = None) -> Run:
    """Opens the run in `workdir`, at its newest good checkpoint.

        run = load_run('runs/anna')
        faces, masks = run.system.swap(run.cfg, run.params, pictures)

    Args:
        workdir: the folder that training wrote.
        system: the system that is needed, if only one will do.

    Raises:
        InputError: no run there, one of another system, without a checkpoint, or with damaged ones only.
    """
    cfg = read_config(workdir)
    if system is not None and cfg.system != system:
        raise InputError(f'{workdir}: a run of system {cfg.system!r}; this needs one of {system!r}')
    state = load_params(workdir)
    return Run(Path(workdir), cfg, load_system(cfg.system), {**state.params, **state.ema}, int(state.step))

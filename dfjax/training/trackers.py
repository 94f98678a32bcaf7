"""Rows and previews of a run for Weights & Biases and MLflow, where those are installed and asked for by name."""

import importlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dfjax.config import flatten
from dfjax.errors import InputError

KINDS = ('wandb', 'mlflow')
PROJECT = 'dfjax'


def check_trackers(names: Sequence[str]) -> None:
    """Raises InputError for a tracker that is not known or not installed."""
    for name in names:
        if name not in KINDS:
            raise InputError(f'--log {name}: give {" or ".join(KINDS)}')
        if importlib.util.find_spec(name) is None:
            raise InputError(f'--log {name}: is not installed; pip install {name}')


class Trackers:
    """Sends what a run reports to those that are named: a context manager.

    A run that goes on is the same one there: it is known by its folder.

    Args:
        names: of KINDS.
        workdir: the run's folder, whose name is the run's.
        cfg: sent with it.
    """

    def __init__(self, names: Sequence[str], workdir: Any, cfg: ConfigDict):
        check_trackers(names)
        self._wandb = self._mlflow = None
        name, keys = re.sub(r'[^\w.-]', '_', workdir.name), dict(flatten(cfg))
        if 'wandb' in names:
            self._wandb = importlib.import_module('wandb')
            self._wandb.init(project=PROJECT, name=name, id=name, resume='allow', config=keys)
        if 'mlflow' in names:
            self._mlflow = importlib.import_module('mlflow')
            self._mlflow.set_experiment(PROJECT)
            found = self._mlflow.search_runs(
                filter_string=f"tags.mlflow.runName = '{name}'", output_format='list', max_results=1
            )
            self._mlflow.start_run(run_id=found[0].info.run_id) if found else self._mlflow.start_run(run_name=name)

    def __enter__(self) -> 'Trackers':
        return self

    def __exit__(self, *error: object) -> None:
        for module, end in ((self._wandb, 'finish'), (self._mlflow, 'end_run')):
            if module is not None:
                getattr(module, end)()

    def row(self, step: int, row: dict[str, float]) -> None:
        """The figures of a row."""
        values = {name: value for name, value in row.items() if name != 'step'}
        if self._wandb is not None:
            self._wandb.log(values, step=step)
        if self._mlflow is not None:
            self._mlflow.log_metrics(values, step=step)

    def picture(self, step: int, picture: np.ndarray) -> None:
        """A preview, uint8 [H, W, 3]."""
        if self._wandb is not None:
            self._wandb.log({'preview': self._wandb.Image(picture)}, step=step)
        if self._mlflow is not None:
            self._mlflow.log_image(picture, f'previews/{step:08d}.png')

"""Rows and previews of a run for others: Weights & Biases and MLflow by name, where those are installed, or one's own.

class Mine:
    def row(self, step, values): ...           the means of a row of metrics.jsonl, by name
    def picture(self, step, picture): ...      a preview, uint8 [H, W, 3]
    def close(self): ...                       the training is over

dfjax.train('vae:laptop', 'runs/vae', log=['wandb', Mine()])
"""

import importlib
import importlib.util
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dfjax.config import flatten
from dfjax.data.media.progress import say
from dfjax.errors import InputError
from dfjax.foreign import said

PROJECT = 'dfjax'


def check_trackers(trackers: Sequence[Any]) -> None:
    """Raises InputError for a name of a tracker that is not known or not installed."""
    for name in (tracker for tracker in trackers if isinstance(tracker, str)):
        if name not in KINDS:
            raise InputError(f'--log {name}: give {" or ".join(KINDS)}')
        if importlib.util.find_spec(name) is None:
            raise InputError(f'--log {name}: is not installed; pip install {name}')


class Trackers:
    """Sends what a run reports to those that are named: a context manager.

    A run that goes on is the same one there: it is known by its folder's name. A tracker that fails is told of once and
    left out from then on: no training ends because a server is away.

    Args:
        trackers: names of KINDS, and objects as above.
        workdir: the run's folder.
        cfg: sent with it.

    Raises:
        InputError: as `check_trackers`; one that cannot begin.
    """

    def __init__(self, trackers: Sequence[Any], workdir: Any, cfg: ConfigDict):
        check_trackers(trackers)
        run = re.sub(r'[^\w.-]', '_', workdir.name)
        self._all = [(type(own).__name__, own) for own in trackers if not isinstance(own, str)]
        for name in (tracker for tracker in trackers if isinstance(tracker, str)):
            try:
                self._all.append((name, KINDS[name](run, dict(flatten(cfg)))))
            except Exception as error:  # a service may raise anything
                raise InputError(f'--log {name}: cannot begin ({said(error)})') from error

    def __enter__(self) -> 'Trackers':
        return self

    def __exit__(self, *error: object) -> None:
        self._tell('close')

    def row(self, step: int, row: dict[str, float]) -> None:
        """The figures of a row."""
        self._tell('row', step, {name: value for name, value in row.items() if name != 'step'})

    def picture(self, step: int, picture: np.ndarray) -> None:
        """A preview, uint8 [H, W, 3]."""
        self._tell('picture', step, picture)

    def _tell(self, what: str, *words: Any) -> None:
        for named in list(self._all):
            name, tracker = named
            try:
                getattr(tracker, what)(*words)
            except Exception as error:
                say(f'--log {name}: {said(error)}; nothing more is sent there')
                self._all.remove(named)


class _Wandb:
    def __init__(self, run: str, keys: dict[str, Any]):
        self._module = importlib.import_module('wandb')
        self._module.init(project=PROJECT, name=run, id=run, resume='allow', config=keys)

    def row(self, step: int, values: dict[str, float]) -> None:
        self._module.log(values, step=step)

    def picture(self, step: int, picture: np.ndarray) -> None:
        self._module.log({'preview': self._module.Image(picture)}, step=step)

    def close(self) -> None:
        self._module.finish()


class _Mlflow:
    def __init__(self, run: str, keys: dict[str, Any]):
        self._module = importlib.import_module('mlflow')
        self._module.set_experiment(PROJECT)
        named = f"tags.mlflow.runName = '{run}'"
        before = self._module.search_runs(filter_string=named, output_format='list', max_results=1)
        if before:
            self._module.start_run(run_id=before[0].info.run_id)
        else:
            self._module.start_run(run_name=run)
            self._module.log_params(keys)

    def row(self, step: int, values: dict[str, float]) -> None:
        self._module.log_metrics(values, step=step)

    def picture(self, step: int, picture: np.ndarray) -> None:
        self._module.log_image(picture, f'previews/{step:08d}.png')

    def close(self) -> None:
        self._module.end_run()


KINDS = {'wandb': _Wandb, 'mlflow': _Mlflow}

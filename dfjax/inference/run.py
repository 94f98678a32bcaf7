"""A run, opened for use: its config, its system and the parameters that inference uses."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from dfjax.config import build
from dfjax.errors import InputError
from dfjax.systems import load_system, systems_with
from dfjax.training.restore import load_params, read_nets
from dfjax.training.workdir import read_config


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """What `load_run` gives.

    Attributes:
        path: the run's folder.
        cfg: its config, complete.
        system: the module of its system.
        params: by net name, averaged over the last steps where the system averages them; and what else its functions
            take, by its name.
        step: of the checkpoint that they are from; 0 if imported.
        stats: the running averages of batch normalisation, by the names of the nets that have them.
    """

    path: Path
    cfg: ConfigDict
    system: ModuleType
    params: dict[str, Any]
    step: int
    stats: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def frozen(self) -> Any:
        """What its system's functions take beside parameters, `frozen(cfg)`: read when asked for, once."""
        return self.system.frozen(self.cfg) if hasattr(self.system, 'frozen') else {}

    @cached_property
    def _latents(self) -> Any:
        from dfjax.inference.latents import Latents

        check_can(self.path, self.cfg.system, ('encode', 'decode'))
        return Latents(self)

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """Codes float32 [N, L] of uint8 pictures [N, S, S, 3], by a system that has codes, as a VAE.

        Raises:
            InputError: its system has none (names those that have), here as in `decode` and `sample`; another shape.
        """
        latents, side = self._latents, self.cfg.data.size
        if pictures.dtype != np.uint8 or pictures.shape[1:] != (side, side, 3) or not len(pictures):
            raise InputError(f'encode: {pictures.dtype} {pictures.shape}; give uint8 [N, {side}, {side}, 3]')
        return latents.encode(pictures)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """uint8 pictures [N, S, S, 3] of codes [N, L]."""
        return self._latents.decode(codes)

    def sample(self, count: int, seed: int = 0, **options: Any) -> np.ndarray:
        """uint8 pictures [count, S, S, 3] out of noise, by a system that makes some; the n-th follows from (seed, n).

        Args:
            options: of `inference.sample.make`, or, by a diffusion model, of `diffuse`.
        """
        from dfjax.inference import sample

        check_can(self.path, self.cfg.system, 'noise_shape')
        if count < 1:
            raise InputError(f'sample {count}: give 1 or more')
        noise = sample.draw_noise(self, count, seed)
        if hasattr(self.system, 'from_noise'):
            return sample.make(self, noise, **options)
        return sample.diffuse(self, noise, seed=seed, **options)

    def __repr__(self) -> str:
        return f'Run({str(self.path)!r}, {self.cfg.system}, step {self.step}, {", ".join(self.params)})'

    def variables(self, net: str) -> dict[str, Any]:
        """What the module of a net is applied with."""
        stats = {'batch_stats': self.stats[net]} if net in self.stats else {}
        return {'params': self.params[net], **stats}


def load_run(workdir: Path | str, can: str | Sequence[str] = ()) -> Run:
    """Opens the run in `workdir`: at its newest good checkpoint, or as `dfjax import` wrote it.

        run = load_run('runs/anna')
        faces, masks = run.system.swap(run.cfg, run.params, run.frozen, pictures, landmarks)
        codes = load_run('runs/vae').encode(pictures)

    Args:
        workdir: the folder that training or the import wrote. An imported one has the nets that were given, no more.
        can: what is needed of its system: the name of a function of its module, as 'swap', or of several.

    Raises:
        InputError: no run there, one whose system cannot do what is needed (names those that can), one without a
            checkpoint, or with damaged ones only.
    """
    workdir = Path(workdir)
    imported = (workdir / 'nets').is_dir() and not (workdir / 'checkpoints').is_dir()
    cfg = read_config(workdir)
    module = load_system(cfg.system)
    check_can(workdir, cfg.system, can)
    if imported:
        nets = read_nets(workdir / 'nets')
        params = {name: tree['params'] for name, tree in nets.items()}
        stats = {name: tree['batch_stats'] for name, tree in nets.items() if 'batch_stats' in tree}
        return Run(workdir, cfg, module, params | ({'batch_stats': stats} if stats else {}), 0, stats)
    state = load_params(workdir)
    params = {**(state.aux if hasattr(module, 'begin') else {}), **state.params, **state.ema}
    return Run(workdir, cfg, module, params, int(state.step), params.get('batch_stats', {}))


def check_can(workdir: Path | str, system: str, can: str | Sequence[str], what: str = '') -> None:
    """Raises InputError unless a run's system has the functions `can`; names the systems that have them.

    Args:
        what: needs them, for the message: an option as '--mask'.
    """
    needed = [can] if isinstance(can, str) else list(can)
    if not all(hasattr(load_system(system), function) for function in needed):
        able = ', '.join(systems_with(needed)) or 'none'
        line = f'{workdir}: a run of system {system!r}, which cannot {" and ".join(needed)}; can: {able}'
        raise InputError(f'{what}: {line}' if what else line)


def with_morph(run: Run, share: float) -> Run:
    """The run, its swaps by that share the person put in: 0 is the one in the video, 1 the other.

    Raises:
        InputError: a run whose system swaps all or nothing (names those that can), a share that is none.
    """
    check_can(run.path, run.cfg.system, 'morph', '--morph')
    return replace(run, cfg=build(run.cfg, {'morph': share}))

"""All nets of a run as one function of arrays, for `dfjax export` and `dfjax apply`: --net animate, --net lipsync."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from dfjax.inference.run import Run
from dfjax.ops.mel import BANDS, STEPS
from dfjax.ops.motion import relative_motion
from dfjax.systems.state import Net, arrays


@dataclass(frozen=True)
class Whole:
    """Takes the place of a module: `apply(params, *arrays)`, where `params` are those of all nets."""

    apply: Callable


def whole_nets(run: Run, cfg) -> dict[str, Net]:
    """What a run's system can do as a whole, by the name of the function that does it.

    'animate': pictures 'source' as they are when a driver goes from 'initial' to 'driving', as far as it goes itself.
    'lipsync': pictures whose mouths say 'mel', see `systems.state`.
    """
    system, size, found = run.system, cfg.data.size if 'data' in cfg else 0, {}
    if hasattr(system, 'animate') and all(net in run.params for net in system.ANIMATES):

        def animate(params: dict, source: jax.Array, driving: jax.Array, initial: jax.Array) -> jax.Array:
            own, now, before = (system.keypoints(cfg, params, x) for x in (source, driving, initial))
            return system.animate(cfg, params, source, own, relative_motion(own, now, before))

        inputs = {name: arrays(1, size, size, cfg.model.channels) for name in ('source', 'driving', 'initial')}
        found['animate'] = Net(Whole(animate), inputs)
    if hasattr(system, 'lipsync') and 'g' in run.params:
        inputs = {name: arrays(1, size, size, cfg.model.g.outputs) for name in ('picture', 'reference')}
        lipsync = lambda params, *x: system.lipsync(cfg, params, *x)
        found['lipsync'] = Net(Whole(lipsync), {'mel': arrays(1, BANDS, STEPS, 1)} | inputs)
    return found

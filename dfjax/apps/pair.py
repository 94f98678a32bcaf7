"""One person put in for another, as `dfjax swap` needs it: the config, and the faces of both."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dfjax.errors import InputError
from dfjax.inference.settings import Settings


@dataclass(frozen=True)
class Pair:
    """Who is put in for whom.

    Attributes:
        face: videos, pictures or folders that show who is put in, or one face set.
        person: whose face is replaced: a picture, or a number that `dfjax people` gives; None: who is there most.
        workdir: where faces and training are kept, absolute: the config says where the faces are, from any folder.
    """

    face: Sequence[Path | str]
    person: Path | str | int | None
    workdir: Path


def config_of(
    pair: Pair, config: str | None, overrides: Sequence[str], settings: Settings, steps: int | None, fit: bool | str
):
    """The config of the run in the pair's folder, or of a new one.

    Raises:
        InputError: it cannot swap; a run that is there has another; a mask of `settings` that it cannot give; no steps
            for a run without references.
    """
    from dfjax.apps.job import suited
    from dfjax.inference.swap import check_masks
    from dfjax.training.fit import kept
    from dfjax.training.workdir import last_step, read_config

    done = last_step(pair.workdir)
    cfg = read_config(pair.workdir) if done else _new(pair, config, overrides)
    if done and (config is not None or overrides):
        wanted = suited(_new(pair, config, overrides), overrides)
        _check_same(cfg, wanted, pair.workdir, kept(cfg) if fit else {})
    check_masks(settings, cfg)
    if steps == 0 and not cfg.get('references', {}).get('count'):
        raise InputError('--instant: a run without references knows nobody before it is trained; give --steps')
    return cfg


def config_name(name: str | None = None) -> str:
    """FILE:VARIANT of a run that swaps: see `config.full_name`; also :VARIANT of the first system that can swap."""
    from dfjax.config import full_name
    from dfjax.systems import systems_with

    name = name or ':'
    return full_name(systems_with(['swap'])[0] + name if name.startswith(':') else name)


def _new(pair: Pair, name: str | None, overrides: Sequence[str]):
    """The config of a new run and the face sets of this job."""
    from dfjax.config import build, load_config
    from dfjax.data.media.inputs import kind
    from dfjax.systems import systems_with

    name = config_name(name)
    cfg = load_config(name, overrides)
    if cfg.system not in (able := systems_with(['swap'])):
        raise InputError(f'{name}: of system {cfg.system!r}, which cannot swap; can: {", ".join(able)}')
    kinds = [kind(path) for path in pair.face]
    if 'faceset' in kinds and len(pair.face) > 1:
        raise InputError(f'{pair.face[kinds.index("faceset")]}: is a face set; give it alone')
    side_b = str(Path(pair.face[0]).resolve()) if kinds == ['faceset'] else str(pair.workdir / 'faces_b')
    return build(cfg, {'data.a': str(pair.workdir / 'faces_a'), 'data.b': side_b})


def _check_same(cfg, wanted, workdir: Path, chosen: dict) -> None:
    """Raises InputError where a run goes on with another config than the one that is asked for, but for `chosen`."""
    from dfjax.config import flatten

    before, now = dict(flatten(cfg)), dict(flatten(wanted)) | chosen
    others = sorted(key for key in before.keys() | now.keys() if key != 'steps' and before.get(key) != now.get(key))
    if others:
        raise InputError(
            f'{workdir}: its training began with another {", ".join(others[:3])} than --config says; leave '
            '--config out to go on with it, or give another --workdir'
        )


def extract_put_in(pair: Pair, cfg, progress: bool) -> None:
    """Makes the face set of who is put in, where it is not there yet."""
    from dfjax.apps.extract import extract_faces
    from dfjax.apps.job import looked_at, stored_side

    if not Path(cfg.data.b).is_dir():
        analyses = [looked_at(path, progress) for path in pair.face]
        size, look = stored_side(analyses, cfg), {'face_type': cfg.data.face_type, 'progress': progress}
        extract_faces(pair.face, cfg.data.b, analyses=analyses, size=size, **look)


def extract_replaced(cfg, into: Path | str, analysis, progress: bool) -> dict[str, int]:
    """Makes the face set of who is replaced, whose faces `analysis` has, where it is not there yet; returns the number
    of faces of each side."""
    from dfjax.apps.extract import extract_faces
    from dfjax.data.faces.faceset import load_faceset
    from dfjax.data.kinds import stored_size

    if not Path(cfg.data.a).is_dir():
        size, look = stored_size(cfg.data), {'face_type': cfg.data.face_type, 'progress': progress}
        extract_faces([into], cfg.data.a, analyses=[analysis], size=size, **look)
    found = {side: len(load_faceset(cfg.data[side])) for side in ('a', 'b')}
    if progress:
        print(f'faces: {found["a"]} to be replaced, {found["b"]} of the person put in', file=sys.stderr)
    return found


def searched(into: Path | str, path: Path, progress: bool, **whom):
    """The analysis of `into`, of `analyse` with arguments `whom`, kept at `path` and found again there."""
    from dfjax.data.faces.analyse import analyse, load_analysis
    from dfjax.data.media.progress import bar

    if not path.is_file():
        with bar(f'faces of {Path(into).name}', progress) as tick:
            analyse(into, progress=tick, **whom).save(path)
    return load_analysis(path)

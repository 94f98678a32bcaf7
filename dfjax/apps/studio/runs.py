"""The runs in the studio's folder: found by their config.json, told by what is kept beside it."""

import contextlib
import json
import re
import shutil
from pathlib import Path

from dfjax.apps.glance import newest_preview
from dfjax.apps.studio.store import HIDDEN, is_locked, read_json
from dfjax.errors import InputError

DEEPEST = 3  # folders between DIR and a run
MOST = 500
TIMES = ('seconds', 'steps_per_second', 'examples_per_second', 'data_wait', 'steps_per_dispatch')  # columns: no losses


def find_runs(folder: Path) -> dict[str, Path]:
    """Runs by name, which is their path within the folder; the newest first. Links are not followed."""
    found, level = {}, [folder]
    for _ in range(DEEPEST):
        below = []
        for path in level:
            with contextlib.suppress(OSError):
                below += [p for p in path.iterdir() if p.is_dir() and not p.is_symlink() and p.name[0] != '.']
        runs = {path for path in below if (path / 'config.json').is_file()}
        found |= {path.relative_to(folder).as_posix(): path for path in runs}
        level = [path for path in below if path not in runs and path.name != HIDDEN]
    newest = sorted(found, key=lambda name: -_changed(found[name]))[:MOST]
    return {name: found[name] for name in newest}


def told(name: str, path: Path) -> dict:
    """What the page shows of a run in a list."""
    config = read_json(path / 'config.json')
    steps = _numbers(path / 'checkpoints')
    previews = _previews(path)
    data = config.get('data') if isinstance(config.get('data'), dict) else {}
    return {
        'name': name,
        'system': str(config.get('system', '?')),
        'step': max(steps, default=0),
        'steps': config.get('steps') if isinstance(config.get('steps'), int) else None,
        'imported': (path / 'nets').is_dir(),
        'previews': [step for step, _ in previews],
        'preview': _written(newest_preview(path)),
        'changed': _changed(path),
        'size': data.get('size') if isinstance(data.get('size'), int) else None,
        'batch': config.get('batch_size') if isinstance(config.get('batch_size'), int) else None,
        'consent': (path / 'consent.txt').is_file(),
        'job': bool(read_json(path / 'job.json')),
    }


def preview_of(path: Path, step: int | None) -> Path:
    """The sheet of a step, or the newest.

    Raises:
        InputError: there is none.
    """
    found = newest_preview(path) if step is None else dict(_previews(path)).get(step)
    if found is None:
        raise InputError('There is no such preview.')
    return found


def remove(name: str, path: Path) -> None:
    """Deletes a run for good.

    Raises:
        InputError: it is no run, or another process is at work there.
    """
    if not (path / 'config.json').is_file():
        raise InputError(f'{name}: not a run.')
    if (path / '.lock').exists() and is_locked(path / '.lock'):
        raise InputError(f'{name}: is being trained; stop that first.')
    shutil.rmtree(path)


def metrics_of(run: Path, most: int = 240) -> dict[str, list]:
    """{'step': [...], and each figure: [...]} of a run, thinned out to `most` points.

    Of a file of more than 64 MB only the end is read: that many rows are not a curve that anybody can see.
    """
    rows = []
    with contextlib.suppress(OSError), (run / 'metrics.jsonl').open('rb') as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - (64 << 20), 0))
        for line in file:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict) and isinstance(row.get('step'), int):
                    rows.append(row)
    last = rows[-1:]
    rows = rows[:: max(1, -(-len(rows) // most))]
    rows += [row for row in last if row is not rows[-1]]
    names = [name for name, value in (rows[-1] if rows else {}).items() if isinstance(value, int | float)]
    names = [name for name in names if name != 'step' and name not in TIMES]
    curves = {name: [_finite(row.get(name)) for row in rows] for name in ('steps_per_second', *names)}
    return {'step': [row['step'] for row in rows]} | curves


def _finite(value: object) -> float | None:
    return value if isinstance(value, int | float) and abs(value) < 1e30 else None


def _previews(path: Path) -> list[tuple[int, Path]]:
    """(step, sheet), in order."""
    found = []
    with contextlib.suppress(OSError):
        found = [
            (int(m[1]), p) for p in (path / 'previews').iterdir() if (m := re.fullmatch(r'(\d{1,18})\.jpg', p.name))
        ]
    return sorted(found)


def _written(path: Path | None) -> float | None:
    """Seconds since 1970 at which a file was written, None without one."""
    with contextlib.suppress(OSError):
        return path.stat().st_mtime if path else None
    return None


def _numbers(path: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(p.name) for p in path.iterdir() if re.fullmatch(r'\d{1,18}', p.name)]
    return []


def _changed(path: Path) -> float:
    """Seconds since 1970 of the newest of what a training writes."""
    times = []
    for name in ('metrics.jsonl', 'config.json', 'checkpoints'):
        with contextlib.suppress(OSError):
            times.append((path / name).stat().st_mtime)
    return max(times, default=0.0)

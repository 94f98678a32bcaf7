"""What the folder of a run says of itself, read without JAX and while it trains: for `runs`, `preview` and `watch`."""

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfjax.errors import InputError
from dfjax.foreign import parse, read_json

NEWEST = 20  # rows that the rate is the mean of
DEEPEST = 4  # folders under the one that is searched
QUIET = 4  # times the seconds of a row, after which a run that says nothing has stopped


@dataclass(frozen=True)
class Glance:
    """A run as it stands.

    Attributes:
        path: its folder.
        system: of the run.
        size: of its pictures, None where it has none.
        step, steps: done, and planned.
        saved: the step of the newest checkpoint.
        rows: those of metrics.jsonl.
        preview: the newest, None before the first.
        quiet: seconds since it last wrote.
    """

    path: Path
    system: str
    size: int | None
    step: int
    steps: int
    saved: int
    rows: list[dict[str, Any]]
    preview: Path | None
    quiet: float

    @property
    def rate(self) -> float:
        """Steps a second, of the newest rows; 0 before the first."""
        newest = [row for row in self.rows if row.get('seconds')][-NEWEST:]
        speeds = sorted(row.get('steps_per_second', 0.0) for row in newest)
        return speeds[len(speeds) // 2] if speeds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds of training left; None where that is not known."""
        return (self.steps - self.step) / self.rate if self.rate else None

    @property
    def state(self) -> str:
        """'done', 'training' or 'stopped', as far as its files tell."""
        if self.step >= self.steps:
            return 'done'
        longest = max((row.get('seconds', 0.0) for row in self.rows[-NEWEST:]), default=15.0)
        return 'training' if self.quiet < max(60.0, QUIET * longest) else 'stopped'


def glance(path: Path | str) -> Glance:
    """What is known of the run in a folder.

    Raises:
        InputError: if there is no run.
    """
    path = Path(path)
    if not (path / 'config.json').is_file():
        raise InputError(f'{path}: not a run; it has no config.json')
    config = read_json(path / 'config.json', 'write it again from the config that the run was started with')
    rows = list(_rows(path / 'metrics.jsonl'))
    folder = path / 'checkpoints'
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    saved = max((int(name) for name in names if re.fullmatch('[0-9]{1,18}', name)), default=0)
    written = [file.stat().st_mtime for file in (path / 'metrics.jsonl', path / 'config.json') if file.exists()]
    data = config.get('data')
    return Glance(
        path,
        str(config.get('system')),
        data.get('size') if isinstance(data, dict) else None,
        max(saved, rows[-1]['step'] if rows else 0),
        config.get('steps') if isinstance(config.get('steps'), int) else 0,
        saved,
        rows,
        newest_preview(path),
        time.time() - max(written),
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows that are whole: the last may be being written."""
    if path.exists():
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                row = parse(line)
                if isinstance(row, dict) and isinstance(row.get('step'), int):
                    yield row


def newest_preview(path: Path) -> Path | None:
    """The newest sheet of a run, None before the first."""
    if (path / 'preview.jpg').is_file():
        return path / 'preview.jpg'
    folder = path / 'previews'
    return max(folder.glob('*.jpg'), key=lambda file: file.name, default=None) if folder.is_dir() else None


def runs_under(folder: Path | str) -> list[Path]:
    """The folders of runs in a folder, itself among them."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found, level = [], [folder]
    for _ in range(DEEPEST + 1):
        found += [path for path in level if (path / 'config.json').is_file()]
        level = [path for path in level if path not in found]
        level = [inner for path in level for inner in _folders(path)]
    return sorted(found)


def _folders(path: Path) -> list[Path]:
    try:
        return [inner for inner in path.iterdir() if inner.is_dir() and not inner.name.startswith('.')]
    except OSError:
        return []

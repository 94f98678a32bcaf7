"""What a job that is at work says of itself, read from the end of its log: bars of tqdm, lines, and its report."""

import contextlib
import re
from pathlib import Path

from dfjax.apps.studio.store import clock, read_json
from dfjax.foreign import parse

TAIL = 16 << 10  # bytes of a log that are read
LINES = 6  # what it said last, as it is shown
# `faces of a.mp4:  40%|####   | 40/100 [00:01<00:02, 25.0frame/s]`, or without a total `faces of a.mp4: 40frame [...]`
BAR = re.compile(
    r'^(?P<what>.*?):\s+(?:(?P<percent>\d+)%\|.*?\|\s*)?(?P<done>[\d.]+k?)(?:/(?P<total>[\d.]+k?))?[^\[]*\['
    r'(?P<spent>[\d:]+)(?:<(?P<left>[\d:?]+))?'
)
# `faceswap 300/10000 ###    01:02, 10:20 left, 3.1 steps/s, total=0.3`, of a training, see `training.report`
TRAINING = re.compile(
    r'^(?P<what>\w+) (?P<done>[\d.]+k?)/(?P<total>[\d.]+k?) .*? (?P<spent>[\d:]+), (?P<left>[\d:?]+) left'
)
STRIPPED = re.compile(r'\x1b\[[0-9;]*[A-Za-z]')


def progress_of(place: Path, job: dict) -> dict:
    """{'what', 'share' of that from 0 to 1 or None, 'left' in seconds or None, 'lines'} of a job at work.

    A job that was given so many minutes has what is left of them; of another, what its bar says.
    """
    bar, lines = _read(tail(place / 'log'))
    told = {'what': '', 'share': None, 'left': None, 'lines': lines[-LINES:], 'spent': clock() - job['started']}
    told['command'] = read_json(place / 'at.json').get('command', 0) + 1
    told['commands'] = len(job['commands'])
    if bar:
        told['what'] = bar['what'].strip()
        if bar['total']:
            done, total = _count(bar['done']), _count(bar['total'])
            told['share'] = round(min(done / total, 1.0), 4) if total else None
        told['left'] = _seconds(bar['left'] or '')
    if job.get('budget'):
        told['left'] = max(60 * job['budget'] - told['spent'], 0)
    return told


def report_of(place: Path) -> dict:
    """The report of the last command."""
    for line in reversed(tail(place / 'out').splitlines()):
        with contextlib.suppress(ValueError):
            if isinstance(report := parse(line), dict):
                return report
    return {}


def notes_of(place: Path) -> list[str]:
    """What a job that has ended said beside its bars: what was left out, and how much to expect."""
    return _read(tail(place / 'log'))[1][-LINES:]


def why_failed(place: Path) -> str:
    """The line that says why: what the program said last, as it says why on bad input."""
    _, lines = _read(tail(place / 'log'))
    said = [line.removeprefix('dfjax: ') for line in lines if line.startswith('dfjax: ')]
    if said:
        return said[-1]
    if not read_json(place / 'status'):
        return 'It ended without a word: the machine may be out of memory, or it was ended by somebody.'
    return lines[-1] if lines else 'It failed without a word.'


def tail(path: Path) -> str:
    """The end of a text that may be long, or missing."""
    with contextlib.suppress(OSError), path.open('rb') as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - TAIL, 0))
        return STRIPPED.sub('', file.read().decode(errors='replace'))
    return ''


def _read(text: str) -> tuple[dict | None, list[str]]:
    """(the newest bar, None where its work is done and something was said since; lines)."""
    bar, lines = None, []
    for line in re.split(r'[\r\n]+', text):
        if found := BAR.match(line) or TRAINING.match(line):
            bar = found.groupdict()
        elif line.strip():
            lines.append(line.strip()[:300])
            if bar and bar['done'] == bar['total']:  # that work is done, and this is of the next
                bar = None
    return bar, lines


def _count(text: str | None) -> float:
    return float(text.rstrip('k')) * (1000 if text.endswith('k') else 1) if text else 0.0


def _seconds(clock_text: str) -> int | None:
    """Of '1:02:03' or '02:03'."""
    if not clock_text or '?' in clock_text:
        return None
    total = 0
    for part in clock_text.split(':'):
        total = 60 * total + int(part or 0)
    return total

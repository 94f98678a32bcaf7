"""`dfjax batch`: jobs of a file, one after the other; run again, it goes on with those that are not done."""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from dfjax.errors import InputError
from dfjax.foreign import read_toml

EXAMPLE = 'dfjax batch jobs.toml'
FORMAT = """jobs.toml:
  [[job]]
  run = "swap --face bert.mp4 --into anna.mp4 -o out/anna.mp4 --minutes 20"
  [[job]]
  name = "second"
  run = ["edit", "--run", "runs/vae", "--vector", "smile=1.5", "a b.jpg", "-o", "out/a.png"]

Paths are as seen from the folder of the file. What is done is in jobs.toml.done, a line a job: delete a line, and its
job runs again. Ctrl-C stops the job and the list, and the same command goes on with both."""
INTERRUPTED = (130, 143, -2, -15)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = f'Example: {EXAMPLE}\n\n{FORMAT}'
    parser.add_argument('jobs', metavar='JOBS.toml', help='the list')
    parser.add_argument('--dry-run', action='store_true', help='only say which jobs would run')


def run(args: argparse.Namespace) -> dict:
    """Runs what is not done; `ok` is false where a job failed."""
    return batch(args.jobs, dry_run=args.dry_run)


def batch(path: Path | str, *, dry_run: bool = False) -> dict:
    """Runs the jobs of a file that are not done yet, each in a process of its own.

    Returns:
        'done' (names, those of earlier calls too), 'failed' (name: the line that it ended with), 'left' with `dry_run`.

    Raises:
        InputError: no such file, or something in it is no job of this program: before any job runs.
        KeyboardInterrupt: a job was interrupted; those before it are noted.
    """
    path = Path(path)
    jobs, notes = read_jobs(path), path.with_name(f'{path.name}.done')
    done = _done(notes, jobs)
    report = {'done': list(done), 'failed': {}}
    if dry_run:
        return report | {'left': [name for name in jobs if name not in done]}
    for number, (name, words) in enumerate(jobs.items(), 1):
        if name in done:
            continue
        print(f'job {number} of {len(jobs)}, {name}: dfjax {shlex.join(words)}', file=sys.stderr, flush=True)
        began = time.monotonic()
        status, last = _run(words, path.parent)
        if status in INTERRUPTED:
            raise KeyboardInterrupt(f'stopped in job {name}; `dfjax batch {path}` goes on')
        if status:
            report['failed'][name] = last
            continue
        row = {'name': name, 'run': words, 'seconds': round(time.monotonic() - began, 1)}
        with notes.open('a') as file:
            file.write(json.dumps(row) + '\n')
        report['done'].append(name)
    return report | {'ok': not report['failed']}


def read_jobs(path: Path) -> dict[str, list[str]]:
    """The words of every job by its name, in order.

    Raises:
        InputError: see `batch`.
    """
    from dfjax.apps.cli import VERBS, no_verb

    rows = read_toml(path).get('job', [])
    jobs: dict[str, list[str]] = {}
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        words = row.get('run') if isinstance(row, dict) else None
        words = shlex.split(words) if isinstance(words, str) else words
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise InputError(f'{path}: job {number} has no run; give it as run = "swap --face ..."')
        words = words[1:] if words[0] == 'dfjax' else words
        if not words or words[0] not in VERBS or words[0] == 'batch':
            raise InputError(f'{path}: job {number}: {no_verb(words[0] if words else "")}')
        _check(words, f'{path}: job {number}')
        name = str(row.get('name', f'{number} {words[0]}'))
        if name in jobs:
            raise InputError(f'{path}: two jobs are called {name!r}; give one another name')
        jobs[name] = words
    if not jobs:
        raise InputError(f'{path}: no [[job]] in it, see dfjax batch --help')
    return jobs


def _check(words: list[str], where: str) -> None:
    """InputError for options that the verb does not have."""
    import contextlib
    import io

    from dfjax.apps.cli import parse

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            parse(words)
    except SystemExit:
        raise InputError(f'{where}: {(said.getvalue().strip().splitlines() or [""])[-1]}') from None


def _done(notes: Path, jobs: dict[str, list[str]]) -> list[str]:
    """Names of the jobs that are noted as done, with the words that they have now."""
    found = []
    for line in notes.read_text().splitlines() if notes.exists() else ():
        try:
            row = json.loads(line)
            if jobs.get(row['name']) == row['run']:
                found.append(row['name'])
        except (ValueError, KeyError, TypeError):  # the line that was being written at a power cut
            continue
    return [name for name in jobs if name in found]


def _run(words: list[str], folder: Path) -> tuple[int, str]:
    """The exit status of a job, and the last line that it said of itself on stderr."""
    command = [sys.executable, '-m', 'dfjax.apps.cli', *words]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE) as job:
        tail = b''
        try:
            while part := job.stderr.read1():
                sys.stderr.buffer.write(part)
                sys.stderr.flush()
                tail = (tail + part)[-2000:]
        except KeyboardInterrupt:
            job.wait()  # the terminal has told it, too
            raise
    lines = tail.decode(errors='replace').replace('\r', '\n').strip().splitlines()
    return job.returncode, lines[-1] if lines else f'ended with {job.returncode}'

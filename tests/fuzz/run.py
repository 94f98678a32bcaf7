"""Feeds mutated files to every reader, each in a process with bounded memory and time.

    python -m tests.fuzz.run --seconds 3600 --keep found/

Only an InputError, which is one line, or a result may come of a file. What else does, a crash, a hang or too much
memory is a finding: it is printed, and the file kept. The same --seed makes the same files.
"""

import argparse
import contextlib
import itertools
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS
from tests.processes import SERVER

PATIENCE = 20  # seconds for a file
ROOM = 2**30  # bytes that a file may take, or GROWTH times its size if that is more
GROWTH = 50
SAID = 1500  # characters of an error's line, which may list all keys of a config


def outcome(name: str, path: Path) -> str:
    """'' if a reader takes or refuses a file as it should, else what it did."""
    from dfjax.errors import InputError

    now = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    most = now + max(ROOM, GROWTH * path.stat().st_size)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        TARGETS[name].read(path)
        return ''
    except InputError as error:
        said = str(error)
        table = 'does not fit net' in said or 'not VGG-19' in said  # what differs, a line each
        return (
            ''
            if table or ('\n' not in said and len(said) < SAID)
            else f'a line of {len(said)} characters: {said[:300]}'
        )
    except Exception as error:
        return f'{type(error).__name__}: {error}\n' + ''.join(traceback.format_tb(error.__traceback__)[-3:])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def serve(name: str, good: Path, requests) -> None:
    """A process that reads one file after another; a good one first, whose imports count to no file's memory."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    with contextlib.suppress(Exception):
        TARGETS[name].read(good)
    requests.send('')
    while (path := requests.recv()) is not None:
        requests.send(outcome(name, path))


class Reader:
    """A reader in a process of its own, started again where a file ends it."""

    def __init__(self, name: str, good: Path):
        self.name, self.good, self.process = name, good, None

    def __call__(self, path: Path) -> str:
        if self.process is None:
            self.pipe, theirs = multiprocessing.Pipe()
            self.process = SERVER.Process(target=serve, args=(self.name, self.good, theirs), daemon=True)
            self.process.start()
            theirs.close()
            self.pipe.recv()
        self.pipe.send(path)
        try:
            if self.pipe.poll(PATIENCE):
                return self.pipe.recv()
            said = f'hangs for {PATIENCE} s'
        except (EOFError, ConnectionResetError):
            self.process.join(5)
            said = f'dies, exit code {self.process.exitcode}'
        self.close()
        return said

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def fuzz(
    names: list[str], seed: int, count: int | None = None, seconds: float | None = None, keep: Path | None = None
) -> tuple[Counter, list[str]]:
    """How many files each reader got, and what was found, a text each.

    Args:
        count: files for each reader; None: until `seconds` are over.
        keep: a folder for the files found.
    """
    done, found, end = Counter(), [], time.monotonic() + (seconds or 1e9)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        seeds, readers = {}, {}
        for name in names:
            (home / name / 'good').mkdir(parents=True)
            good = TARGETS[name].seeds(home / name / 'good')
            seeds[name] = [(path.name, path.read_bytes()) for path in good]
            readers[name] = Reader(name, good[0])
            stack.callback(readers[name].close)
        for number in itertools.count() if count is None else range(count):
            for name in names:
                if time.monotonic() > end:
                    return done, found
                chance = random.Random(f'{seed} {name} {number}')
                file, good = chance.choice(seeds[name])
                data = mutated(good, chance.choice(seeds[name])[1], chance) if number else good
                folder = home / name / 'case'
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                (folder / file).write_bytes(data)
                done[name] += 1
                if said := readers[name](folder / file):
                    found.append(f'{name} {number} ({file}): {said}')
                    if keep:
                        keep.mkdir(parents=True, exist_ok=True)
                        (keep / f'{name}-{seed}-{number}-{file}').write_bytes(data)
    return done, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, help='how long; default: until --count is reached')
    parser.add_argument('--count', type=int, help='files for each reader')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--keep', type=Path, metavar='FOLDER', help='where files that were found are kept')
    parser.add_argument('names', nargs='*', metavar='READER', help=f'default: all, {", ".join(TARGETS)}')
    args = parser.parse_args()
    count = 100 if args.seconds is None and args.count is None else args.count
    done, found = fuzz(args.names or list(TARGETS), args.seed, count, args.seconds, args.keep)
    print('\n'.join(found))
    print(f'{sum(done.values())} files, {len(found)} findings;', ', '.join(f'{k} {v}' for k, v in done.items()))
    return bool(found)


if __name__ == '__main__':
    sys.exit(main())

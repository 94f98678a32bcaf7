"""W/log.txt: what a training says on stderr, each line with the time, over all calls of a run."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import jax

from dfjax.errors import InputError
from dfjax.training.workdir import folder_of, is_remote

LOG = 'log.txt'


@contextlib.contextmanager
def logged(workdir: str | Path) -> Iterator[None]:
    """A block whose lines on stderr go to W/log.txt as well, and the InputError that ends it; of a bar, how it ended.

    One process writes for all. What cannot be written is left out, and a folder that is no run gets nothing, nor does a
    bucket, where files cannot grow.
    """
    if jax.process_index() or is_remote(folder_of(workdir)):
        yield
        return
    log = _Log(sys.stderr, Path(workdir))
    with contextlib.redirect_stderr(log):  # type: ignore[type-var]  # it is what print, tqdm and warnings want
        try:
            yield
        except InputError as error:
            log.note(f'{error}\n')
            raise


class _Log:
    """stderr, and what is written to it line by line in the log of a run."""

    def __init__(self, stderr: TextIO, workdir: Path):
        self._stderr, self._workdir = stderr, workdir
        self._begun, self._waiting = '', ''  # a line that has no end yet, and lines from before the run was there

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stderr, name)

    def write(self, text: str) -> int:
        """To both."""
        self.note(text)
        return self._stderr.write(text)

    def note(self, text: str) -> None:
        """To the log alone."""
        *lines, self._begun = (self._begun + text).split('\n')
        self._begun = self._begun.rpartition('\r')[2]  # a bar draws itself over and over
        now = time.strftime('%Y-%m-%d %H:%M:%S')
        said = [line.rpartition('\r')[2].rstrip() for line in lines]
        self._waiting += ''.join(f'{now} {line}\n' for line in said if line)
        if self._waiting and (self._workdir / 'config.json').is_file():
            with contextlib.suppress(OSError), (self._workdir / LOG).open('a', encoding='utf-8') as file:
                file.write(self._waiting)
            self._waiting = ''

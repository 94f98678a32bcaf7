"""The command lines of a job that is gone on with."""

from pathlib import Path


def used_now(job: dict) -> list[list[str]]:
    """The command line that makes the result of a swap of what is trained so far."""
    words = [word for word in job['commands'][-1] if not word.startswith('--minutes=') and word != '--force']
    return [*_missing(job), [words[0], *(['--instant'] if '--instant' not in words else []), '--force', *words[1:]]]


def gone_on(job: dict, minutes: float | None) -> list[list[str]]:
    """The command lines that go on with a job: a swap trains for so many minutes more; others begin again."""
    words = [word for word in job['commands'][-1] if word != '--force']
    if minutes:
        words = [word for word in words if word != '--instant' and not word.startswith('--minutes=')]
        words.insert(1, f'--minutes={minutes:g}')
    return [*_missing(job), [words[0], *([] if words[0] == 'train' else ['--force']), *words[1:]]]


def _missing(job: dict) -> list[list[str]]:
    """Face sets that are not there yet."""
    return [words for words in job['commands'][:-1] if not Path(words[-1].removeprefix('--out=')).exists()]

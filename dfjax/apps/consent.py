"""Consent of the people shown: `--consent`, or one question on a terminal; it goes into the credentials and the run.

What is said is remembered by the folder of the output, in consent.json beside the signing key; a run keeps what was
said when it was trained. It is what the user says: nothing checks it.
"""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

QUESTION = 'Who is shown, and how did they agree? (Enter: say nothing) '
LONGEST = 500  # characters


def add_consent(parser: argparse.ArgumentParser) -> None:
    """Adds the option."""
    parser.add_argument('--consent', metavar='WORDS', help='who is shown and how they agreed; kept in the credentials')


def settle(args: argparse.Namespace) -> None:
    """Finds what is said of consent, asking where a person sits at a terminal and nothing is remembered.

    Raises:
        InputError: words that are too long.
    """
    from dfjax.data.media.choices import CONSENT
    from dfjax.data.media.signing_key import signer_file
    from dfjax.errors import InputError

    if not args.out:
        return
    notes, folder = signer_file().with_name('consent.json'), str(Path(args.out).absolute().parent)
    known = _known(notes)
    said = next((words for words in (args.consent, known.get(folder), _of_run(args)) if words is not None), None)
    if said is None and sys.stdin and sys.stdin.isatty() and sys.stderr.isatty():
        print(QUESTION, end='', file=sys.stderr, flush=True)
        said = sys.stdin.readline()
    if said is None:
        return
    said = ' '.join(said.split())
    if len(said) > LONGEST:
        raise InputError(f'--consent: {len(said)} characters; {LONGEST} at most')
    if known.get(folder) != said:
        _keep(notes, known | {folder: said})
    os.environ[CONSENT] = said


def _known(notes: Path) -> dict[str, str]:
    """Words by folder; none where the file is missing or damaged."""
    from dfjax.foreign import parse

    with contextlib.suppress(OSError, ValueError):
        found = parse(notes.read_bytes())
        return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
    return {}


def _of_run(args: argparse.Namespace) -> str | None:
    """What was said when the run was trained that a verb applies; of several runs by each."""
    runs, said = getattr(args, 'run', None) or [], {}
    for run in [runs] if isinstance(runs, str) else runs:
        with contextlib.suppress(OSError):
            said[(Path(run) / 'consent.txt').read_text(errors='replace').strip()] = run
    return '; '.join(said) or None


def _keep(notes: Path, known: dict[str, str]) -> None:
    """Writes the file, or leaves it where its folder cannot be written."""
    from dfjax.data.media.output import atomic_path
    from dfjax.errors import InputError

    with contextlib.suppress(InputError, OSError), atomic_path(notes, force=True) as part:
        part.write_text(json.dumps(known, indent=0), encoding='utf-8')

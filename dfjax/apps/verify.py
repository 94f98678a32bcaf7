"""`dfjax verify FILE...`: content credentials and invisible marks of pictures and videos, and whether they hold."""

from pathlib import Path

MEANS = {
    'intact': 'unchanged since it was signed',
    'tampered': 'changed since it was signed',
    'stripped': 'its credentials are gone, and it carries the mark of something that dfjax made',
    'unmarked': 'neither credentials nor a mark, which proves nothing about how it was made',
}


def add_arguments(parser) -> None:
    parser.add_argument('files', nargs='+', metavar='FILE', help='picture, video or sound to check')
    parser.add_argument('--no-mark', action='store_true', help='read the credentials alone: the mark takes seconds')
    parser.epilog = (
        'example: dfjax verify out.mp4. Exits 1 where a file carries no credentials or was changed after it was signed.'
    )


def run(args) -> dict:
    """The report: `files`, a row for each with its `status` and what its credentials say; `ok` where all are intact.

    Status is 'intact', 'tampered' (changed since it was signed), 'stripped' (without credentials, but with the mark of
    something that dfjax made) or 'unmarked', which proves nothing about how a file was made. `mark` is the number that
    the credentials name, `mark_found` the one that is in the pictures: where they differ, the credentials are another
    file's.
    """
    from dfjax.data.media.credentials import SIGNED_SUFFIXES, read_credentials
    from dfjax.data.media.inputs import kind

    rows = []
    for file in args.files:
        bare = Path(file).suffix.lower() not in SIGNED_SUFFIXES and kind(file) in ('image', 'video')
        said = None if bare else read_credentials(file)  # a file of another kind has no place for them
        found = None if args.no_mark else mark_of(file)
        status = ('stripped' if found else 'unmarked') if said is None else 'intact' if said['intact'] else 'tampered'
        rows.append({'file': str(file), 'status': status, **(said or {'ai_generated': None}), 'mark_found': found})
    return {'files': rows, 'ok': all(row['status'] == 'intact' for row in rows)}


def spoken(report: dict, args) -> dict:
    """A line a file."""
    lines = {}
    for row in report['files']:
        lines[row['file']] = f'{row["status"]}: {MEANS[row["status"]]}'
        if row.get('generator'):
            how = 'made by AI' if row['ai_generated'] else 'not said to be made by AI'
            lines[row['file']] += f'; {how}: {row.get("description")}, by {row["generator"]}, {row.get("when")}'
        if row.get('signer'):
            lines[row['file']] += f'; signed by {row["signer"]}'
        if row['mark_found']:
            lines[row['file']] += f'; invisible mark {row["mark_found"]}'
    return lines | {'ok': report['ok']}


def mark_of(file: Path | str) -> str | None:
    """The number of a file's invisible mark, 12 hexadecimal digits; None where none is found or nothing is shown."""
    from dfjax.data.media.mark_search import find_mark
    from dfjax.errors import ReadError

    try:
        found = find_mark(file)
    except ReadError:  # a sound, or too damaged
        return None
    return f'{found.bits:012x}' if found else None

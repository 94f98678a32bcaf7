"""`dfjax verify FILE...`: what the content credentials of pictures and videos say, and whether they still hold."""


def add_arguments(parser) -> None:
    parser.add_argument('files', nargs='+', metavar='FILE', help='picture or video to check')
    parser.epilog = (
        'example: dfjax verify out.mp4. Exits 1 where a file carries no credentials or was changed after it was signed.'
    )


def run(args) -> dict:
    """The report: `files`, a row for each with its `status` and what its credentials say; `ok` where all are intact.

    Status is 'intact', 'tampered' (changed since it was signed) or 'unmarked', which proves nothing about how a file
    was made: credentials can be stripped.
    """
    from dfjax.data.media.credentials import read_credentials

    rows = []
    for file in args.files:
        said = read_credentials(file)
        status = 'unmarked' if said is None else 'intact' if said['intact'] else 'tampered'
        rows.append({'file': str(file), 'status': status, **(said or {'ai_generated': None})})
    return {'files': rows, 'ok': all(row['status'] == 'intact' for row in rows)}

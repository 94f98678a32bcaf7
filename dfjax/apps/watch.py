"""`dfjax watch`: a page on this machine that shows a run while it trains: preview, losses, time left, and a stop."""

import argparse
import json
import secrets
import shlex
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

EXAMPLE = 'dfjax watch out.mp4.run'
HOST = '127.0.0.1'  # nobody else's machine can reach it
POINTS = 400  # of a curve, at most
NOT_DRAWN = ('step', 'seconds', 'steps_per_dispatch', 'data_wait', 'examples_per_second')
HEADERS = {
    # Nothing from elsewhere
    'Content-Security-Policy': "default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'The page is for this machine alone. Its button stops the training: what has been learnt is saved, and\n'
        '`dfjax swap` then writes the video. On another machine: ssh -L 7870:127.0.0.1:7870 HOST.'
    )
    parser.add_argument('run', nargs='?', metavar='RUN', help='its folder; default: the newest in this one')
    parser.add_argument('--port', type=int, default=7870, metavar='N', help='default 7870; 0 for any that is free')
    parser.add_argument('--no-browser', action='store_true', help='only say where the page is')


def run(args: argparse.Namespace) -> dict:
    """Serves the page until Ctrl-C."""
    import sys
    import webbrowser

    server = make_server(args.run or newest('.'), args.port)
    address = f'http://{HOST}:{server.server_port}/'
    print(f'{address}   Ctrl-C ends the page, and not the run', file=sys.stderr, flush=True)
    if not args.no_browser:
        webbrowser.open(address)
    with server:
        server.serve_forever()
    return {}


def newest(folder: Path | str) -> Path:
    """The run in a folder that was written to last; InputError if there is none."""
    from dfjax.apps.glance import glance, runs_under
    from dfjax.errors import InputError

    found = runs_under(folder)
    if not found:
        raise InputError(f'{folder}: no runs in it; name the folder of one')
    return min(found, key=lambda path: glance(path).quiet)


def make_server(run: Path | str, port: int) -> ThreadingHTTPServer:
    """A server of the page of a run; it serves when `serve_forever` is called.

    Raises:
        InputError: if there is no run, or the port is taken.
    """
    from dfjax.apps.glance import glance
    from dfjax.errors import InputError

    glance(run)
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Page, Path(run).absolute(), secrets.token_urlsafe()))
    except (OSError, OverflowError):
        raise InputError(f'--port {port}: is taken, or none that may be had; give another, or 0') from None


def state_of(run: Path) -> dict:
    """What the page draws: where the run stands, and the curves of its losses."""
    from dfjax.apps.glance import glance
    from dfjax.data.media.progress import spoken

    one = glance(run)
    rows = one.rows[:: max(1, len(one.rows) // POINTS)]
    names = [name for name in (one.rows[-1] if one.rows else {}) if name not in NOT_DRAWN]
    names.sort(key=lambda name: name != 'total')
    curves = {name: [[row['step'], row[name]] for row in rows if name in row] for name in names}
    preview = one.preview.stat().st_mtime if one.preview else 0
    return {
        'name': run.name,
        'system': one.system,
        'step': one.step,
        'steps': one.steps,
        'state': one.state,
        'left': spoken(one.left) if one.state == 'training' else '',
        'rate': round(one.rate, 2),
        'preview': preview,
        'curves': curves,
        'use': use_of(run),
    }


def use_of(run: Path) -> str:
    """The command that uses what a swap has learnt; '' for other runs."""
    from dfjax.foreign import read_json

    path = run / 'job.json'
    if not path.is_file():
        return ''
    into = str(read_json(path, 'give the video by hand').get('into', 'VIDEO'))
    return shlex.join(['dfjax', 'convert', '--run', str(run), '--into', into, '-o', f'OUT{Path(into).suffix}'])


class _Page(BaseHTTPRequestHandler):
    """The page, its figures, its picture, and the one thing that it can do. Only its own page may ask for that."""

    def __init__(self, run: Path, token: str, *args):
        self.run, self.token = run, token
        super().__init__(*args)

    def do_GET(self) -> None:
        if not self._is_ours():
            return
        path = self.path.partition('?')[0]
        if path == '/':
            text = Path(__file__).with_name('watch.html').read_text(encoding='utf-8')
            self._send(200, 'text/html; charset=utf-8', text.replace('TOKEN', self.token).encode())
        elif path == '/state.json':
            self._send(200, 'application/json', json.dumps(state_of(self.run), default=str).encode())
        elif path == '/preview.jpg' and (picture := self._picture()):
            self._send(200, 'image/jpeg', picture)
        else:
            self._send(404, 'text/plain', b'not found')

    def do_POST(self) -> None:
        if not self._is_ours():
            return
        if self.path != '/stop' or not secrets.compare_digest(self.headers.get('X-Token', ''), self.token):
            self._send(403, 'text/plain', b'refused')
            return
        (self.run / 'stop').touch()
        self._send(200, 'text/plain', b'stopping')

    def _is_ours(self) -> bool:
        """Whether the request is to this machine by its own name: another site's page may not ask through a name."""
        host = self.headers.get('Host', '').rpartition(':')[0]
        if host in (HOST, 'localhost'):
            return True
        self._send(403, 'text/plain', b'refused')
        return False

    def _picture(self) -> bytes | None:
        from dfjax.apps.glance import newest_preview

        path = newest_preview(self.run)
        return path.read_bytes() if path else None

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {'Content-Type': kind, 'Content-Length': str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args) -> None:
        """Says nothing: the terminal is the person's."""

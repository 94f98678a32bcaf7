"""Starting and ending the studio: its folder, its socket, its address, and what becomes of its jobs."""

import contextlib
import importlib.util
import secrets
import socket
import sys
import threading
import webbrowser
from pathlib import Path

from dfjax.apps.studio.store import HIDDEN, Locked
from dfjax.errors import InputError

LOCAL = {'127.0.0.1', 'localhost', '::1'}
EVERYWHERE = ('0.0.0.0', '::', '')


def serve(folder: Path, host: str, port: int, allowed: list[str], limits: dict, opens: bool) -> int:
    """Serves until Ctrl-C; returns how many jobs there are.

    Args:
        folder: DIR.
        host, port: where to listen.
        allowed: further names that it may be called by.
        limits: of an upload: 'bytes', 'minutes'.
        opens: open a browser.

    Raises:
        InputError: the extra is not installed; the folder cannot be made, or is another studio's; the port is taken.
    """
    missing = [name for name in ('starlette', 'uvicorn') if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"the studio needs {' and '.join(missing)}: pip install 'dfjax[studio]'")
    import uvicorn

    from dfjax.apps.studio.app import build_app
    from dfjax.apps.studio.guard import Guard

    folder = folder.resolve()
    with contextlib.ExitStack() as stack:
        stack.callback(_claim(folder).close)
        listening = stack.enter_context(_listen(host, port))
        port, token = listening.getsockname()[1], secrets.token_urlsafe(32)
        app, jobs = build_app(folder, limits)
        guarded = Guard(app, token, _names(host), [name for name in allowed if name.strip('.')], port, limits['bytes'])
        url = f'http://{_shown(host)}:{port}/?token={token}'
        print(f'dfjax studio: {url}\n(Ctrl-C ends it)', file=sys.stderr, flush=True)
        if opens:
            threading.Timer(0.5, webbrowser.open, [url]).start()
        config = uvicorn.Config(
            guarded, log_level='warning', access_log=False, server_header=False, timeout_graceful_shutdown=3
        )
        with contextlib.suppress(KeyboardInterrupt):  # how it is ended
            uvicorn.Server(config).run(sockets=[listening])
        return len(jobs.all())


def _claim(folder: Path) -> Locked:
    try:
        (folder / HIDDEN).mkdir(parents=True, exist_ok=True)
        (folder / HIDDEN).chmod(0o700)
        return Locked(folder / HIDDEN / 'lock')
    except BlockingIOError:
        raise InputError(f'{folder}: another studio is open there; use that one, or give another --folder') from None
    except OSError as error:
        raise InputError(f'{folder}: cannot be written ({error.strerror}); give another --folder') from None


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that nobody else takes the port meanwhile."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError:
        raise InputError(f'--host {host}: no such address of this machine') from None
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise InputError(f'--port {port}: {error.strerror}; give another --port, 0 for any that is free') from None
    return listening


def _names(host: str) -> set[str]:
    """What browsers may call this machine."""
    names = set(LOCAL)
    if host in EVERYWHERE:
        names |= {socket.gethostname(), socket.getfqdn()}
        with contextlib.suppress(OSError):
            names |= {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    else:
        names.add(host)
    return names


def _shown(host: str) -> str:
    if host in EVERYWHERE:
        return socket.gethostname()
    return f'[{host}]' if ':' in host else host

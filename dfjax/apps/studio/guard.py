"""Who may ask the studio: the browser that was given the token, at the names it goes by, from its own page.

Any page that a person has open may send requests to 127.0.0.1. It cannot know the token, whose cookie browsers send
from the studio's own page alone (SameSite=Strict); and were a cookie to leak, Origin and Host still name the stranger:
Origin on every request that changes something, Host on all (DNS rebinding: a stranger's name that leads here).
"""

import hmac
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
}
SAFE = ('GET', 'HEAD')
BODY = 64 << 10  # bytes of what is not an upload
# The page that a token leads to asks for itself again: a link in another program's page would bring no strict cookie.
ENTRY = (
    '<!doctype html><meta charset=utf-8><meta http-equiv=refresh content="0;url=/"><title>dfjax</title>'
    '<link rel=icon href=/icon.svg><a href="/">Open the studio</a>'
)
CLOSED = (
    '<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width"><title>dfjax</title>'
    '<h1>dfjax studio</h1><p>Open the address that <code>dfjax studio</code> printed, with its token.'
)


class Guard:
    """An ASGI app around another, which gets only what may be asked.

    Args:
        app: what is guarded.
        token: the secret of this start of the studio.
        hosts: names and addresses of this machine.
        proxies: further names that it may be called by; '.example.org' for all under it. A proxy may pass on another
            Host than the one that its browser knows, so that Origin is looked at by itself.
        port: for the cookie's name: browsers do not tell ports apart.
        most: bytes of an upload.
    """

    def __init__(self, app, token: str, hosts: Iterable[str], proxies: Iterable[str], port: int, most: int):
        self.app, self.token, self.most = app, token, most
        self.hosts, self.proxies = ({name.lower() for name in names} for names in (hosts, proxies))
        self.cookie = f'dfjax-{port}'

    async def __call__(self, scope: dict, receive, send) -> None:
        """Answers one request."""
        if scope['type'] == 'lifespan':
            return await self.app(scope, receive, send)
        if scope['type'] != 'http':  # there are no web sockets here
            return await send({'type': 'websocket.close', 'code': 1008})
        headers = {}
        for name, value in scope['headers']:
            headers.setdefault(name.decode('latin-1'), []).append(value.decode('latin-1'))
        given = parse_qs(scope['query_string'].decode('latin-1')).get('token', [''])[0]
        status, text, cookie = self._judged(scope, headers, given)
        if status:
            return await _answer(send, status, text, cookie)

        async def sending(message: dict) -> None:
            if message['type'] == 'http.response.start':
                there = {name.lower() for name, _ in message['headers']}
                message['headers'] = [
                    *message['headers'],
                    *(pair for pair in _encoded(HEADERS) if pair[0] not in there),
                ]
            await send(message)

        await self.app(scope, receive, sending)

    def _judged(self, scope: dict, headers: dict[str, list[str]], given: str) -> tuple[int, str, str]:
        """(status, text, cookie) of a request that is answered here; status 0 for one that may pass."""
        hosts = headers.get('host', [])
        if len(hosts) != 1 or not self._known(hosts[0]):
            return 400, 'The studio does not go by this name; see dfjax studio --allow-host.', ''
        if scope['method'] not in SAFE:
            origins = headers.get('origin', [])
            if len(origins) != 1 or not self._own(origins[0], hosts[0]):
                return 403, 'Refused: this came from another page than the studio.', ''
            if fault := self._too_large(scope, headers):
                return 413, fault, ''
        if any(site not in ('same-origin', 'none') for site in headers.get('sec-fetch-site', [])) and not (
            scope['path'] == '/' and scope['method'] == 'GET'
        ):
            return 403, 'Refused: this came from another page than the studio.', ''
        if scope['path'] == '/' and given and self._is_token(given):
            return 200, ENTRY, f'{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/'
        if not any(self._is_token(value) for value in self._cookies(headers)):
            return 401, CLOSED, ''
        return 0, '', ''

    def _known(self, host: str) -> bool:
        """Whether a Host header names this studio, with any port: forwarded ones have others."""
        try:
            name = urlsplit(f'//{host}').hostname or ''
        except ValueError:
            return False
        return name in self.hosts or self._proxied(name)

    def _own(self, origin: str, host: str) -> bool:
        """Whether an Origin is this studio's page: of its very host and port, for other ports are strangers'."""
        try:
            parts = urlsplit(origin)
            return parts.netloc.lower() == host.lower() or self._proxied(parts.hostname or '')
        except ValueError:
            return False

    def _proxied(self, name: str) -> bool:
        return name in self.proxies or any(known[0] == '.' and name.endswith(known) for known in self.proxies)

    def _too_large(self, scope: dict, headers: dict[str, list[str]]) -> str:
        """Why a body that its header says the length of is not read; others are counted as they come."""
        length = headers.get('content-length', ['0'])[0]
        most = self.most if scope['path'] == '/api/uploads' else BODY
        if not length.isdecimal() or int(length) > most:
            return f'Too large: {most >> 20} MB at most.' if most > BODY else 'Too large.'
        return ''

    def _is_token(self, value: str) -> bool:
        return hmac.compare_digest(value.encode(), self.token.encode())

    def _cookies(self, headers: dict[str, list[str]]) -> Iterable[str]:
        for line in headers.get('cookie', []):
            for part in line.split(';'):
                name, _, value = part.strip().partition('=')
                if name == self.cookie:
                    yield value


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


async def _answer(send, status: int, text: str, cookie: str) -> None:
    body = text.encode()
    kind = 'text/html; charset=utf-8' if text.startswith('<') else 'text/plain; charset=utf-8'
    headers = HEADERS | {'Content-Type': kind, 'Content-Length': str(len(body)), 'Cache-Control': 'no-store'}
    headers |= {'Set-Cookie': cookie} if cookie else {}
    if status >= 400:
        headers |= {'Connection': 'close'}  # what is left of a refused body is not read
    await send({'type': 'http.response.start', 'status': status, 'headers': _encoded(headers)})
    await send({'type': 'http.response.body', 'body': body})

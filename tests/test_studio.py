"""The studio's server: who may ask."""

import sys
from pathlib import Path

import pytest
from studio_client import PNG, TOKEN

from dfjax.apps.studio import runs as kept
from dfjax.apps.studio.store import Locked
from dfjax.errors import InputError

pytest.importorskip('starlette', reason="the studio's extra is not installed: pip install -e '.[studio]'")
pytest.importorskip('httpx', reason='httpx is not installed: pip install httpx')

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='the studio needs WSL on Windows')


def test_the_token_becomes_a_strict_cookie_and_leaves_the_address(studio):
    client, _ = studio
    client.cookies.clear()
    answer = client.get('/', params={'token': TOKEN})
    cookie = answer.headers['set-cookie']
    assert answer.status_code == 200 and 'url=/"' in answer.text and TOKEN not in answer.text
    assert cookie.startswith(f'dfjax-7860={TOKEN};') and 'HttpOnly' in cookie and 'SameSite=Strict' in cookie
    assert answer.headers['referrer-policy'] == 'no-referrer'


@pytest.mark.parametrize('path', ['/', '/app.js', '/api/state', '/api/uploads/0123456789abcdef/file', '/nowhere'])
def test_nothing_is_told_without_the_token(studio, path):
    client, _ = studio
    client.cookies.clear()
    assert client.get(path).status_code == 401
    assert client.get(path, params={'token': 'guess'}).status_code == 401
    client.cookies.set('dfjax-7860', 'guess')
    assert client.get(path).status_code == 401
    client.cookies.set('dfjax-7861', TOKEN)  # another studio's
    assert client.get(path).status_code == 401


@pytest.mark.parametrize('host', ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'xproxy.example'])
def test_strangers_names_are_refused_though_they_lead_here(studio, host):
    """DNS rebinding: a page of evil.example, which has 127.0.0.1 for its address, is of the same origin as itself."""
    client, _ = studio
    headers = {'Host': host, 'Cookie': f'dfjax-7860={TOKEN}'}
    assert client.get('/api/state', headers=headers).status_code == 400
    answer = client.post('/api/consent', headers=headers | {'Origin': f'http://{host}'}, content='{"agree": true}')
    assert answer.status_code == 400


@pytest.mark.parametrize('host', ['localhost:7860', '127.0.0.1:9999', 'a.proxy.example'])
def test_names_that_were_allowed_may_ask(studio, host):
    client, _ = studio
    headers = {'Host': host, 'Cookie': f'dfjax-7860={TOKEN}'}
    assert client.get('/api/state', headers=headers).status_code == 200


@pytest.mark.parametrize(
    'origin', [None, 'null', 'http://evil.example', 'http://127.0.0.1:7861', 'http://localhost:7860', '']
)
def test_only_the_studios_own_page_may_change_anything(studio, origin):
    """Also another server of this machine is a stranger."""
    client, folder = studio
    headers = {} if origin is None else {'Origin': origin}
    for path, body in (('/api/uploads', PNG), ('/api/consent', b'{"agree": true}'), ('/api/jobs', b'{}')):
        assert client.post(path, content=body, headers=headers).status_code == 403
    assert not (folder / '.studio/consent.json').exists()
    assert not list((folder / '.studio/uploads').iterdir())


def test_a_proxy_that_was_allowed_is_known_by_its_origin(studio):
    client, _ = studio
    for origin, status in (('https://a.proxy.example', 200), ('https://proxy.example.evil.example', 403)):
        assert client.post('/api/consent', headers={'Origin': origin}, content='{"agree": true}').status_code == status


def test_what_browsers_say_of_the_sender_counts(studio):
    client, _ = studio
    assert client.get('/api/state', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 403
    assert client.get('/api/state', headers={'Sec-Fetch-Site': 'same-site'}).status_code == 403
    assert client.get('/api/state', headers={'Sec-Fetch-Site': 'same-origin'}).status_code == 200
    assert client.get('/', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 200  # a link to it may be followed


def test_pages_can_load_nothing_from_elsewhere_and_nobody_can_frame_them(studio):
    client, _ = studio
    for path in ('/', '/app.js', '/style.css', '/api/state'):
        answer = client.get(path)
        policy = answer.headers['content-security-policy']
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and 'http' not in policy
        assert 'unsafe' not in policy and answer.headers['x-content-type-options'] == 'nosniff'


def test_the_page_names_no_other_host():
    page = Path(kept.__file__).parent / 'page'
    for path in page.iterdir():
        text = path.read_text().replace('http://www.w3.org/2000/svg', '')
        assert not any(word in text for word in ('http:', 'https:', '@import', 'innerHTML', 'eval(')), path.name
        assert path.suffix != '.html' or not any(word in text for word in (' style=', 'onclick')), (
            'its policy blocks them'
        )


def test_websockets_are_refused(studio):
    from starlette.websockets import WebSocketDisconnect

    client, _ = studio
    with pytest.raises(WebSocketDisconnect), client.websocket_connect('/api/state'):
        pass


def test_a_missing_extra_is_said_with_the_command_that_installs_it(tmp_path, monkeypatch):
    import importlib.util

    from dfjax.apps.studio.server import serve

    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'dfjax\[studio\]'"):
        serve(tmp_path / 'new', '127.0.0.1', 0, [], {'bytes': 1, 'minutes': 1}, opens=False)
    assert not (tmp_path / 'new').exists()


def test_a_second_studio_in_a_folder_is_refused(tmp_path):
    from dfjax.apps.studio.server import serve

    (tmp_path / '.studio').mkdir()
    held = Locked(tmp_path / '.studio/lock')
    with pytest.raises(InputError, match='another studio'):
        serve(tmp_path, '127.0.0.1', 0, [], {'bytes': 1, 'minutes': 1}, opens=False)
    held.close()


def test_a_port_that_is_taken_is_said(tmp_path):
    import socket

    from dfjax.apps.studio.server import serve

    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(InputError, match='give another --port'):
            serve(tmp_path, '127.0.0.1', taken.getsockname()[1], [], {'bytes': 1, 'minutes': 1}, opens=False)

"""A studio to ask, for the tests of it. It is not a test."""

import json
from pathlib import Path

import pytest

TOKEN, HOST = 'secret-token', '127.0.0.1:7860'
ORIGIN = {'Origin': f'http://{HOST}'}
PNG = bytes.fromhex(
    '89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0f01f00050001ff'
) + bytes(64)  # the head of one will do for what is asked here


class Blind:
    """Stands for the process that looks at uploads and runs: sees nobody anywhere."""

    def __init__(self):
        self.asked = []

    def ask(self, do, patience=0, **what):
        self.asked.append(do)
        if do == 'look':
            from dfjax.apps.studio.store import write_json

            found = {'kind': 'video' if what['path'].endswith('.mp4') else 'image', 'people': [0.9, 0.3]}
            write_json(Path(what['folder']) / 'look.json', found)
            return found
        if do == 'abilities':
            return {}
        return {'seconds': 0, 'step': 1, 'faces': 1}

    def close(self):
        pass


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """(a client with the cookie, the folder); its jobs are queued and never start."""
    from starlette.testclient import TestClient

    from dfjax.apps.studio.app import build_app
    from dfjax.apps.studio.guard import Guard
    from dfjax.apps.studio.jobs import Jobs

    monkeypatch.setattr(Jobs, 'watch', lambda self: type('Thread', (), {'join': lambda self: None})())
    app, _ = build_app(tmp_path, {'bytes': 200_000, 'minutes': 1}, Blind())
    guarded = Guard(app, TOKEN, {'127.0.0.1', 'localhost'}, {'.proxy.example'}, 7860, 200_000)
    with TestClient(guarded, base_url=f'http://{HOST}', follow_redirects=False) as client:
        client.cookies.set('dfjax-7860', TOKEN)
        yield client, tmp_path


def sent(client, data=PNG, name='a.png'):
    return client.post('/api/uploads', content=data, headers=ORIGIN | {'X-Name': name})


def posted(client, path, said):
    return client.post(path, content=json.dumps(said), headers=ORIGIN)


def a_run(folder, name='swap-1.mp4.run', **config):
    run = folder / name
    run.mkdir(parents=True)
    (run / 'config.json').write_text(json.dumps({'system': 'toy', 'steps': 100, 'batch_size': 8} | config))
    return run

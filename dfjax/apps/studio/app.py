"""The studio's pages and what they ask for, as a Starlette app; `guard.Guard` stands in front of it."""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from dfjax.apps.studio import runs as kept
from dfjax.apps.studio.asking import Asking
from dfjax.apps.studio.desk import Studio, without_path
from dfjax.apps.studio.guard import BODY
from dfjax.apps.studio.jobs import Jobs
from dfjax.apps.studio.uploads import Refused, kind_of
from dfjax.errors import InputError
from dfjax.foreign import parse

PAGE = Path(__file__).parent / 'page'
MIME = {
    '.html': 'text/html; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.svg': 'image/svg+xml',
}
FRESH = {'Cache-Control': 'no-cache'}


def build_app(folder: Path, limits: dict, asking: Asking | None = None) -> tuple[Starlette, Jobs]:
    """The app, and the jobs that it has; they are watched while it runs, and stopped when it ends."""
    studio = Studio(folder, limits, asking or Asking(), asking or Asking())

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette):
        thread = studio.jobs.watch()
        yield
        await run_sync(studio.jobs.close)
        thread.join()
        studio.looking.close()
        studio.asking.close()

    return Starlette(routes=_routes(studio), lifespan=lifespan), studio.jobs


def _routes(studio: Studio) -> list[Route]:
    """Each is one thing to ask for; a path's {which} is an ID, {name} a run's name."""
    told = partial(_told, studio)
    get, post = {'methods': ['GET']}, {'methods': ['POST']}
    pages = [Route(f'/{path.name}', partial(_page, path), **get) for path in PAGE.iterdir() if path.suffix in MIME]
    return [
        Route('/', partial(_page, PAGE / 'index.html'), **get),
        *pages,
        Route('/api/state', told(lambda s, q, _: s.state()), **get),
        Route('/api/facts', told(lambda s, q, _: s.facts()), **get),
        Route('/api/device', told(lambda s, q, _: s.device()), **get),
        Route('/api/demo', told(lambda s, q, said: {'uploads': s.demo()}), **post),
        Route('/api/consent', told(lambda s, q, said: _agree(s, said)), **post),
        Route('/api/uploads', partial(_upload, studio), **post),
        Route('/api/uploads/{which}', told(lambda s, q, _: s.look(q['which'])), **get),
        Route('/api/uploads/{which}/file', told(lambda s, q, _: _file(s.uploads.about(q['which'])['path'])), **get),
        Route('/api/uploads/{which}/poster', told(lambda s, q, _: _beside(s, q, 'poster.jpg')), **get),
        Route('/api/uploads/{which}/{number:int}', told(_person), **get),
        Route('/api/jobs', told(lambda s, q, said: s.begin(said)), **post),
        Route('/api/jobs/{which}/file', told(_result), **get),
        Route('/api/jobs/{which}/{action}', told(lambda s, q, said: s.act(q['which'], q['action'], said)), **post),
        Route('/api/frame', told(lambda s, q, said: _frame(s, said)), **post),
        Route('/api/edit', told(lambda s, q, said: s.edited(said)), **post),
        Route('/api/shots/{which}', told(_shot), **get),
        Route('/api/runs/delete', told(lambda s, q, said: s.delete(said.get('run'))), **post),
        Route('/api/curves/{name:path}', told(lambda s, q, _: kept.metrics_of(s.run(q['name']))), **get),
        Route('/api/details/{name:path}', told(lambda s, q, _: s.details(q['name'])), **get),
        Route('/api/previews/{name:path}', told(_preview), **get),
    ]


# From requests to answers


def _told(studio: Studio, what: Callable[[Studio, dict, dict], object]) -> Callable:
    """An endpoint that answers with what `what(studio, words of path and query, JSON sent)` gives: JSON, or a file."""

    async def endpoint(request: Request) -> Response:
        try:
            said = await _json(request) if request.method == 'POST' else {}
            asked = dict(request.query_params) | request.path_params
            answer = await run_sync(what, studio, asked, said)
        except Refused as refused:
            return JSONResponse({'error': str(refused)}, refused.status)
        except InputError as error:
            return JSONResponse({'error': str(error)}, 400)
        return answer if isinstance(answer, Response) else JSONResponse(answer, headers=FRESH)

    return endpoint


async def _json(request: Request) -> dict:
    """The object that was sent, of BODY bytes at most."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY:
            raise Refused(413, 'Too large.')
    try:
        said = parse(bytes(body)) if body else {}
    except ValueError:
        raise Refused(400, 'Not JSON.') from None
    if not isinstance(said, dict):
        raise Refused(400, 'Not an object of JSON.')
    return said


async def _upload(studio: Studio, request: Request) -> Response:
    length = request.headers.get('content-length', '0')
    try:
        name = unquote(request.headers.get('x-name', ''))
        about = await studio.uploads.take(request.stream(), name, int(length) if length.isdecimal() else 0)
    except Refused as refused:
        return JSONResponse({'error': str(refused)}, refused.status, headers={'Connection': 'close'})
    except ClientDisconnect:
        return Response(status_code=499)
    except OSError as error:
        return JSONResponse({'error': f'It cannot be kept: {error.strerror}.'}, 507, headers={'Connection': 'close'})
    return JSONResponse(without_path(about))


async def _page(path: Path, request: Request) -> Response:
    return FileResponse(path, media_type=MIME[path.suffix], headers=FRESH)


def _agree(studio: Studio, said: dict) -> dict:
    if said.get('agree') is not True:
        raise InputError('Nothing is made without their consent.')
    return studio.consent.give()


def _file(path: Path | str, download: str | None = None) -> Response:
    """A picture, video or sound, of the type that it holds; anything else can only be saved."""
    path = Path(path)
    if not path.is_file():
        raise Refused(404, 'There is no such file.')
    kind, mime = kind_of(path)
    if kind is None and download is None:
        raise Refused(404, 'There is no such picture.')
    return FileResponse(path, media_type=mime, filename=download, headers={'Cache-Control': 'private, no-cache'})


def _beside(studio: Studio, asked: dict, name: str) -> Response:
    return _file(Path(studio.uploads.about(asked['which'])['path']).with_name(name))


def _person(studio: Studio, asked: dict, _: dict) -> Response:
    return _file(studio.uploads.person(asked['which'], asked['number']))


def _result(studio: Studio, asked: dict, _: dict) -> Response:
    job = studio.jobs.get(asked['which'])
    out = studio.jobs.out_of(job)
    return _file(out, out.name if 'download' in asked else None)


def _shot(studio: Studio, asked: dict, _: dict) -> Response:
    which = studio.uploads.about(asked['which'])['id']
    return _file(studio.shots / f'{which}{"-before" if "before" in asked else ""}.jpg')


def _preview(studio: Studio, asked: dict, _: dict) -> Response:
    step = asked.get('step', '')
    return _file(kept.preview_of(studio.run(asked['name']), int(step) if step.isdecimal() else None))


def _frame(studio: Studio, said: dict) -> dict:
    seconds = said.get('seconds', 0)
    if type(seconds) not in (int, float) or not 0 <= seconds < 1e6:
        raise InputError('seconds: give a number from 0.')
    return studio.frame(said, seconds)

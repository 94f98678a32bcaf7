"""What the page sends: streamed to a file of our own name, measured as it comes, kept only if it is a picture, a video
or a sound by its first bytes."""

import os
import shutil
import time
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path

from dfjax.apps.studio.store import ID, clock, new_id, read_json, write_json
from dfjax.data.media.sniff import sniff
from dfjax.errors import InputError

CHUNK = 1 << 20  # bytes written at once
SPARE = 1 << 30  # bytes of the disk that are left free
UNUSED = 24 * 3600  # seconds that an upload is kept which no job uses
HEAD = 64  # bytes that tell a type
LABEL = 80  # characters of a name that are shown
MIME = {
    'image/jpeg': lambda head: head.startswith(b'\xff\xd8\xff'),
    'image/png': lambda head: head.startswith(b'\x89PNG\r\n\x1a\n'),
    'image/gif': lambda head: head.startswith(b'GIF8'),
    'image/webp': lambda head: head[:4] == b'RIFF' and head[8:12] == b'WEBP',
    'audio/wav': lambda head: head[:4] in (b'RIFF', b'RF64') and head[8:12] == b'WAVE',
    'audio/flac': lambda head: head.startswith(b'fLaC'),
    'audio/ogg': lambda head: head.startswith(b'OggS'),
    'audio/mpeg': lambda head: head.startswith(b'ID3') or (head[:1] == b'\xff' and head[1:2] in b'\xfb\xf3\xf2\xfa'),
    'audio/aac': lambda head: head[:1] == b'\xff' and head[1:2] in b'\xf0\xf1\xf8\xf9',
    'audio/mp4': lambda head: head[4:8] == b'ftyp' and head[8:11] in (b'M4A', b'M4B'),
    'video/mp4': lambda head: head[4:8] == b'ftyp',
    'video/webm': lambda head: head.startswith(b'\x1aE\xdf\xa3'),
}
SUFFIX = {'image': '.png', 'video': '.mp4', 'sound': '.wav'}  # readers go by what a file holds


class Refused(InputError):
    """An upload that is not taken.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


class Uploads:
    """Files that were sent.

    Args:
        folder: where each has a folder of its own.
        most: bytes of one.
    """

    def __init__(self, folder: Path, most: int):
        self.folder, self.most = folder, most
        folder.mkdir(parents=True, exist_ok=True)

    async def take(self, chunks: AsyncIterator[bytes], name: str, expected: int = 0) -> dict:
        """Stores what comes and returns what `about` gives; nothing is left of what is refused or cut short.

        Args:
            chunks: of bytes.
            name: that the file had, to be shown.
            expected: bytes, where that is said.

        Raises:
            Refused: too large, empty, none of the kinds, no room.
        """
        from anyio.to_thread import run_sync

        if expected > self.most:
            raise Refused(413, f'Too large: {self.most >> 20} MB at most.')
        if shutil.disk_usage(self.folder).free - expected < SPARE:
            raise Refused(507, 'The disk is nearly full: free some space first.')
        place = self.folder / new_id()
        place.mkdir()
        try:
            with open(place / 'part', 'wb') as file:
                size, waiting = 0, bytearray()
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self.most:
                        raise Refused(413, f'Too large: {self.most >> 20} MB at most.')
                    waiting += chunk
                    if len(waiting) >= CHUNK:
                        await run_sync(file.write, bytes(waiting))
                        waiting.clear()
                file.write(waiting)
            kind, mime = kind_of(place / 'part')
            if not size or kind is None:
                raise Refused(415, f'{shown(name)}: neither a picture, nor a video, nor a sound.')
            os.replace(place / 'part', place / f'file{SUFFIX[kind]}')
            about = {'name': shown(name), 'kind': kind, 'mime': mime, 'bytes': size, 'sent': clock()}
            write_json(place / 'about.json', about)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return self.about(place.name)

    def adopt(self, path: Path, name: str) -> dict:
        """Takes in a rendered file of this machine as if it had been sent; it shows nobody who could be asked."""
        place = self.folder / new_id()
        place.mkdir()
        kind, mime = kind_of(path)
        shutil.copyfile(path, place / f'file{SUFFIX[kind]}')
        about = {'name': name, 'kind': kind, 'mime': mime, 'bytes': path.stat().st_size, 'sent': clock()}
        write_json(place / 'about.json', about | {'rendered': True})
        return self.about(place.name)

    def about(self, which: str) -> dict:
        """{'id', 'name', 'kind', 'mime', 'bytes', 'path', 'look'} of an upload; `look` is empty until it is known.

        Raises:
            Refused: there is none.
        """
        if not isinstance(which, str) or not ID.fullmatch(which):
            raise Refused(404, 'There is no such file.')
        place = self.folder / which
        about = read_json(place / 'about.json')
        if about.get('kind') not in SUFFIX:
            raise Refused(404, 'There is no such file any more: send it again.')
        path = str(place / f'file{SUFFIX[about["kind"]]}')
        look = read_json(place / 'look.json')
        return about | {'id': which, 'path': path, 'kind': look.get('kind', about['kind']), 'look': look}

    def person(self, which: str, number: object) -> Path:
        """The picture of one of the people found in an upload.

        Raises:
            Refused: there is none.
        """
        people = self.about(which).get('look', {}).get('people', [])
        if type(number) is not int or not 0 <= number < len(people):
            raise Refused(404, 'There is no such person.')
        return self.folder / which / f'person{number}.png'

    def sweep(self, used: set[str], now: float | None = None) -> None:
        """Removes what no job uses and was sent long ago, and what a crash has left half."""
        now = time.time() if now is None else now
        for place in self.folder.iterdir():
            sent = read_json(place / 'about.json').get('sent', 0)
            if place.name not in used and now - sent > UNUSED:
                shutil.rmtree(place, ignore_errors=True)


def kind_of(path: Path) -> tuple[str | None, str]:
    """('image', 'video', 'sound' or None, type for browsers) by a file's first bytes."""
    with open(path, 'rb') as file:
        head = file.read(HEAD)
    mime = next((name for name, test in MIME.items() if len(head) > 12 and test(head)), 'application/octet-stream')
    kind = 'video' if mime == 'image/gif' else sniff(path)  # whether it moves, a decoder says, which is not run here
    if kind is None and mime.startswith('audio/'):
        kind = 'sound'
    return kind, mime


def shown(name: str) -> str:
    """A file's name as it may be shown: its last part, without what cannot be seen."""
    last = name.replace('\\', '/').rpartition('/')[2]
    return ''.join(c for c in last if unicodedata.category(c)[0] != 'C').strip()[:LABEL] or 'file'

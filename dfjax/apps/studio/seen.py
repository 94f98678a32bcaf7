"""What an upload shows: how large and how long it is, and who is in it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dfjax.errors import InputError

LOOKS = 12  # frames of a video that are searched for people
SEARCHED = 1280  # px of a frame that is searched
AROUND = 2.2  # side of the picture of a person, in sides of the face's box
SHOWN = 960  # px of a frame that is shown
PEOPLE = 8


class Seer:
    """Finds faces, and says whose they are.

    Attributes:
        search: a `faces.search.Search`.
        describe: of `faces.identity.load_descriptor`.
    """

    def __init__(self) -> None:
        from dfjax.data.faces.detect import load_detector
        from dfjax.data.faces.identity import load_descriptor
        from dfjax.data.faces.landmarks import load_landmarker
        from dfjax.data.faces.search import Search

        self.search, self.describe = Search(load_detector('dlib'), load_landmarker(), True), load_descriptor()


def look(seer: Seer, path: str, folder: Path, minutes: float) -> dict:
    """What an upload is and who is in it; pictures of the people, and one of the whole, are put into `folder`.

    Returns:
        {'kind', 'width', 'height', 'seconds', 'fps', 'sound', 'people': [share of the frames that were searched]},
        or {'fault'} where it cannot be used.
    """
    from dfjax.data.media.inputs import kind

    try:
        found = _sound(path) if path.endswith('.wav') else {'kind': kind(path)}
        if found['kind'] == 'video':
            found |= _film(path)
        if found.get('seconds', 0) > 60 * minutes:
            raise InputError(f'it is longer than {minutes:g} minutes; cut it, or see dfjax studio --max-minutes')
        if found['kind'] != 'sound':
            found |= people(seer, path, found, folder)
    except InputError as error:
        found = {'fault': str(getattr(error, 'fault', error)).removeprefix(f'{path}: ')}
    part = folder / '.look.part'
    part.write_text(json.dumps(found))
    part.replace(folder / 'look.json')
    return found


def people(seer: Seer, path: str, found: dict, folder: Path) -> dict:
    """Who is in some of its frames, the most seen first: {'width', 'height', 'people': [share of the frames]}.

    One frame is held at a time: a dozen of 4K are 300 MB.
    """
    from dfjax.data.faces.identity import CLUSTER, descriptor_distance
    from dfjax.data.media.image import write_image

    groups: list[dict] = []
    posters = []
    for rgb in _some_frames(path, found):
        h, w = rgb.shape[:2]
        posters.append(bounded(rgb, SHOWN)[0])
        small, shrink = bounded(rgb, SEARCHED)
        for face in seer.search.everywhere(small):
            descriptor = seer.describe(small, face.landmarks)
            near = min(groups, key=lambda g: descriptor_distance(g['mean'], descriptor), default=None)
            if near is None or descriptor_distance(near['mean'], descriptor) > CLUSTER:
                near = {'mean': descriptor, 'count': 0, 'best': -1.0}
                groups.append(near)
            near['count'] += 1
            size = face.box[2] - face.box[0]
            if size * (0.5 + min(face.score, 1.5)) > near['best']:
                near['best'] = size * (0.5 + min(face.score, 1.5))
                near['picture'] = _around(rgb, np.array(face.box) * shrink).copy()
    groups = sorted(groups, key=lambda g: -g['count'] * g['best'])[:PEOPLE]
    for number, group in enumerate(groups):
        write_image(folder / f'person{number}.png', group['picture'])
    write_image(folder / 'poster.jpg', posters[len(posters) // 2])
    people = [round(group['count'] / len(posters), 2) for group in groups]
    return {'width': w, 'height': h, 'people': people}


def _sound(path: str) -> dict:
    import av

    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise InputError('it has no sound')
            return {'kind': 'sound', 'seconds': round((container.duration or 0) / 1e6, 2)}
    except av.error.FFmpegError:
        raise InputError('not a sound that can be read, or cut short; fetch or record it again') from None


def _film(path: str) -> dict:
    from dfjax.data.media.video import probe

    info = probe(path)
    facts = {'seconds': round(info.duration, 2), 'fps': round(float(info.fps or 25), 3), 'sound': info.has_audio}
    return facts | {'width': info.width, 'height': info.height}


def _some_frames(path: str, found: dict) -> Iterator[np.ndarray]:
    """Frames spread over a video; of a picture itself."""
    from dfjax.data.media.image import read_image
    from dfjax.data.media.video import frames_at, read_frames

    if found['kind'] == 'image':
        yield read_image(path)
    elif (count := round(found['seconds'] * found['fps'])) <= 3 * LOOKS:
        wanted = set(np.linspace(0, max(count, 1) - 1, LOOKS).astype(int))
        yield from (rgb for n, _, rgb in read_frames(path) if n in wanted)
    else:
        yield from (rgb for _, rgb in frames_at(path, np.linspace(0, 0.97 * found['seconds'], LOOKS)))


def bounded(rgb: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """A picture no longer than `most`, and how many pixels of the original are one of its."""
    import cv2

    shrink = max(rgb.shape[:2]) / most
    if shrink <= 1:
        return rgb, 1.0
    return cv2.resize(rgb, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA), shrink


def _around(rgb: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The square around a face's box (x0, y0, x1, y1), as much of it as there is."""
    x, y, half = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, AROUND / 2 * (box[2] - box[0])
    x0, y0 = max(int(x - half), 0), max(int(y - half), 0)
    return rgb[y0 : int(y + half) + 1, x0 : int(x + half) + 1]

"""Rendered faces by name, aligned by their true landmarks, with their true masks, parts and labels.

    render:SEED:COUNT                   the person SEED talks: moments a fifth of a second apart, so that few show much
    render:person:WHO:SEED:COUNT        the person WHO in random poses and expressions, light and room those of WHO
    render:people:SEED:COUNT            each another person of `render.people`, with its labels

Drawing takes 20 ms a picture and 60 a person, so large sets are kept in the user's cache, see `sets.cache`.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from tqdm import tqdm

from dfjax.data.faces import align, warp
from dfjax.data.names import Rendered
from dfjax.data.sets.cache import cached
from dfjax.data.sets.dataset import Dataset
from dfjax.errors import InputError
from dfjax.ops.geometry import to_unit

FACE_TYPE = 'whole_face'  # by default: hair and chin show
CHUNK = 256  # pictures drawn at a time, which bounds memory: frames are larger than faces
CACHED = 64  # pictures from which on a set is kept in the cache


class RenderedFaces(Dataset):
    """The faces of a `render:` name, all drawn at once.

    Items have 'parts' uint8 [S, S, 3] too, see `render.Rendered`. A condition in the name is the opener's to show.

    Raises:
        InputError: if the name is that of clips.
    """

    def __init__(self, name: Rendered, size: int, face_type: str):
        name = replace(name, condition='')
        self.name, self.face_type = str(name), face_type
        identity, motion, self.labels = _moments(name)
        several = np.ndim(identity['skin']) > 0
        skin = 192 if several and size <= 96 else 384  # pixels of a skin's texture, drawn anew for each person
        draw = partial(_draw, self.name, identity, motion, size, face_type, skin)
        keep = len(motion['yaw']) >= CACHED
        self._drawn = cached(f'{self.name} {size} {face_type}', __file__, draw) if keep else draw()

    def __len__(self) -> int:
        return len(self._drawn['image'])

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The n-th picture."""
        face = {k: v[index] for k, v in self._drawn.items()}
        return face | {'descriptor': np.full(128, np.nan, np.float32)}

    def landmarks(self) -> np.ndarray:
        """Of all faces: float32 [N, 68, 2] in unit coordinates."""
        return self._drawn['landmarks']


def _moments(name: Rendered) -> tuple[dict, dict, dict[str, np.ndarray]]:
    """Identity, motion and labels of a name; every value of the last two is [N]."""
    from dfjax.data import render

    seed, count = name.drawn, name.count
    if name.frames or name.form == 'things':
        what = {'voices': 'sounds', 'things': 'things without faces'}.get(name.form, 'clips')
        raise InputError(f'{name}: {what}, where pictures are needed; write render:people:SEED:COUNT')
    if name.form == 'people':
        return render.random_people(seed, count)
    if name.form == 'person':
        identity, motion = render.random_identity(name.who), render.random_motions(seed, count)
        motion |= {k: np.full(count, v) for k, v in render.random_light(name.who).items()}
    else:
        identity, motion = render.random_identity(seed), render.animate(seed, count, fps=5)
    labels = render.attributes(identity, motion)
    return identity, motion, {k: np.broadcast_to(v, count) for k, v in labels.items()}


def _draw(name: str, identity: dict, motion: dict, size: int, face_type: str, skin: int) -> dict[str, np.ndarray]:
    """Aligned pictures, masks, parts and landmarks, [N, ...] each."""
    from dfjax.data import render

    chunks, count = [], len(motion['yaw'])
    with tqdm(desc=f'drawing {name}', total=count, unit=' pictures', delay=2) as bar:
        for start in range(0, count, CHUNK):
            rows = slice(start, start + CHUNK)
            who, how = ({k: v[rows] if np.ndim(v) else v for k, v in p.items()} for p in (identity, motion))
            frames = render.render(who, how, max(64, 2 * size), skin)
            matrices = align.align_matrices(frames.landmarks, face_type, size)  # [N, 2, 3]
            seen = {'image': frames.image, 'mask': frames.mask, 'parts': frames.parts}
            chunk = {k: np.stack([align.crop(p, m, size) for p, m in zip(v, matrices)]) for k, v in seen.items()}
            points = [to_unit(warp.apply(m, p), size) for m, p in zip(matrices, frames.landmarks)]
            chunks.append(chunk | {'landmarks': np.float32(points)})
            bar.update(len(points))
    return {k: np.concatenate([chunk[k] for chunk in chunks]) for k in chunks[0]}

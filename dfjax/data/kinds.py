"""What batches of each kind are made of: a config's names become streams of items.

A stream is a data set that is shuffled by itself. Its name is where its items stand in the batch; those of the stream
WHOLE are the batch. `batches.py` says what the batches of each kind hold.
"""

from collections.abc import Callable, Sequence

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.faces.canonical import to_canonical
from dfjax.data.faces.quality import uniform_yaw
from dfjax.data.media.image import squared
from dfjax.data.names import Joined as JoinedName
from dfjax.data.names import Pair, Stored, parse
from dfjax.data.sets.clip import open_clips
from dfjax.data.sets.clips import TwoFrames, Windows
from dfjax.data.sets.dataset import Dataset, Joined, Mapped
from dfjax.data.sets.images import ImageFolder
from dfjax.data.sets.open import in_condition, open_dataset
from dfjax.data.sets.things import Things
from dfjax.data.sets.voices import Voices
from dfjax.errors import InputError

WHOLE = ''
FACE_KEYS = ('image', 'mask', 'landmarks')
Streams = dict[str, Dataset]


def open_streams(kind: str, data: ConfigDict) -> Streams:
    """The streams of a kind of batches; `data` is the section of a config.

    Raises:
        InputError: if there is no such kind, or a name of the config cannot be opened or holds fewer than two items.
    """
    if kind not in KINDS:
        raise InputError(f'batches of kind {kind!r} cannot be made; the kinds are: {", ".join(KINDS)}')
    streams = KINDS[kind](data)
    for source in streams.values():
        if len(source) < 2 and kind not in ('faces_ab', 'clips', 'speech'):  # a photograph will do, a clip is many
            raise InputError(f'{source.name}: only {len(source)} picture; at least 2 are needed')
    return streams


def stored_size(data: ConfigDict) -> int:
    """The side in pixels to keep faces at: twice `size` where they are to be bent, which costs detail."""
    return data.size * 2 if data.canonical else data.size


def _faces_ab(data: ConfigDict) -> Streams:
    part = lambda face: to_canonical(_part(face), data.face_type, data.size) if data.canonical else _part(face)

    streams = {}
    for side, name in _names(data, 'a', 'b').items():
        faces = open_dataset(name, stored_size(data), data.face_type)
        if not hasattr(faces, 'face_type'):
            raise InputError(f'{name}: pictures, where faces are needed; `dfjax extract` makes a face set of them')
        streams[side] = Mapped(faces, part)
        if data.uniform_yaw:
            streams[side].weights = uniform_yaw(faces.landmarks())
    return streams


def _labelled(data: ConfigDict) -> Streams:
    name = parse(_names(data, 'source')['source'])
    parts = name.parts if isinstance(name, JoinedName) else [name]
    return {WHOLE: Labelled([_open(part, data) for part in parts], tuple(data.labels))}


def _unpaired(data: ConfigDict) -> Streams:
    return {side: Mapped(_open(name, data), _image) for side, name in _names(data, 'a', 'b').items()}


def _aligned(data: ConfigDict) -> Streams:
    if data.get('source'):
        name = parse(data.source)
        if isinstance(name, Pair):
            source = _open(name.of, data)
            return {WHOLE: Aligned(in_condition(name.condition, source), source)}
        if not isinstance(name, Stored):
            raise InputError(f'{name}: pictures, where pairs are needed; write pair:CONDITION:{name}')
        return {WHOLE: SideBySide(data.source, data.size)}
    if not data.get('a') and not data.get('b'):
        raise InputError('config keys data.source, or data.a and data.b, are empty: name pairs, or two folders')
    return {WHOLE: Aligned(*(_open(name, data) for name in _names(data, 'a', 'b').values()))}


def _clips(data: ConfigDict) -> Streams:
    name = parse(_names(data, 'source')['source'])
    return {WHOLE: TwoFrames(name, open_clips(name, data.size, data.crop))}


def _speech(data: ConfigDict) -> Streams:
    name = parse(_names(data, 'source')['source'])
    return {WHOLE: Windows(name, open_clips(name, data.size, data.crop), data.frames, data.windows)}


def _voices(data: ConfigDict) -> Streams:
    return {WHOLE: Voices(parse(_names(data, 'source')['source']), data.seconds)}


def _masked(data: ConfigDict) -> Streams:
    names = _names(data, 'source', 'things')
    faces = open_dataset(names['source'], data.size, data.face_type)
    if not hasattr(faces, 'face_type'):
        raise InputError(
            f'{names["source"]}: pictures, where faces are needed; `dfjax extract` makes a face set of them'
        )
    return {'face': Mapped(Bare(faces), _part), 'thing': Things(parse(names['things']), data.size)}


def _names(data: ConfigDict, *keys: str) -> dict[str, str]:
    """The names under these keys; an empty one would be the folder that the program was started in."""
    for key in keys:
        if not data.get(key):
            raise InputError(f'config key data.{key} is empty: name the pictures, as --config.data.{key}=FOLDER')
    return {key: data[key] for key in keys}


def _open(name, data: ConfigDict) -> Dataset:
    return open_dataset(name, data.size, data.get('face_type'), data.get('crop', 0))


def _part(face: dict) -> dict:
    return {k: face[k] for k in FACE_KEYS}


def _image(item: dict) -> dict:
    return {'image': item['image']}


class Bare(Dataset):
    """The faces of a set without glasses, where it is known who wears some: their masks go on under them."""

    def __init__(self, faces: Dataset):
        self.name, self.faces = faces.name, faces
        self.index = np.flatnonzero(~np.asarray(faces.labels.get('glasses', np.zeros(len(faces), bool)), bool))

    def __len__(self) -> int:
        return len(self.index)

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The n-th of those."""
        return self.faces.read(int(self.index[index]), seed)


class Labelled(Joined):
    """Several sets as one, with labels: 'image', 'label' float32 [K] in {0, 1}, 'known' float32 [K].

    A label that a set does not know is 0 there, and so is `known`.

    Raises:
        InputError: as `Joined`; if no set knows a label, or all pictures have it, or none.
    """

    def __init__(self, sources: Sequence[Dataset], labels: Sequence[str]):
        super().__init__(sources)
        self.table, self.known = (np.zeros((len(self), len(labels)), np.float32) for _ in range(2))
        for source, end in zip(sources, self.ends):
            rows = slice(end - len(source), end)
            for k, label in enumerate(labels):
                if label in source.labels:
                    self.table[rows, k], self.known[rows, k] = source.labels[label], 1
        # Without labels wanted, a CSV is not read: it may be about something else.
        there = dict.fromkeys(label for source in sources for label in source.labels) if labels else ()
        for k, label in enumerate(labels):
            if label not in there:
                raise InputError(f'{self.name}: no label {label!r}; there are: {", ".join(there) or "none"}')
            if not 0 < self.table[:, k].sum() < self.known[:, k].sum():
                what = 'no picture' if not self.table[:, k].any() else 'every picture'
                raise InputError(f'{self.name}: {what} has the label {label!r}; nothing can be learned from it')

    def read(self, index: int, seed: int) -> dict[str, np.ndarray]:
        """The picture and its labels."""
        image = super().read(index, seed)['image']
        return {'image': image, 'label': self.table[index], 'known': self.known[index]}


class Aligned(Dataset):
    """Pairs from two sets: pictures of folders by equal names (suffixes aside), of others by their order.

    Raises:
        InputError: if a picture has no partner.
    """

    def __init__(self, a: Dataset, b: Dataset):
        self.name, self.sides = f'{a.name} and {b.name}', {'a': a, 'b': b}
        if all(isinstance(side, ImageFolder) for side in (a, b)):
            places = [{stem: n for n, stem in enumerate(side.stems(side.paths))} for side in (a, b)]
            if lone := sorted(set(a.stems(a.all_paths)) ^ set(b.stems(b.all_paths))):
                more = ', ...' if len(lone) > 5 else ''
                raise InputError(f'{self.name}: {len(lone)} pictures without a partner: {", ".join(lone[:5])}{more}')
            self.index = [(places[0][stem], places[1][stem]) for stem in places[0] if stem in places[1]]
        elif len(a) != len(b):
            raise InputError(f'{self.name}: {len(a)} and {len(b)} pictures; pairs need as many of one as of the other')
        else:
            self.index = [(n, n) for n in range(len(a))]

    def __len__(self) -> int:
        return len(self.index)

    def read(self, index: int, seed: int) -> dict:
        """Both pictures of a pair."""
        return {side: _image(self.sides[side].read(n, seed)) for side, n in zip('ab', self.index[index])}


class SideBySide(Mapped):
    """A folder of pictures with `a` in the left half and `b` in the right, as pix2pix has them."""

    def __init__(self, name: str, size: int):
        def halves(picture: np.ndarray) -> dict:
            middle = picture.shape[1] // 2
            if not middle:
                raise InputError('one pixel wide, where two pictures should stand side by side')
            return {'a': squared(picture[:, :middle], size), 'b': squared(picture[:, -middle:], size)}

        super().__init__(ImageFolder(name, halves), lambda item: {k: {'image': v} for k, v in item.items()})


KINDS: dict[str, Callable[[ConfigDict], Streams]] = {
    'faces_ab': _faces_ab,
    'labelled': _labelled,
    'unpaired': _unpaired,
    'aligned': _aligned,
    'clips': _clips,
    'speech': _speech,
    'voices': _voices,
    'masked': _masked,
}

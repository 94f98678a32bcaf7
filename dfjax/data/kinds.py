"""What batches of each kind are made of: a config's names become streams of items.

A stream is a source (random access to items, trees of arrays) that is shuffled by itself. Its name is where its items
stand in the batch; those of the stream WHOLE are the batch. `batches.py` says what the batches of each kind hold.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dfjax.data.faces.canonical import straighten
from dfjax.data.media.image import squared
from dfjax.data.sets.conditions import check_domain
from dfjax.data.sets.faces import Source, open_source
from dfjax.data.sets.images import PictureFolder, Pictures, View, in_domain, open_pictures
from dfjax.errors import InputError

WHOLE = ''
PAIR_KEYS = ('image', 'mask', 'landmarks')
Streams = dict[str, Source]


def open_streams(kind: str, data: ConfigDict) -> Streams:
    """The streams of a kind of batches; `data` is the section of a config.

    Raises:
        InputError: if there is no such kind, or a name of the config cannot be opened or holds fewer than two items.
    """
    if kind not in KINDS:
        raise InputError(f'batches of kind {kind!r} cannot be made; the kinds are: {", ".join(KINDS)}')
    streams = KINDS[kind](data)
    for source in streams.values():
        if len(source) < 2:
            what = 'face' if kind == 'faces_ab' else 'picture'
            raise InputError(f'{source.name}: only {len(source)} {what}; at least 2 are needed')
    return streams


def stored_size(data: ConfigDict) -> int:
    """The side in pixels to keep faces at: twice `size` where they are to be bent, which costs detail."""
    return data.size * 2 if data.straight else data.size


def _faces_ab(data: ConfigDict) -> Streams:
    def part(face: dict) -> dict:
        face = {k: face[k] for k in PAIR_KEYS}
        return straighten(face, data.face_type, data.size) if data.straight else face

    names = _names(data, 'a', 'b')
    return {side: View(open_source(names[side], stored_size(data), data.face_type), part) for side in names}


def _labelled(data: ConfigDict) -> Streams:
    source = _names(data, 'source')['source']
    names = [source] if Path(source).exists() else source.split('+')
    if not all(names):
        raise InputError(f'config key data.source: a name is empty between the + of {source!r}')
    return {WHOLE: Labelled([_open(name, data) for name in names], tuple(data.labels))}


def _unpaired(data: ConfigDict) -> Streams:
    return {side: View(_open(name, data), _image) for side, name in _names(data, 'a', 'b').items()}


def _aligned(data: ConfigDict) -> Streams:
    name = data.get('source') or ''
    if name.startswith('pair:'):
        domain, colon, name = name.removeprefix('pair:').partition(':')
        if not colon or not name:
            raise InputError(f'{data.source}: write pair:DOMAIN:NAME, as in pair:edges:photos')
        check_domain(domain)
        source = _open(name, data)
        return {WHOLE: Aligned(in_domain(domain, source), source)}
    if name:
        return {WHOLE: SideBySide(name, data.size)}
    if not data.get('a') and not data.get('b'):
        raise InputError('config keys data.source, or data.a and data.b, are empty: name pairs, or two folders')
    return {WHOLE: Aligned(*(_open(name, data) for name in _names(data, 'a', 'b').values()))}


def _names(data: ConfigDict, *keys: str) -> dict[str, str]:
    """The names under these keys; an empty one would be the folder that the program was started in."""
    for key in keys:
        if not data.get(key):
            raise InputError(f'config key data.{key} is empty: name the pictures, as --config.data.{key}=FOLDER')
    return {key: data[key] for key in keys}


def _open(name: str, data: ConfigDict) -> Pictures:
    return open_pictures(name, data.size, data.get('face_type'), data.get('crop', 0))


def _image(item: dict) -> dict:
    return {'image': item['image']}


class Labelled:
    """Several sources as one, with labels: 'image', 'label' float32 [K] in {0, 1}, 'known' float32 [K].

    A label that a source does not know is 0 there, and so is `known`.

    Raises:
        InputError: if sources are faces of different types; if no source knows a label, or all pictures have it, or
            none.
    """

    def __init__(self, sources: Sequence[Pictures], labels: Sequence[str]):
        kinds = {source.face_type: source.name for source in sources if hasattr(source, 'face_type')}
        if len(kinds) > 1:
            said = ', '.join(f'{name} has {kind}' for kind, name in kinds.items())
            raise InputError(f'faces of one type are needed, but {said}; extract again with one --face-type')
        self.name, self.sources = '+'.join(source.name for source in sources), sources
        self.ends = np.cumsum([len(source) for source in sources])
        self.table, self.known = (np.zeros((self.ends[-1], len(labels)), np.float32) for _ in range(2))
        for source, end in zip(sources, self.ends):
            rows = slice(end - len(source), end)
            for k, label in enumerate(labels):
                if label in source.labels:
                    self.table[rows, k], self.known[rows, k] = source.labels[label], 1
        # Where none is wanted, a CSV of something else is nobody's business.
        there = dict.fromkeys(label for source in sources for label in source.labels) if labels else ()
        for k, label in enumerate(labels):
            if label not in there:
                raise InputError(f'{self.name}: no label {label!r}; there are: {", ".join(there) or "none"}')
            if not 0 < self.table[:, k].sum() < self.known[:, k].sum():
                what = 'no picture' if not self.table[:, k].any() else 'every picture'
                raise InputError(f'{self.name}: {what} has the label {label!r}; nothing can be learned from it')

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        k = int(np.searchsorted(self.ends, index, side='right'))
        image = self.sources[k][index - int(self.ends[k]) + len(self.sources[k])]['image']
        return {'image': image, 'label': self.table[index], 'known': self.known[index]}


class Aligned:
    """Pairs from two sources: pictures of folders by equal names (suffixes aside), of others by their order.

    Raises:
        InputError: if a picture has no partner.
    """

    def __init__(self, a: Pictures, b: Pictures):
        self.name, self.sides = f'{a.name} and {b.name}', {'a': a, 'b': b}
        if all(isinstance(side, PictureFolder) for side in (a, b)):
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

    def __getitem__(self, index: int) -> dict:
        return {side: _image(self.sides[side][n]) for side, n in zip('ab', self.index[index])}


class SideBySide(View):
    """A folder of pictures with `a` in the left half and `b` in the right, as pix2pix has them."""

    def __init__(self, name: str, size: int):
        def halves(picture: np.ndarray) -> dict:
            middle = picture.shape[1] // 2
            if not middle:
                raise InputError('one pixel wide, where two pictures should stand side by side')
            return {'a': squared(picture[:, :middle], size), 'b': squared(picture[:, -middle:], size)}

        super().__init__(PictureFolder(name, halves), lambda item: {k: {'image': v} for k, v in item.items()})


KINDS: dict[str, Callable[[ConfigDict], Streams]] = {
    'faces_ab': _faces_ab,
    'labelled': _labelled,
    'unpaired': _unpaired,
    'aligned': _aligned,
}

"""How a face is laid into frames and what is written, for `dfjax convert`, `dfjax swap`, TOML files and Python.

    settings = Settings(mode='seamless', colour='mkl', erode=0.02)
    settings = read_settings('look.toml')

A file has the same keys, and tables for parts of a video and for people, whose keys go before those above them:

    colour = 'mkl'
    [[range]]
    from = '00:10'
    to = '00:25'
    mode = 'original'
    [[person]]
    picture = 'anna.jpg'
    erode = 0.02

No import of this module is heavy.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dfjax.errors import InputError, ReadError
from dfjax.foreign import read_toml

MODES = ('overlay', 'hist-match', 'seamless', 'raw', 'original')
SEGMENT = 'segment'  # mask by a net of its own
LEARNED = ('learned-source', 'learned-destination', 'product', 'union')  # masks that a swap's own net gives
MASKS = ('auto', 'hull', *LEARNED, SEGMENT)
COLOURS = ('none', 'reinhard', 'lct', 'mkl', 'idt', 'sot', 'hist')  # `ops.colour.match_colour`
CODECS = ('h264', 'hevc', 'prores', 'ffv1', 'png16')
OTHER_NAMES = {'rct': 'reinhard'}  # what DeepFaceLab calls it


def _setting(
    default: Any, says: str, *, of: tuple[str, ...] = (), within: tuple = (), job: bool = False, name: str = ''
):
    """A field.

    Args:
        says: its meaning; of what is on by default, that of its --no-NAME.
        of, within: its names, or its range.
        job: it holds for all that is written, not for a part or a person.
        name: as it is typed, where Python has taken that word.
    """
    return field(default=default, metadata={'says': says, 'of': of, 'within': within, 'job': job, 'name': name})


@dataclass(frozen=True)
class Part:
    """Settings that hold for a stretch of a video or for a person: `changes` are (field, value) pairs.

    Attributes:
        start, stop: seconds, of a stretch.
        picture: of the person, '' for a stretch.
    """

    changes: tuple[tuple[str, Any], ...]
    start: float = 0.0
    stop: float = math.inf
    picture: str = ''


@dataclass(frozen=True)
class Settings:
    """Every setting, with its default and range; lengths are shares of the side of an aligned face.

    Raises:
        InputError: from `check`, where one is out of its range or two contradict each other.
    """

    mode: str = _setting(
        'overlay', 'how a face is laid in; original leaves it, raw shows the square of the net', of=MODES
    )
    mask: str = _setting('auto', "where: auto is the landmarks' hull within what the net learnt of it", of=MASKS)
    erode: float = _setting(0.0, 'pull the edge of the mask in; below 0 push it out', within=(-0.2, 0.2))
    blur: float = _setting(0.0, 'soften the edge of the mask', within=(0, 0.2))
    scale: float = _setting(1.0, 'size of the face that is laid in', within=(0.5, 1.5))
    colour: str = _setting('reinhard', 'colours that the face takes over from the frame', of=COLOURS)
    steady: bool = _setting(True, 'let colours and masks flicker as the net has them, from frame to frame')
    detail: bool = _setting(True, "leave the net's picture as soft as it is")
    sharpen: float = _setting(0.0, 'add so much of what a blur takes away; below 0 blur', within=(-1, 3))
    motion_blur: float = _setting(
        0.0, 'blur as the head moves, by a shutter open for this share of a frame; 0.5 is usual', within=(0, 1)
    )
    degrade: float = _setting(0.0, "how much of the frame's own softness and noise the face gets", within=(0, 1))
    mask_net: str = _setting('', f'run of a trained mask net, for --mask {SEGMENT}', job=True)
    start: float | None = _setting(None, 'begin here: seconds, or 01:23.5', within=(0, 1e9), job=True, name='from')
    stop: float | None = _setting(None, 'end before this time', within=(0, 1e9), job=True, name='to')
    preview: float | None = _setting(None, 'write this one moment, as a picture', within=(0, 1e9), job=True)
    codec: str = _setting(
        '', 'of the video; png16: a folder of pictures with alpha; default: h264', of=CODECS, job=True
    )
    crf: int | None = _setting(None, 'quality of h264 and hevc: less is better, default 18', within=(0, 51), job=True)
    compare: bool = _setting(False, 'write the input beside the result', job=True)
    mask_view: bool = _setting(False, 'write what the mask covers, beside it', job=True)
    ranges: tuple[Part, ...] = ()
    people: tuple[Part, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, 'colour', OTHER_NAMES.get(str(self.colour), self.colour))

    def check(self) -> 'Settings':
        """Itself. Raises InputError as the class says."""
        given = {f.name: getattr(self, f.name) for f in OWN if getattr(self, f.name) != f.default}
        for f in OWN:
            if f.name in given or isinstance(f.default, bool):  # 1 equals True
                _check_value(f, getattr(self, f.name))
        _check_together(given)
        for part in (*self.ranges, *self.people):
            for name, value in part.changes:
                _check_value(BY_FIELD[name], value)
            _check_together(dict(part.changes))
        masks = self.masks()
        if SEGMENT in masks and not self.mask_net:
            raise InputError(f'mask {SEGMENT!r} needs the run of a mask net: --mask-net W')
        if self.mask_net and SEGMENT not in masks:
            raise InputError(f'mask-net {self.mask_net}: is used by mask {SEGMENT!r} alone; add --mask {SEGMENT}')
        return self

    def masks(self) -> set[str]:
        """The kinds of mask that hold at some time, for somebody."""
        parts = (*self.ranges, *self.people)
        return {self.mask, *(value for part in parts for name, value in part.changes if name == 'mask')}

    def look(self, time: float, person: int | None = None) -> 'Settings':
        """What holds for a face: those of its person, and over them those of the moment; without what is of the job."""
        made = {f.name: getattr(self, f.name) for f in LOOK}
        made |= dict(self.people[person].changes) if person is not None else {}
        for part in self.ranges:
            made |= dict(part.changes) if part.start <= time < part.stop else {}
        return Settings(**made)

    @property
    def span(self) -> tuple[float, float] | None:
        """Seconds from and to which is written; None for all, twice the same for one frame."""
        if self.preview is not None:
            return self.preview, self.preview
        if self.start is None and self.stop is None:
            return None
        return self.start or 0.0, math.inf if self.stop is None else self.stop


DEFAULTS = Settings()
OWN = tuple(f for f in fields(Settings) if f.metadata)
LOOK = tuple(f for f in OWN if not f.metadata['job'])  # what a part may change
BY_FIELD = {f.name: f for f in OWN}
TIMES = ('start', 'stop', 'preview')


def key_of(f) -> str:
    """What a setting is called in TOML; with dashes, on the command line."""
    return f.metadata['name'] or f.name


def _check_value(f, value: Any) -> None:
    said, of, within = key_of(f).replace('_', '-'), f.metadata['of'], f.metadata['within']
    if isinstance(f.default, bool):
        if not isinstance(value, bool):
            raise InputError(f'{said} {value!r}: give true or false')
    elif of:
        if value not in of:
            raise InputError(f'{said} {value!r} is unknown: choose one of {", ".join(of)}')
    elif within:
        number = isinstance(value, int if f.name == 'crf' else int | float) and not isinstance(value, bool)
        if not number or not within[0] <= value <= within[1]:
            kind = 'whole number' if f.name == 'crf' else 'number'
            raise InputError(f'{said} {value}: give a {kind} from {within[0]} to {within[1]:g}')
    elif not isinstance(value, str):
        raise InputError(f'{said} {value!r}: give a name')


def _check_together(given: Mapping[str, Any]) -> None:
    """Raises InputError where settings that are not defaults contradict each other."""
    name = lambda key: f'--{key_of(BY_FIELD[key]).replace("_", "-")}'
    look = [f.name for f in LOOK if f.name in given and f.name != 'mode']
    kept = {'original': (), 'raw': ('scale',)}.get(given.get('mode'))
    if kept is not None and (strange := [key for key in look if key not in kept]):
        what = 'leaves frames as they are' if given['mode'] == 'original' else "shows the net's picture as it is"
        raise InputError(f'--mode {given["mode"]} {what}: leave out {", ".join(map(name, strange))}')
    if given.get('colour') == 'hist' and given.get('mode') == 'hist-match':
        raise InputError('--mode hist-match matches histograms already: leave out --colour hist')
    if given.get('stop', math.inf) <= given.get('start', 0):
        raise InputError(f'--to {given["stop"]:g}: is not after --from {given.get("start", 0):g}')
    if 'preview' in given and (strange := [key for key in ('start', 'stop', 'codec', 'crf') if key in given]):
        raise InputError(f'--preview writes one picture: leave out {", ".join(map(name, strange))}')
    if 'crf' in given and given.get('codec', 'h264') not in ('h264', 'hevc'):
        raise InputError(f'--crf is of h264 and hevc; --codec {given["codec"]} has none')
    if given.get('codec') == 'png16' and (strange := [key for key in ('compare', 'mask_view') if key in given]):
        raise InputError(f'--codec png16 writes the face and its alpha: leave out {", ".join(map(name, strange))}')


def seconds(text: str | float) -> float:
    """Seconds of a time as 83.5, '83.5', '01:23.5' or '0:01:23.5'.

    Raises:
        ValueError: it is none.
    """
    if isinstance(text, bool):
        raise ValueError('no time')
    parts = [float(part) for part in str(text).split(':')]
    ok = all(0 <= part < 60 for part in parts[1:]) and all(part == int(part) for part in parts[:-1])
    if len(parts) > 3 or not ok or not 0 <= parts[0] < math.inf:
        raise ValueError('no time')
    return sum(part * 60**n for n, part in enumerate(reversed(parts)))


# Files


def read_settings(path: Path | str) -> Settings:
    """The settings in a TOML file; pictures in it are named from its folder.

    Raises:
        InputError: missing, no TOML, a key that is unknown, a value out of its range, contradictions.
    """
    path = Path(path)
    table = read_toml(path)
    parts = {'range': [], 'person': []}
    for kind, found in parts.items():
        rows = table.pop(kind, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ReadError(path, f'write [[{kind}]], once for each {kind}')
        found += [_part(path, kind, row) for row in rows]
    try:
        made = Settings(**_read(path, table, OWN), ranges=tuple(parts['range']), people=tuple(parts['person']))
        made.check()
        return replace(made, mask_net=str(path.parent / made.mask_net) if made.mask_net else '')
    except InputError as error:
        raise error if isinstance(error, ReadError) else ReadError(path, str(error)) from None


def _part(path: Path, kind: str, row: dict) -> Part:
    extra = {'range': ('from', 'to'), 'person': ('picture',)}[kind]
    own = {key: row[key] for key in extra if key in row}
    changes = tuple(_read(path, row, LOOK, extra, f' of [[{kind}]]').items())
    if kind == 'person':
        if not isinstance(own.get('picture'), str):
            raise ReadError(path, '[[person]] needs a picture of the person: picture = "anna.jpg"')
        return Part(changes, picture=str(path.parent / own['picture']))
    if not own:
        raise ReadError(path, '[[range]] needs from, to or both')
    start, stop = (
        _time(path, key, own[key]) if key in own else other for key, other in (('from', 0.0), ('to', math.inf))
    )
    if stop <= start:
        raise ReadError(path, f'[[range]] to {own["to"]}: is not after from {own.get("from", 0)}')
    return Part(changes, start, stop)


def _read(path: Path, table: dict, known: tuple, extra: tuple = (), where: str = '') -> dict[str, Any]:
    names = {key_of(f): f for f in known}
    if strange := [key for key in table if key not in names and key not in extra]:
        keys = ', '.join([*extra, *names])
        raise ReadError(path, f'unknown key {strange[0]!r}{where}; known: {keys}')
    read = {}
    for key, value in table.items():
        if key not in extra:
            f = names[key]
            read[f.name] = _time(path, key, value) if f.name in TIMES else OTHER_NAMES.get(str(value), value)
    return read


def _time(path: Path, key: str, value: Any) -> float:
    try:
        return seconds(value)
    except ValueError:
        raise ReadError(path, f'{key} {value!r}: give seconds, or a time as "01:23.5"') from None

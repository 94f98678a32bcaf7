"""Names of data: one grammar for configs, verbs and held-out sets.

    NAME          a folder of pictures and videos, a video, a face set, or a tfds dataset that somebody has prepared,
                  which its own name is enough for where tfds keeps it, as celeb_a
    NAME:SPLIT                          a split of a tfds dataset, as cycle_gan's trainA
    render:SEED:COUNT                   rendered: the person SEED talks, see `sets.rendered`
    render:person:WHO:SEED:COUNT        the person WHO, moments drawn by SEED
    render:people:SEED:COUNT            each another person, with labels
    render:talk:SEED:COUNT:FRAMES       clips of people who talk, with sound: for 'clips' and 'speech' alone
    render:figure:SEED:COUNT:FRAMES     clips of flat figures that walk and wave: for 'clips' alone
    render:voices:SEED:COUNT:FRAMES     synthesised voices whose mouths are known: for 'voices' alone
    render:things:SEED:COUNT            things that get in front of faces: for 'masked' alone
    render:...:CONDITION                rendered pictures as a condition of `sets.conditions` shows them
    pair:CONDITION:NAME                 pairs: what a condition makes of a picture, and the picture
    NAME+NAME+...                       several sets as one

A path that exists is that path, whatever its name holds. `str` of what `parse` gives is the name again.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from dfjax.data.media.inputs import ROWS, file_kind
from dfjax.data.sets.conditions import CONDITIONS, check_condition
from dfjax.errors import InputError

INFO = 'dataset_info.json'  # what makes a folder a tfds dataset
FORMS = {  # rendered names by their form: the numbers, and an example
    '': ('SEED:COUNT', '1:256'),
    'person': ('WHO:SEED:COUNT', '1:0:256'),
    'people': ('SEED:COUNT', '1:2000'),
    'talk': ('SEED:COUNT:FRAMES', '1:16:50'),
    'figure': ('SEED:COUNT:FRAMES', '1:16:50'),
    'voices': ('SEED:COUNT:FRAMES', '1:16:250'),
    'things': ('SEED:COUNT', '1:1000'),
}


@dataclass(frozen=True)
class Stored:
    """What lies on a disk; `split` is '' but for tfds datasets."""

    path: str
    split: str = ''
    seed = None

    def __str__(self) -> str:
        return f'{self.path}:{self.split}' if self.split else self.path

    @property
    def folder(self) -> Path:
        """The path; of a tfds dataset the folder with its description, which may lie deeper.

        Raises:
            InputError: if there are several datasets below.
        """
        return prepared_in(Path(self.path))

    def kind(self) -> str:
        """'video', 'images' (a folder of pictures and videos), 'faces' (a face set), 'tfds' or 'tfds faces'.

        Raises:
            InputError: if nothing is there, or something else.
        """
        path = self.folder
        if not path.exists():
            raise InputError(f'{self}: no such folder or video')
        if path.is_file():
            if file_kind(path) != 'video':
                raise InputError(f'{self}: neither a folder of pictures nor a video')
            return 'video'
        if (path / ROWS).is_file():
            return 'faces'
        if (path / INFO).is_file():
            return 'tfds faces' if holds_faces(path) and not self.split else 'tfds'
        return 'images'


@dataclass(frozen=True)
class Rendered:
    """Rendered pictures or clips: `count` of them; `who` and `frames` where the form has them."""

    form: str
    count: int
    drawn: int  # the number SEED
    who: int = 0
    frames: int = 0
    condition: str = ''

    def __str__(self) -> str:
        values = {'WHO': self.who, 'SEED': self.drawn, 'COUNT': self.count, 'FRAMES': self.frames}
        numbers = (str(values[word]) for word in FORMS[self.form][0].split(':'))
        return ':'.join(filter(None, ['render', self.form, *numbers, self.condition]))

    @property
    def seed(self) -> int | None:
        """What other pictures of the same kind differ by; None for render:SEED:COUNT, whose SEED is the person."""
        return self.drawn if self.form else None

    def with_seed(self, seed: int, count: int) -> 'Rendered':
        """Others like these: `count` pictures or clips, drawn by another seed."""
        return replace(self, drawn=seed, count=count)


@dataclass(frozen=True)
class Pair:
    """Pairs of a set's pictures in a condition, and the pictures."""

    condition: str
    of: 'Name'

    def __str__(self) -> str:
        return f'pair:{self.condition}:{self.of}'

    @property
    def seed(self) -> int | None:
        """That of the pictures."""
        return self.of.seed

    def with_seed(self, seed: int, count: int) -> 'Pair':
        """Pairs of others like these; only where `seed` is not None."""
        return replace(self, of=self.of.with_seed(seed, count))


@dataclass(frozen=True)
class Joined:
    """Several sets as one, in order."""

    parts: tuple['Name', ...]
    seed = None

    def __str__(self) -> str:
        return '+'.join(map(str, self.parts))


Name = Stored | Rendered | Pair | Joined


def parse(name: str) -> Name:
    """What a name stands for; whether it exists is `Stored.kind`'s and the openers' to say.

    Raises:
        InputError: if the name is empty, or begins as one of the forms and does not go on as it should.
    """
    if not name:
        raise InputError('the name of the pictures is empty')
    if Path(name).exists():
        return Stored(name)
    if name.startswith('pair:'):
        condition, colon, rest = name.removeprefix('pair:').partition(':')
        if not colon or not rest:
            raise InputError(f'{name}: write pair:CONDITION:NAME, as in pair:edges:photos')
        check_condition(condition)
        return Pair(condition, parse(rest))
    parts = _split(name)
    if not all(parts):
        raise InputError(f'{name}: a name is empty between the +')
    if len(parts) > 1:
        return Joined(tuple(map(parse, parts)))
    if name.startswith('render:'):
        return _rendered(name)
    folder, _, split = name.rpartition(':')
    if folder and (prepared_in(Path(folder)) / INFO).is_file():
        return Stored(folder, split)
    return Stored(name)


def _split(name: str) -> list[str]:
    """The parts between +; those of a rendered set's condition, as mask+landmarks, stay together."""
    word = f'({"|".join(CONDITIONS)})'
    parts = []
    for part in name.split('+'):
        if parts and re.fullmatch(rf'render:.*:{word}(\+{word})*', parts[-1]) and re.fullmatch(word, part):
            parts[-1] += f'+{part}'
        else:
            parts.append(part)
    return parts


def _rendered(name: str) -> Rendered:
    _, *words = name.split(':')
    form = words.pop(0) if words and words[0] in FORMS else ''
    condition = words.pop() if len(words) > 1 and words[-2].isdecimal() and words[-1][:1].isalpha() else ''
    if condition:
        check_condition(condition)
    pattern, example = FORMS[form]
    keys = pattern.split(':')
    values = {k: int(word) for k, word in zip(keys, words) if word.isdecimal()}
    if not len(words) == len(keys) == len(values) or 0 in (values['COUNT'], values.get('FRAMES')):
        prefix = f'render:{form}:' if form else 'render:'
        raise InputError(f'{name}: write {prefix}{pattern}, whole numbers, as in {prefix}{example}')
    return Rendered(form, values['COUNT'], values['SEED'], values.get('WHO', 0), values.get('FRAMES', 0), condition)


def kept_by_tfds() -> Path:
    """The folder that tfds prepares datasets in, where nobody says another."""
    return Path(os.environ.get('TFDS_DATA_DIR') or Path.home() / 'tensorflow_datasets').expanduser()


def holds_faces(folder: Path) -> bool:
    """Whether a tfds dataset is a face set, as `sets.pack` writes them."""
    try:
        return '"polygon"' in (folder / 'features.json').read_text()
    except OSError:
        return False


def prepared_in(folder: Path) -> Path:
    """The folder of the one dataset that tfds has prepared in `folder`, as NAME/VERSION or NAME/CONFIG/VERSION; else
    `folder` itself.

    Raises:
        InputError: if there are several.
    """
    if not folder.exists() and len(folder.parts) <= 2 and (kept := kept_by_tfds() / folder).is_dir():
        folder = kept  # NAME or NAME/CONFIG
    if (folder / INFO).is_file():
        return folder
    versions = ('/'.join(['*'] * deep + ['[0-9]*.[0-9]*.[0-9]*', INFO]) for deep in range(3))
    found = sorted(path.parent for pattern in versions for path in folder.glob(pattern))
    if len(found) > 1:
        names = ', '.join(map(str, found[:5])) + ', ...' * (len(found) > 5)
        raise InputError(f'{folder}: several datasets; name one of them: {names}')
    return found[0] if found else folder

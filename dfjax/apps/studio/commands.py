"""What a person clicked, as the command lines that they would have typed.

`build` takes what the page sends, believes none of it, and gives a job for `jobs.py`: every value is a number within
limits, one of a fixed list, an upload or a run that is there. Words of the page are never paths, and never options.
"""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from dfjax.apps.studio.laying import laid, words_of
from dfjax.apps.studio.store import free_name
from dfjax.apps.studio.uploads import Uploads
from dfjax.errors import InputError

NAME = re.compile(r'[A-Za-z0-9_][\w -]{0,39}')  # an attribute's or a label's
CONFIG = re.compile(r'[a-z0-9_]{1,30}:[a-z0-9_]{1,30}')
COLOURS = ('reinhard', 'none', 'lct', 'mkl', 'idt', 'sot')
PATTERNS = ('strokes', 'mosaic', 'hatching')
PARTS = ('pose', 'eyes', 'brows', 'mouth')
LONGEST = 7 * 24 * 60  # minutes of a training
CONSENTING = ('swap', 'convert', 'animate', 'lipsync', 'edit', 'translate')
WORDS = {'image': 'picture'}
MANY = 50  # uploads of a job


class Form:
    """What the page sent.

    Args:
        said: its JSON.
        uploads, runs: what there is, runs by name.
        folder: DIR.
        taken: names of results that jobs will write.
        consent: what is said of it, for verbs that keep it.
    """

    def __init__(
        self,
        said: Mapping,
        uploads: Uploads,
        runs: Mapping[str, Path],
        folder: Path,
        taken: set[str],
        consent: str = '',
    ):
        self.said, self.uploads, self.runs, self.folder, self.taken = said, uploads, runs, folder, taken
        self.consent = consent
        self.used: dict[str, str] = {}  # names of uploads by their IDs
        self.inputs: dict[str, object] = {}

    def number(self, name: str, least: float, most: float, default: float | None = None) -> float | None:
        """A number of that range."""
        value = self.said.get(name)
        if value is None or value == '':
            return default
        if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
            raise InputError(f'{name}: give a number from {least:g} to {most:g}.')
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of the choices; the first where nothing is said."""
        value = self.said.get(name) or choices[0]
        if value not in choices:
            raise InputError(f'{name}: choose one of {", ".join(choices)}.')
        return value

    def flag(self, name: str) -> bool:
        return self.said.get(name) is True

    def upload(self, name: str, kinds: tuple[str, ...], which: object = None) -> dict:
        """An upload of one of the kinds, free of faults as far as it has been looked at."""
        about = self.uploads.about(self.said.get(name) if which is None else which)
        if about['kind'] not in kinds:
            raise InputError(f'{about["name"]}: give a {" or a ".join(WORDS.get(kind, kind) for kind in kinds)}.')
        if fault := about['look'].get('fault'):
            raise InputError(f'{about["name"]}: {fault}')
        self.used[about['id']] = about['name']
        self.inputs.setdefault(name, {'id': about['id'], 'name': about['name'], 'kind': about['kind']})
        return about

    def several(self, name: str, kinds: tuple[str, ...], least: int = 1) -> list[dict]:
        """Uploads."""
        listed = self.said.get(name)
        if not isinstance(listed, list) or not least <= len(listed) <= MANY:
            raise InputError(f'{name}: give {least} to {MANY} files.')
        return [self.upload(name, kinds, which) for which in listed]

    def person(self, name: str, about: dict) -> Path | None:
        """The picture of a person found in an upload; None where nobody was chosen, or there is nobody else."""
        number = self.said.get(name)
        return None if number is None else self.uploads.person(about['id'], number)

    def run(self, name: str = 'run', needed: bool = True) -> str | None:
        """The folder of a run that is there."""
        said = self.said.get(name)
        if not said and not needed:
            return None
        if not isinstance(said, str) or said not in self.runs:
            raise InputError('Choose a run.')
        return str(self.runs[said])

    def amounts(self, name: str, least: float, most: float) -> dict[str, float]:
        """Numbers by name."""
        said = self.said.get(name)
        if not isinstance(said, Mapping) or not 1 <= len(said) <= MANY or not all(map(NAME.fullmatch, said)):
            raise InputError('Say what to change.')
        within = all(type(v) in (int, float) and least <= v <= most for v in said.values())
        if not within:
            raise InputError(f'Give numbers from {least:g} to {most:g}.')
        return dict(said)

    def config(self) -> str | None:
        """SYSTEM:VARIANT, of a named run; the program says which there are."""
        said = self.said.get('config')
        if said and not (isinstance(said, str) and CONFIG.fullmatch(said)):
            raise InputError('config: choose one of the list.')
        return said or None

    def job(self, verb: str, title: str, words: list[str], suffix: str, *, name: str = '', run: bool = False, **more):
        """A job that writes one result with a name of its own, or the one given."""
        name = name or free_name(self.folder, verb, suffix, self.taken)
        out = str(self.folder / name)
        agreed = [f'--consent={self.consent}'] if self.consent and verb in CONSENTING else []
        words = [verb, *words, *agreed, f'--out={out}']
        job = {'verb': verb, 'title': title, 'out': out, 'run': f'{out}.run' if run else None, 'commands': [words]}
        job |= {'line': f'dfjax {shlex.join(words)}', 'uses': self.used, 'inputs': self.inputs, 'can': []}
        return job | {'minutes': None} | more


def suffix_of(about: dict) -> str:
    """What is written for a picture or a video."""
    return '.png' if about['kind'] == 'image' else '.mp4'


def _swap(form: Form) -> dict:
    faces, into = form.several('face', ('video', 'image')), form.upload('into', ('video', 'image'))
    words, before = [f'--into={into["path"]}', f'--colour={form.choice("colour", COLOURS)}'], []
    paths = [about['path'] for about in faces]
    if (wanted := form.person('whom', faces[0])) and len(faces) == 1 and faces[0]['kind'] == 'image':
        paths = [str(wanted)]  # cut down to the one person
    if (replaced := form.person('person', into)) is not None:
        words.append(f'--person={replaced}')
    if config := form.config():
        words.append(f'--config={config}')
    if start := form.run('start_from', needed=False):
        words.append(f'--start-from={start}')
    minutes = form.number('minutes', 0, LONGEST, 10)
    length = '--instant' if minutes == 0 else f'--minutes={minutes:g}'
    title = f'{_names(faces)} into {into["name"]}'
    job = form.job('swap', title, [length, *words], suffix_of(into), run=True, minutes=minutes or None)
    if wanted and faces[0]['kind'] == 'video':
        paths = [str(Path(job['out']).with_suffix('.faces'))]
        before = [['extract', *(about['path'] for about in faces), f'--person={wanted}', f'--out={paths[0]}']]
    command = [*job['commands'][0], '--face', *paths]
    lines = [*before, command]
    line = ' && '.join(f'dfjax {shlex.join(words)}' for words in lines)
    return job | {'commands': lines, 'line': line, 'can': ['train', *(['now'] if minutes else [])]}


def _convert(form: Form) -> dict:
    into, laying = form.upload('into', ('video', 'image')), laid(form.said, form.run('mask_net', needed=False))
    words = [f'--run={form.run()}', f'--into={into["path"]}', *words_of(laying)]
    if (person := form.person('person', into)) is not None:
        words.append(f'--person={person}')
    return form.job('convert', f'{form.said["run"]} into {into["name"]}', words, suffix_of(into))


def _animate(form: Form) -> dict:
    image = form.upload('image', ('image',))
    words, suffix = [f'--image={image["path"]}'], '.mp4'
    if form.said.get('driving'):
        driving = form.upload('driving', ('video', 'image'))
        words.append(f'--driving={driving["path"]}')
        suffix = suffix_of(driving)
    else:
        seed, seconds = form.number('seed', 0, 10_000, 7), form.number('seconds', 1, 60, 4)
        words.append(f'--driving=talk:{int(seed)}:{seconds:g}')
    if (person := form.person('person', image)) is not None and len(image['look'].get('people', [])) > 1:
        words.append(f'--person={person}')
    if run := form.run(needed=False):
        words.append(f'--run={run}')
    else:
        parts = [part for part in PARTS if form.said.get(part, True) is True]
        if not parts:
            raise InputError('Choose what is to move.')
        words += [f'--drive={",".join(parts)}', f'--gain={form.number("gain", 0, 3, 1):g}']
        words += ['--absolute'] if form.flag('absolute') else []
    return form.job('animate', f'{image["name"]} moves', words, suffix)


def _lipsync(form: Form) -> dict:
    face, audio = form.upload('face', ('video', 'image')), form.upload('audio', ('sound', 'video'))
    words = [f'--face={face["path"]}', f'--audio={audio["path"]}']
    if (person := form.person('person', face)) is not None and len(face['look'].get('people', [])) > 1:
        words.append(f'--person={person}')
    if run := form.run(needed=False):
        words.append(f'--run={run}')
    else:
        words.append(f'--gain={form.number("gain", 0, 3, 1):g}')
    words += [f'--{name}' for name in ('still', 'keep', 'loop') if form.flag(name)]
    return form.job('lipsync', f'{face["name"]} says {audio["name"]}', words, '.mp4')


def _edit(form: Form) -> dict:
    source, amounts = form.upload('input', ('image', 'video')), form.amounts('amounts', -5, 5)
    words = [source['path'], f'--run={form.run()}', *(f'--vector={name}={t:g}' for name, t in amounts.items())]
    words += ['--detail'] if form.said.get('detail', True) is True else []
    return form.job('edit', f'{source["name"]}: {", ".join(amounts)}', words, suffix_of(source))


def _morph(form: Form) -> dict:
    stops = form.several('stops', ('image',), 2)
    words = [*(about['path'] for about in stops), f'--run={form.run()}', *(['--loop'] if form.flag('loop') else [])]
    words += [f'--frames={int(form.number("frames", 1, 500, 24))}', f'--size={int(form.number("size", 16, 2048, 256))}']
    return form.job('morph', _names(stops), words, '.' + form.choice('kind', ('mp4', 'gif', 'webp')))


def _translate(form: Form) -> dict:
    source = form.upload('input', ('image', 'video'))
    words = [source['path'], f'--run={form.run()}']
    if form.said.get('labels'):
        labels = form.amounts('labels', 0, 1)
        words.append('--to=' + ','.join(f'{name}={int(value)}' for name, value in labels.items()))
    elif form.said.get('side'):
        words.append(f'--side={form.choice("side", ("ab", "ba"))}')
    return form.job('translate', source['name'], words, suffix_of(source))


def _stylize(form: Form) -> dict:
    if run := form.run(needed=False):
        source = form.upload('input', ('image', 'video'))
        return form.job('stylize', source['name'], [source['path'], f'--run={run}'], suffix_of(source))
    source = form.upload('input', ('image',))
    if form.said.get('like'):
        style = form.upload('like', ('image',))['path']
    else:
        style = f'pattern:{form.choice("pattern", PATTERNS)}'
    words = [source['path'], f'--style={style}', f'--strength={form.number("strength", 0.05, 20, 1):g}']
    words += [f'--size={int(form.number("size", 32, 2048, 256))}', f'--steps={int(form.number("steps", 1, 1000, 60))}']
    return form.job('stylize', source['name'], words, '.png')


def _sample(form: Form) -> dict:
    words = [f'--run={form.run()}', '-n', str(int(form.number('count', 1, 400, 16)))]
    words += [f'--seed={int(form.number("seed", 0, 2**31 - 1, 0))}']
    return form.job('sample', f'pictures of {form.said["run"]}', words, '.png')


def _export(form: Form) -> dict:
    net = form.said.get('net')
    words = [f'--run={form.run()}']
    if net:
        if not isinstance(net, str) or not NAME.fullmatch(net):
            raise InputError('Choose a net.')
        words.append(f'--net={net}')
    return form.job('export', f'{form.said["run"]}{f": {net}" if net else ""}', words, '.jaxexport')


def _train(form: Form) -> dict:
    """A new run on the pictures that its config names, or a run that is there for so many minutes more."""
    minutes, config = form.number('minutes', 0, LONGEST), form.config()
    name = '' if config else Path(form.run()).relative_to(form.folder).as_posix()
    words = [*([config] if config else []), *([f'--minutes={minutes:g}'] if minutes else [])]
    job = form.job('train', config or name, words, '', name=name, minutes=minutes or None, can=['train'])
    return job | {'run': job['out']}


VERBS: dict[str, Callable[[Form], dict]] = {
    'swap': _swap,
    'convert': _convert,
    'animate': _animate,
    'lipsync': _lipsync,
    'edit': _edit,
    'morph': _morph,
    'translate': _translate,
    'stylize': _stylize,
    'sample': _sample,
    'export': _export,
    'train': _train,
}


def build(form: Form) -> dict:
    """The job that a form asks for.

    Raises:
        InputError: something is missing, or not what it may be.
    """
    verb = form.said.get('verb')
    if not isinstance(verb, str) or verb not in VERBS:
        raise InputError('There is no such job.')
    return VERBS[verb](form)


def _names(abouts: list[dict]) -> str:
    first = abouts[0]['name']
    return first if len(abouts) == 1 else f'{first} and {len(abouts) - 1} more'

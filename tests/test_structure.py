"""The shape of the repository: what imports what, how long files are, and whether the documents tell the truth."""

import ast
import re
import shlex
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from dfjax.apps.cli import VERBS, build_parser, module_name
from dfjax.systems import SYSTEMS

ROOT = Path(__file__).parents[1]
SOURCES = sorted(p for folder in ('dfjax', 'configs', 'train') for p in (ROOT / folder).rglob('*.py'))
DOCUMENTS = sorted([ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')])

# Each package may import itself and what stands before it.
ORDER = ('errors', 'interrupts', 'foreign', 'ranges', 'ops', 'data', 'models', 'weights', 'losses', 'systems', 'config')
ORDER += ('explain', 'configs', 'training', 'inference', 'evaluation', 'apps', 'train')
PRODUCTS = ('einsum', 'matmul', 'dot', 'tensordot', 'vdot', 'inner', 'dot_general', 'vecdot', 'matvec', 'vecmat')
LINES_OF_A_FILE = 300
OTHER_WORDS = {'dfjax/inference/settings.py': {'segment'}}  # names of systems that stand for something else: a mask
LINES_OF_A_FUNCTION = 60
LINES_THAT_SPEAK_FOR_THEMSELVES = 20
HEAVY = ('jax', 'flax', 'optax', 'orbax', 'grain', 'tensorflow_datasets', 'torch', 'cv2', 'av', 'dlib', 'h5py', 'numpy')


def package_of(name: str) -> str | None:
    """Which of ORDER a module belongs to: 'dfjax.data.media' -> 'data'; None for others."""
    parts = name.split('.')
    if parts[0] == 'dfjax':
        parts = parts[1:]
    return parts[0] if parts and parts[0] in ORDER else None


def imports_of(path: Path) -> list[tuple[int, str]]:
    """(line, module) of every import of a file, those inside functions too; `from a import b` gives both readings."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}:{node.lineno}: relative import'
            found += [(node.lineno, f'{node.module}.{alias.name}') for alias in node.names]
    return found


def module_of(path: Path) -> str:
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Python


def test_imports_point_left():
    wrong = []
    for path in SOURCES:
        own = package_of(module_of(path))
        for line, name in imports_of(path):
            other = package_of(name) if name.split('.')[0] in ('dfjax', 'configs', 'train') else None
            if own and other and ORDER.index(other) > ORDER.index(own):
                wrong.append(f'{relative(path)}:{line} imports {name}')
    assert not wrong, '\n'.join(wrong)


def test_media_know_nothing_of_faces_and_sets():
    """Within `data`, files and pictures come first."""
    for path in (ROOT / 'dfjax' / 'data' / 'media').rglob('*.py'):
        above = [name for _, name in imports_of(path) if re.match(r'dfjax\.data\.(?!media|processes)', name)]
        assert not above, f'{relative(path)} imports {above}'


def test_every_package_is_in_the_order():
    packages = {p.parent.name for p in ROOT.glob('dfjax/*/__init__.py')}
    assert packages <= set(ORDER), packages - set(ORDER)


def test_no_star_imports_and_no_utils():
    for path in SOURCES:
        assert path.stem not in ('utils', 'util', 'helpers', 'misc'), relative(path)
        assert not any(name.endswith('.*') for _, name in imports_of(path)), relative(path)


@pytest.mark.parametrize('path', SOURCES, ids=relative)
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= LINES_OF_A_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = len((ast.get_docstring(node, clean=False) or '').splitlines())
            length = node.end_lineno - node.lineno + 1 - docstring
            assert length <= LINES_OF_A_FUNCTION, f'{node.name}: {length} lines'


@pytest.mark.parametrize('path', SOURCES, ids=relative)
def test_modules_classes_and_long_functions_are_documented(path):
    tree = ast.parse(path.read_text())
    if not tree.body:
        return
    assert ast.get_docstring(tree), 'the module has no docstring'
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith('_'):
            long = isinstance(node, ast.ClassDef) or node.end_lineno - node.lineno >= LINES_THAT_SPEAK_FOR_THEMSELVES
            assert ast.get_docstring(node) or not long or node.name == 'add_arguments', f'{node.name} has no docstring'


def test_comments_begin_with_what_they_speak_of():
    """A comment that begins with "of" needs the name beside it to be a sentence: term, unit, then why."""
    wrong = []
    for path in SOURCES:
        with tokenize.open(path) as file:
            comments = [token for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT]
        wrong += [f'{relative(path)}:{c.start[0]}' for c in comments if re.match(r'#\s*of\b', c.string, re.I)]
        before = {c.start[0] for c in comments}
        wrong = [w for w in wrong if not (w.startswith(relative(path)) and int(w.rpartition(':')[2]) - 1 in before)]
    assert not wrong, '\n'.join(wrong)


def test_nothing_reads_pickles():
    """A pickle runs code; checkpoints of other projects are read without."""
    for path in SOURCES:
        for line, name in imports_of(path):
            assert name.split('.')[0] not in ('pickle', 'dill', 'cloudpickle', 'joblib'), f'{relative(path)}:{line}'
        assert 'allow_pickle=True' not in path.read_text(), relative(path)


def inexact_products(tree: ast.AST) -> list[int]:
    """Lines with a product of jnp or lax arrays that does not ask for full float32, or with `@`."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            lines.append(node.lineno)
        if isinstance(node, ast.Attribute) and node.attr in PRODUCTS and getattr(node.value, 'id', '') != 'np':
            lines.append(node.lineno)
    return lines


def test_ops_multiply_by_exact():
    """Places and colours must not be multiplied in bfloat16 or TF32, which accelerators do by default."""
    wrong = []
    for path in [*(ROOT / 'dfjax' / 'ops').glob('*.py'), ROOT / 'dfjax' / 'data' / 'augment.py']:
        if path.stem != 'exact':
            wrong += [f'{relative(path)}:{line}' for line in inexact_products(ast.parse(path.read_text()))]
    assert not wrong, f'use dfjax.ops.exact: {wrong}'
    assert inexact_products(ast.parse('a @ b')) and inexact_products(ast.parse('f(jnp.einsum)'))


def test_the_backend_is_asked_for_in_one_place():
    """An operation that is done otherwise on a CPU chooses by `jax.lax.platform_dependent`, when it is lowered."""
    assert {relative(path) for path in SOURCES if 'default_backend' in path.read_text()} == {'dfjax/ops/backend.py'}


def test_verbs_import_nothing_heavy_at_the_top():
    """Their help must come at once: JAX, OpenCV and the like are imported inside functions."""
    for verb in ('cli', *VERBS):
        path = ROOT / 'dfjax' / 'apps' / f'{module_name(verb)}.py'
        path = path if path.exists() else path.with_suffix('') / '__init__.py'
        tree = ast.parse(path.read_text())
        top = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        names = [a.name for n in top if isinstance(n, ast.Import) for a in n.names]
        names += [n.module for n in top if isinstance(n, ast.ImportFrom)]
        heavy = [name for name in names if name.split('.')[0] in HEAVY]
        assert not heavy, f'{relative(path)} imports {heavy}'


def test_systems_are_the_modules_there_are():
    modules = {p.stem for p in (ROOT / 'dfjax' / 'systems').glob('*.py')} - {'__init__', 'state'}
    assert modules == set(SYSTEMS)
    assert {p.stem for p in (ROOT / 'configs').glob('*.py')} >= set(SYSTEMS)


def test_systems_are_asked_what_they_can_and_not_who_they_are():
    """A system is named in `SYSTEMS` and by its own files alone: verbs find functions, figures and readers by asking.

    Its own are those of its name, wherever they are, `gatys`, which does by optimisation what `style` learns, and the
    bench, whose targets are systems.
    """
    wrong = []
    for path in SOURCES:
        bench = path.is_relative_to(ROOT / 'dfjax/apps/bench')
        if path.stem in (*SYSTEMS, 'gatys') or bench or path == ROOT / 'dfjax/systems/__init__.py':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in set(SYSTEMS) - OTHER_WORDS.get(relative(path), set()):
                wrong.append(f'{relative(path)}:{node.lineno} names {node.value!r}')
        for line, name in imports_of(path):
            if name.removeprefix('dfjax.systems.').split('.')[0] in SYSTEMS:
                wrong.append(f'{relative(path)}:{line} imports {name}')
    assert not wrong, '\n'.join(wrong)


def test_files_found_by_a_systems_name_are_of_systems():
    """In folders where modules are found by name, the others are those that all share."""
    shared = {
        'evaluation': {
            'animation',
            'classifier',
            'frechet',
            'held_out',
            'lipsync',
            'measure',
            'metrics',
            'reference',
            'report',
            'swap',
            'worker',
        },
        'weights': {'arrays', 'dlib', 'layers', 'pickles', 'reader', 'torch_files', 'vgg'},
    }
    shared['weights'] |= {'limits', 'safetensor_files', 'strangers', 'variants'}
    for folder, others in shared.items():
        there = {p.stem for p in (ROOT / 'dfjax' / folder).glob('*.py')} - {'__init__'}
        assert there - others <= set(SYSTEMS), folder


# Documents


def commands_in(path: Path) -> list[str]:
    """The shell commands of a document: lines of code blocks and inline code that begin with `dfjax` or `python -m`."""
    text = path.read_text().replace('\\\n', ' ')
    blocks = re.findall(r'```[^\n]*\n(.*?)```', text, re.S) + re.findall(r'(?:^|\n)((?:    [^\n]*\n)+)', text)
    inline = re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', text, flags=re.S))
    lines = [line for block in blocks for line in block.splitlines()] + inline
    commands = []
    for line in lines:
        line = line.split(' #')[0].strip().removeprefix('$ ')
        for part in re.split(r'\s*&&\s*|\s*;\s*', line):
            if re.match(r'(dfjax|python3? -m train\.main)\s', part):
                commands.append(part)
    return commands


def docstring_commands() -> list[tuple[str, str]]:
    """(file, command) of the indented command lines in module docstrings, and of the examples of verbs."""
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        docstring = (ast.get_docstring(tree) or '').replace('\\\n', ' ')
        for line in docstring.splitlines():
            line = line.strip()
            if re.match(r'(dfjax [a-z]+ -|python -m train\.main)', line):
                found.append((relative(path), line))
        for node in tree.body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'EXAMPLE':
                found.append((relative(path), ast.literal_eval(node.value)))
    return found


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    """`train` is no part of the installed package: commands run it from the root."""
    monkeypatch.syspath_prepend(ROOT)


def check_command(command: str) -> None:
    """Parses a command as the program would, without running it."""
    words = [w for w in shlex.split(command) if w not in ('…', '...')]
    if words[0] == 'dfjax':
        assert len(words) > 1
        if words[1].startswith('-') or words[1].isupper():  # dfjax --help; `dfjax VERB --help`
            return
        assert words[1] in VERBS, f'there is no verb {words[1]}'
        if '--help' in words or len(words) == 2:
            return
        build_parser(words[1], words[2:]).parse_args(words[2:])
        return
    from dfjax.config import load_config
    from train.main import parser

    args, rest = parser().parse_known_args(words[words.index('-m') + 2 :])
    load_config(str(ROOT / args.config), rest)


@pytest.mark.parametrize('path', DOCUMENTS, ids=relative)
def test_commands_in_documents_parse(path):
    for command in commands_in(path):
        try:
            check_command(command)
        except SystemExit:
            pytest.fail(f'{relative(path)}: this does not parse: {command}')


def test_commands_in_docstrings_parse():
    commands = docstring_commands()
    assert len(commands) >= 8
    for path, command in commands:
        try:
            check_command(command)
        except SystemExit:
            pytest.fail(f'{path}: this does not parse: {command}')


def test_files_named_in_documents_exist():
    for path in DOCUMENTS:
        text = path.read_text()
        for target in re.findall(r'\]\(([^)#]+)\)', text):
            if not re.match(r'[a-z]+:', target):
                assert (path.parent / target).exists(), f'{relative(path)} points to {target}'
        for name in re.findall(r'`((?:dfjax|configs|train|tests|notebooks|docs)/[\w./-]+)`', text):
            assert (ROOT / name).exists(), f'{relative(path)} names {name}'


def test_every_requirement_has_a_lower_bound():
    listed = re.findall(
        r"""^ +['"]([\w-]+[^'"]*?)(?:; sys_platform != 'win32')?['"],""", (ROOT / 'setup.py').read_text(), re.M
    )
    assert len(listed) > 25
    assert not [name for name in listed if not re.fullmatch(r'[\w-]+>=[\d.]+(,!=[\d.]+)?', name)]


def test_help_does_not_import_jax():
    code = (
        'import sys, contextlib, io\n'
        'from dfjax.apps.cli import main\n'
        'with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n'
        '    main(["--help"])\n'
        f'print([name for name in {HEAVY!r} if name in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'

"""The command line: help with an example, bad input in one line, the report, the cost of starting."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from dfjax.apps import bench, cli
from dfjax.apps.bench import systems as bench_systems
from dfjax.errors import InputError

# Modules that `dfjax --help` may load beyond a bare interpreter's; JAX alone would be hundreds.
MODULES = 90

BAD = {  # verb: arguments of an input that is not there
    'swap': ['--face', '{none}', '--into', '{none}', '-o', '{out}.mp4', '--steps', '1'],
    'animate': ['--image', '{none}', '--driving', 'talk', '-o', '{out}.mp4'],
    'extract': ['{none}', '-o', '{out}'],
    'sort': ['{none}', '--by', 'blur'],
    'check': ['{none}'],
    'mask': ['--run', '{none}', '{none}', '-o', '{out}.png'],
    'pack': ['{none}', '-o', '{out}'],
    'train': ['vae:smoke', '-o', '{out}', '--data', '{none}'],
    'config': ['{none}'],
    'runs': ['{none}'],
    'preview': ['--run', '{none}', '-o', '{out}.jpg'],
    'watch': ['{none}', '--no-browser'],
    'people': ['{none}', '-o', '{out}.jpg'],
    'batch': ['{none}'],
    'convert': ['--run', '{none}', '--into', '{none}', '-o', '{out}.mp4'],
    'evaluate': ['--swap', '{none}', '--input', '{none}', '--face', '{none}'],
    'verify': ['{none}'],
    'data': ['convert', '{none}', '{out}'],
    'import': ['stargan', 'g={none}', '-o', '{out}'],
    'apply': ['--run', '{none}', '--input', '{none}', '--output', '{out}.npz'],
    'export': ['--run', '{none}', '-o', '{out}'],
    'translate': ['--run', '{none}', '{none}', '-o', '{out}.png'],
    'edit': ['--run', '{none}', '--vector', 'smile=1', '{none}', '-o', '{out}.png'],
    'lipsync': ['--face', '{none}', '--audio', '{none}', '-o', '{out}.mp4'],
    'morph': ['--run', '{none}', '{none}', '{none}', '-o', '{out}.gif'],
    'sample': ['--run', '{none}', '-o', '{out}.png'],
    'stylize': ['{none}', '--style', 'pattern:mosaic', '-o', '{out}.png'],
}
NO_INPUT = ('demo', 'doctor', 'studio', 'bench')  # verbs that read nothing


def run(*words: str, **options) -> subprocess.CompletedProcess:
    """The program in a process of its own."""
    return subprocess.run([sys.executable, '-m', 'dfjax.apps.cli', *words], capture_output=True, text=True, **options)


@pytest.fixture
def verb(monkeypatch):
    """A verb whose `run` is a function of the test's choice."""

    def install(function) -> str:
        module = type(sys)('dfjax.apps.toy')
        module.add_arguments = lambda parser: None
        module.run = function
        monkeypatch.setitem(sys.modules, 'dfjax.apps.toy', module)
        monkeypatch.setitem(cli.VERBS, 'toy', 'do as the test says')
        return 'toy'

    return install


def raising(error: BaseException):
    def function(args):
        raise error

    return function


@pytest.mark.parametrize('name', list(cli.VERBS))
def test_help_has_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, '--help'])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert f'usage: dfjax {name}' in text and '--json' in text
    assert 'example' in text.lower() and f'dfjax {name}' in text[text.lower().index('example') :]


def test_help_lists_every_verb(capsys):
    for words in (['--help'], []):
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
        text = capsys.readouterr().out
        for name, line in cli.VERBS.items():
            assert name in text and line in text


def test_every_verb_is_a_module_and_every_bad_input_is_tried():
    folder = Path(cli.__file__).parent
    names = [cli.module_name(verb) for verb in cli.VERBS]
    assert all((folder / f'{name}.py').exists() or (folder / name).is_dir() for name in names)
    assert set(BAD) | set(NO_INPUT) == set(cli.VERBS)


@pytest.mark.parametrize(
    'words', [['swpa'], ['--nonsense'], ['extract'], ['sort', 'x', '--by', 'colour'], ['bench', 'x']]
)
def test_a_wrong_command_says_how_it_is_used(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert 'usage: dfjax' in capsys.readouterr().err


@pytest.mark.parametrize(
    'words, line',
    [
        (['swp'], "there is no verb 'swp'; did you mean 'swap'?"),
        (['trian', 'vae'], "there is no verb 'trian'; did you mean 'train'?"),
        (['xyzzy'], "there is no verb 'xyzzy'; `dfjax --help` lists them"),
    ],
)
def test_a_misspelt_verb_is_answered_with_the_one_that_was_meant(words, line, capsys):
    with pytest.raises(SystemExit):
        cli.main(words)
    assert capsys.readouterr().err.strip().endswith(line)


@pytest.mark.parametrize('words', [['--color', 'lab'], ['--color=lab']])
def test_colour_may_be_spelt_as_in_america(words, tmp_path, capsys):
    paths = [str(tmp_path / name) for name in 'abc']
    assert cli.main(['swap', '--face', paths[0], '--into', paths[1], '-o', f'{paths[2]}.mp4', *words]) == 2
    assert "'lab'" in capsys.readouterr().err


@pytest.mark.parametrize('name', list(BAD))
def test_a_missing_file_is_named_in_one_line(name, tmp_path, capfd):
    names = {'none': str(tmp_path / 'not-there'), 'out': str(tmp_path / 'out')}
    status = cli.main([name, *(word.format(**names) for word in BAD[name])])
    out, err = capfd.readouterr()
    assert status == 2
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith('dfjax: ') and 'not-there' in lines[0]
    assert out == ''
    assert not list(tmp_path.iterdir()), 'something was left behind'


def test_bad_input_from_outside(tmp_path):
    done = run('extract', str(tmp_path / 'not-there.mp4'), '-o', str(tmp_path / 'faces'))
    assert done.returncode == 2 and done.stdout == ''
    assert 'not-there.mp4' in done.stderr and 'Traceback' not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_input_errors_exit_2_and_bugs_keep_their_traceback(verb, capsys):
    assert cli.main([verb(raising(InputError('a.mp4: is a potato')))]) == 2
    assert capsys.readouterr().err == 'dfjax: a.mp4: is a potato\n'
    with pytest.raises(ZeroDivisionError):
        cli.main([verb(raising(ZeroDivisionError()))])


def test_ctrl_c_exits_130(verb, capsys):
    assert cli.main([verb(raising(KeyboardInterrupt()))]) == 130
    assert 'Traceback' not in capsys.readouterr().err


def test_quiet_says_the_report_and_what_went_wrong(verb, capsys):
    def chatty(args):
        from tqdm import tqdm

        from dfjax.data.media.progress import say

        say('a note')
        print('faces: 3', file=sys.stderr)
        for _ in tqdm(range(3), 'a bar'):
            pass
        return {'frames': 10}

    assert cli.main([verb(chatty)]) == 0
    said = capsys.readouterr().err
    assert all(words in said for words in ('a note', 'faces: 3', 'a bar: 100%'))
    assert cli.main([verb(chatty), '-q']) == 0
    assert capsys.readouterr() == ('frames  10\n', '')
    assert cli.main([verb(raising(InputError('a.mp4: is a potato'))), '--quiet']) == 2
    assert capsys.readouterr().err == 'dfjax: a.mp4: is a potato\n'
    with pytest.raises(SystemExit):
        cli.main([verb(chatty), '-q', '-v'])


def test_verbose_says_where_an_error_comes_from(verb, monkeypatch):
    monkeypatch.setenv('DFJAX_DEBUG', '')  # and as it was after the test
    with pytest.raises(InputError, match='potato'):
        cli.main([verb(raising(InputError('a.mp4: is a potato'))), '-v'])


def test_json_is_the_last_line_and_one_line(verb, capsys):
    report = {'psnr': 24.25, 'frames': 10, 'files': [Path('a'), Path('b')], 'nested': {'ok': True}}
    assert cli.main([verb(lambda args: report), '--json']) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert json.loads(last) == {'psnr': 24.25, 'frames': 10, 'files': ['a', 'b'], 'nested': {'ok': True}}


def test_the_table_names_every_figure(verb, capsys):
    assert cli.main([verb(lambda args: {'psnr': 24.2468, 'frames': 10, 'left out': ['a.png: blurred']})]) == 0
    out = capsys.readouterr().out
    assert '24.25' in out and 'frames' in out and 'a.png: blurred' in out


@pytest.mark.parametrize('ok, status', [(True, 0), (False, 1)])
def test_a_report_that_says_no_exits_1(verb, ok, status):
    assert cli.main([verb(lambda args: {'ok': ok})]) == status


def test_version():
    import dfjax

    done = run('--version')
    assert done.returncode == 0 and done.stdout.strip() == f'dfjax {dfjax.__version__}'


def test_starting_loads_few_modules():
    """Counted, not timed: the clock depends on the machine."""
    help_ = (
        'import contextlib, io\n'
        'from dfjax.apps.cli import main\n'
        'with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(["--help"])'
    )
    for code, most in (('import dfjax', 5), (help_, MODULES)):
        code = f'import sys\nbefore = set(sys.modules)\n{code}\nprint(len(set(sys.modules) - before))'
        done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
        assert int(done.stdout) <= most


@pytest.mark.parametrize('name', list(cli.VERBS))
def test_help_of_a_verb_imports_no_jax(name):
    code = (
        'import sys, contextlib, io\nfrom dfjax.apps.cli import main\n'
        f'with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(["{name}", "--help"])\n'
        'print([m for m in ("jax", "cv2", "av", "torch") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


def test_closed_sets_are_those_of_the_library():
    """They are written out where they are read, so that help needs no NumPy."""
    from dfjax.data.faces.align import FACE_TYPES
    from dfjax.data.faces.detect import DETECTORS
    from dfjax.inference.choices import SOLVERS

    for verb, option, names in [
        ('extract', '--face-type', FACE_TYPES),
        ('extract', '--detector', DETECTORS),
        ('convert', '--detector', DETECTORS),
        ('evaluate', '--solver', SOLVERS),
    ]:
        (action,) = [a for a in cli.build_parser(verb)._actions if option in a.option_strings]
        assert set(action.choices) == set(names), (verb, option)


def test_the_options_of_a_bench(monkeypatch):
    monkeypatch.setattr(bench_systems, 'run', lambda system, variant, changes=None: (system, variant, changes))
    words = lambda target, batch_size=None, variant=None: argparse.Namespace(**locals())
    assert bench.run(words('stargan', 10)) == ('stargan', 'paper', {'batch_size': 10})
    assert bench.run(words('vae', variant='gpu')) == ('vae', 'gpu', None)
    with pytest.raises(InputError, match='--batch-size does not go with extract'):
        bench.run(words('extract', 10))
    with pytest.raises(InputError, match='--variant does not go with render'):
        bench.run(words('render', variant='paper'))

"""Configs: what a command line may change, and the line for what it may not."""

import pytest
from ml_collections import ConfigDict

from dfjax.configs.common import build, flatten, load_config, parse_overrides
from dfjax.errors import InputError
from train.main import main

DEFAULT = ConfigDict(
    dict(steps=100, rate=1e-3, flip=False, name='x', widths=(1, 2), limit=None, model=dict(width=3, deep=dict(a=1)))
)
FILE = """
from ml_collections import ConfigDict
from dfjax.configs.common import build
VARIANTS = {'small': {'steps': 5}, 'large': {'steps': 500}}
def get_config(variant='small'):
    return build(ConfigDict(dict(steps=1, rate=0.5)), VARIANTS[variant])
"""


def read(*words):
    return dict(flatten(build(DEFAULT, parse_overrides(words, DEFAULT))))


def test_values_are_read_as_the_type_of_their_default():
    words = ('steps=20_000', 'rate=1e-4', 'flip=True', 'name=1', 'widths=4,5,6', 'limit=7', 'model.deep.a=9')
    cfg = read(*(f'--config.{word}' for word in words))
    assert cfg == {
        'steps': 20000,
        'rate': 1e-4,
        'flip': True,
        'name': '1',
        'widths': (4, 5, 6),
        'limit': 7,
        'model.width': 3,
        'model.deep.a': 9,
    }
    assert [type(cfg[k]) for k in ('steps', 'rate', 'flip', 'widths')] == [int, float, bool, tuple]


def test_a_whole_number_may_stand_for_a_float_and_a_list_for_a_tuple():
    cfg = build(DEFAULT, {'rate': 1, 'widths': [3], 'model': {'width': 4}})
    assert (cfg.rate, type(cfg.rate), cfg.widths, cfg.model.width) == (1.0, float, (3,), 4)


def test_the_default_stays_as_it_is_and_the_result_takes_no_new_key():
    cfg = build(DEFAULT, {'model.width': 5})
    assert DEFAULT.model.width == 3
    with pytest.raises(AttributeError):
        cfg.new = 1


@pytest.mark.parametrize(
    ('word', 'line'),
    [
        ('--config.step=1', "config key 'step' does not exist; did you mean 'steps'?"),
        ('--config.width=1', "config key 'width' does not exist; did you mean 'model.width'?"),
        ('--config.model.depe.a=1', "did you mean 'model.deep.a'?"),
        ('--config.model=1', "'model' is a section"),
        ('--config.steps=many', "config key 'steps' is int (default 100), and cannot be 'many'"),
        ('--config.steps=1.5', "config key 'steps' is int (default 100), and cannot be 1.5"),
        ('--config.steps=true', 'cannot be True'),
        ('--config.flip=1', "config key 'flip' is bool (default False), and cannot be 1"),
        ('--config.rate=fast', "config key 'rate' is float"),
        ('--config.steps', '--config.batch_size=32'),
        ('steps=1', '--config.batch_size=32'),
    ],
)
def test_a_misspelt_key_or_a_wrong_type_is_one_line(word, line):
    with pytest.raises(InputError) as error:
        read(word)
    assert line in str(error.value)
    assert '\n' not in str(error.value)


def test_load_config_takes_a_file_and_a_variant(tmp_path):
    path = tmp_path / 'c.py'
    path.write_text(FILE)
    assert load_config(str(path)).steps == 5
    assert load_config(f'{path}:large').steps == 500
    assert load_config(f'{path}:large', ['--config.rate=2']).rate == 2.0


@pytest.mark.parametrize(
    ('name', 'line'),
    [
        ('c.py:huge', "there is no variant 'huge'; there are: small, large"),
        ('d.py', 'no such config file'),
        ('c.txt', 'not a Python file'),
        ('e.py', 'it has no get_config()'),
    ],
)
def test_a_config_that_is_not_there_is_one_line(tmp_path, name, line):
    (tmp_path / 'c.py').write_text(FILE)
    (tmp_path / 'c.txt').write_text(FILE)
    (tmp_path / 'e.py').write_text('')
    with pytest.raises(InputError, match=line.replace('(', r'\(').replace(')', r'\)')):
        load_config(str(tmp_path / name))


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        (['--config', 'none.py'], 'none.py: no such config file'),
        (['--config', 'configs/faceswap.py:smoke', '--config.bach_size=3'], "did you mean 'batch_size'?"),
        (['--config', 'configs/faceswap.py:smoke', '--config.batch_size=x'], 'is int'),
        (['--config', 'configs/faceswap.py:smoke', '--config.data.size=30'], 'data.size is 32 with this model.decoder'),
        (['--config', 'configs/faceswap.py:smoke', '--config.data.a=nobody'], 'nobody'),
        (['--config', 'configs/faceswap.py', '--process', '1'], 'give all of --coordinator'),
        (
            ['--config', 'configs/faceswap.py', '--coordinator', 'h:1', '--processes', '2', '--process', '2'],
            '--process 2 is not one of 0 to 1',
        ),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line_and_exits_with_2(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('sys.argv', ['main', *words, '--workdir', str(tmp_path / 'w')])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert line in said
    assert said.count('\n') == 1
    assert 'Traceback' not in said

"""Configs: what a command line may change, and the line for what it may not."""

import json
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from dfjax import config
from dfjax.config import build, flatten, load_config, parse_overrides
from dfjax.errors import InputError
from dfjax.ranges import choice, positive, share, size
from dfjax.systems import SYSTEMS, load_system
from dfjax.training.workdir import read_config
from train.main import main

DEFAULT = ConfigDict(
    dict(steps=100, rate=1e-3, flip=False, name='x', widths=(1, 2), limit=None, model=dict(width=3, deep=dict(a=1)))
)
FILE = """
from dfjax.config import build
from dfjax.systems import vae
VARIANTS = {'small': {'steps': 5}, 'large': {'steps': 500}}
def get_config(variant='small'):
    cfg = build(vae.default_config(), VARIANTS[variant])
    return cfg
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
    shares = build(ConfigDict(dict(shares=[0.5])), {'shares': (1, 0.25)}).shares
    assert shares == [1.0, 0.25] and type(shares[0]) is float


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
        ('--config.widths=["a"]', "config key 'widths[0]' is int (default 1), and cannot be 'a'"),
        ('--config.widths=[1, [2]]', "config key 'widths[1]' is int (default 1), and cannot be [2]"),
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
    assert load_config(f'{path}:large', ['--config.ema=0']).ema == 0.0


@pytest.mark.parametrize(
    ('name', 'line'),
    [
        ('c.py:huge', "there is no variant 'huge'; there are: small, large"),
        ('d.py', 'no such config file'),
        ('c.txt', 'not a Python file'),
        ('e.py', 'it has no get_config()'),
        ('f.py', 'get_config() gives no ConfigDict with a system'),
    ],
)
def test_a_config_that_is_not_there_is_one_line(tmp_path, name, line):
    (tmp_path / 'c.py').write_text(FILE)
    (tmp_path / 'c.txt').write_text(FILE)
    (tmp_path / 'e.py').write_text('')
    (tmp_path / 'f.py').write_text('def get_config(): pass')
    with pytest.raises(InputError, match=line.replace('(', r'\(').replace(')', r'\)')):
        load_config(str(tmp_path / name))


def test_ranges_stand_beside_their_defaults_and_stay_there():
    default = ConfigDict(dict(part=share(0.5), sides=size([4, 8]), kind=choice('a', 'ab'), over=positive(2), low=-1.0))
    default.part = 1.0  # another default, in the same range
    cfg = build(build(default, {'over': 1}), {'sides': (16,)})
    assert cfg.to_dict() == {'part': 1.0, 'sides': [16], 'kind': 'a', 'over': 1, 'low': -1.0}
    assert default.to_dict() == {'part': 1.0, 'sides': [4, 8], 'kind': 'a', 'over': 2, 'low': -1.0}
    for key, value, line in [
        ('part', 1.5, 'from 0 to 1, not 1.5'),
        ('sides', [4, 0], 'from 1 to 16384, not 0'),
        ('kind', 'c', "one of a, b, not 'c'"),
        ('over', 0, 'above 0, not 0'),
        ('low', float('nan'), 'a finite number, not nan'),
    ]:
        for start in (default, cfg):
            with pytest.raises(InputError) as error:
                build(start, {key: value})
            assert str(error.value) == f'config key {key!r} is {line}'
    default.part = 2.0
    with pytest.raises(InputError, match="'part' is from 0 to 1"):
        build(default, {})


@pytest.mark.parametrize('value', [[[]], [None, [3]], ['x'], [{}]])
def test_what_cannot_be_compared_is_out_of_any_range(value):
    with pytest.raises(InputError, match=r"config key 'sides'(\[\d\])? is "):
        build(ConfigDict(dict(sides=size([]))), {'sides': value})


@pytest.mark.parametrize('system', SYSTEMS)
def test_the_line_for_an_unknown_key_is_short_however_many_keys_there_are(system):
    for key in ('', '\ud800', 'x' * 5000, 'optimizer.' + 'ston' * 999):
        with pytest.raises(InputError, match='does not exist') as error:
            build(load_system(system).default_config(), {key: 1})
        assert len(str(error.value)) < 600 and '\n' not in str(error.value)


@pytest.mark.parametrize('system', SYSTEMS)
def test_no_whole_number_of_a_system_may_be_absurd(system):
    """But for bytes, which are compared and not taken, and steps, which only take time."""
    default = load_system(system).default_config()
    build(default, {})
    for key, value in flatten(default):
        numbers = value if isinstance(value, list) else [value]
        if type((numbers or [''])[0]) is int and key != 'data.resident_bytes':
            with pytest.raises(InputError, match=f'config key {key!r} is '):
                build(default, {key: [2**31] if isinstance(value, list) else 2**31})


def test_a_stored_config_is_in_the_same_ranges(tmp_path):
    stored = json.dumps(load_config('vae:smoke').to_dict())
    (tmp_path / 'config.json').write_text(stored)
    assert read_config(tmp_path) == load_config('vae:smoke')
    (tmp_path / 'config.json').write_text(stored.replace('"flip": 0.0', '"flip": 7.0'))
    with pytest.raises(InputError, match=r"config\.json: config key 'flip' is from 0 to 1, not 7\.0"):
        read_config(tmp_path)


def said_by_main(words, folder, monkeypatch, capsys) -> str:
    """The one line with which training a config ends at once."""
    monkeypatch.setattr('sys.argv', ['main', *words, '--workdir', str(folder / 'w')])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.count('\n') == 1
    assert 'Traceback' not in said
    return said


@pytest.mark.parametrize(
    ('line', 'said'),
    [
        ('cfg.bach_size = 4', 'c.py:7: AttributeError: \'Key "bach_size" does not exist'),
        ('cfg.bach_size = 4', 'Did you mean "batch_size" instead of "bach_size"?'),
        ("cfg.batch_size = 'four'", "c.py:7: TypeError: Could not override field 'batch_size'"),
        ('cfg.batch_size = = 4', 'c.py:7: SyntaxError: invalid syntax'),
        ('import notthere', "c.py:7: ModuleNotFoundError: No module named 'notthere'"),
        (
            "cfg = build(cfg, {'bach_size': 4})",
            "c.py:7: config key 'bach_size' does not exist; did you mean 'batch_size'",
        ),
        ('cfg = vae.default_config(); cfg.bach_size = 4', "c.py: config key 'bach_size' does not exist; did you mean"),
        ('cfg.batch_size = 0', "c.py: config key 'batch_size' is from 1 to 16384, not 0"),
    ],
)
def test_a_mistake_in_a_config_file_is_one_line_that_says_where(line, said, tmp_path, monkeypatch, capsys):
    path = tmp_path / 'c.py'
    path.write_text(FILE.replace('    return cfg', f'    {line}\n    return cfg'))
    assert said in said_by_main(['--config', str(path)], tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ('word', 'line'),
    [
        ('steps=0', "'steps' is from 1 to 2147483647, not 0"),
        ('batch_size=0', "'batch_size' is from 1 to 16384, not 0"),
        ('log_every=-5', "'log_every' is from 0 to 2147483647, not -5"),
        ('checkpoint_every=-1', "'checkpoint_every' is from 0 to 2147483647, not -1"),
        ('preview_every=-1', "'preview_every' is from 0 to 2147483647, not -1"),
        ('data.size=0', "'data.size' is from 1 to 16384, not 0"),
        ('dtype=foo', "'dtype' is one of auto, float32, bfloat16, not 'foo'"),
        (
            'optimizer.schedule=consine',
            "'optimizer.schedule' is one of constant, cosine, linear, milestones, not 'consine'",
        ),
        ('optimizer.lr=NaN', "'optimizer.lr' is 0 or more, not nan"),
        ('ema=7', "'ema' is 0 or more and below 1, not 7.0"),
        ('loss.l1=-1', "'loss.l1' is 0 or more, not -1.0"),
        ('augment.flip=7', "'augment.flip' is from 0 to 1, not 7.0"),
        ('seed=4294967296', "'seed' is from 0 to 2147483647, not 4294967296"),
        ('model.encoder.patch=0', "'model.encoder.patch' is from 1 to 16384, not 0"),
        ('model.encoder.widths=[8,0]', "'model.encoder.widths' is from 1 to 16384, not 0"),
        ('input_size=33', 'config key input_size is a multiple of model.encoder.patch, 4, not 33'),
        (
            'model.encoder.bottleneck_grid=[4]',
            'model.encoder.bottleneck_grid is a side and a number of channels, not [4]',
        ),
        ('model.encoder.widths=["a"]', "'model.encoder.widths[0]' is int (default 8), and cannot be 'a'"),
        ('loss.window=64', 'config key loss.window is odd and from 3 to data.size, 32, not 64'),
        ('loss.window=4', 'config key loss.window is odd'),
        ('batch_size=1000000000', "'batch_size' is from 1 to 16384, not 1000000000"),
        ('optimizer.lr=Infinity', "'optimizer.lr' is 0 or more, not inf"),
        ('data.face_type=nose', "'data.face_type' is one of half, mid, full, whole_face, head, not 'nose'"),
    ],
)
def test_a_value_out_of_its_range_is_one_line(word, line, tmp_path, monkeypatch, capsys):
    words = ['--config', 'configs/faceswap.py:smoke', f'--config.{word}']
    assert line in said_by_main(words, tmp_path, monkeypatch, capsys)


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
    assert line in said_by_main(words, tmp_path, monkeypatch, capsys)


def test_named_runs_are_found_in_a_checkout_and_in_an_installed_package(tmp_path, monkeypatch):
    """Beside the package in a checkout; inside it where it is installed, which comes first."""
    assert config.config_file('faceswap') == Path(__file__).parents[1] / 'configs' / 'faceswap.py'
    monkeypatch.setattr(config, 'PACKAGE', tmp_path / 'site-packages' / 'dfjax')
    with pytest.raises(InputError, match="no named runs of 'faceswap'"):
        config.config_file('faceswap')
    for folder in (tmp_path / 'site-packages', tmp_path / 'site-packages' / 'dfjax'):
        (folder / 'configs').mkdir(parents=True)
        path = folder / 'configs' / 'faceswap.py'
        path.write_text('')
        assert config.config_file('faceswap') == path

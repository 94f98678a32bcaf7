"""A run that cannot be trained is refused in one line, and leaves nothing behind."""

import pytest

from dfjax.errors import InputError
from train.main import run


@pytest.mark.parametrize(
    'system, words, line',
    [
        ('pix2pix', ['data.source='], 'config keys data.source, or data.a and data.b, are empty'),
        ('cyclegan', ['data.a='], 'config key data.a is empty'),
        ('stargan', ['data.source='], 'config key data.source is empty'),
        ('faceswap', ['data.b='], 'config key data.b is empty'),
        ('vae', ['data.source='], 'config key data.source is empty'),
        ('cyclegan', ['data.a=nowhere'], 'nowhere: no such folder'),
        ('stargan', ['n_critic=0'], "config key 'n_critic' is from 1"),
        ('cyclegan', ['replay=-1'], "config key 'replay' is from 0 to 16384, not -1"),
    ],
)
def test_nothing_is_written_for_a_run_that_cannot_start(system, words, line, tmp_path):
    folder = tmp_path / 'w'
    words = ['--config', f'configs/{system}.py:smoke', '--workdir', str(folder), *(f'--config.{w}' for w in words)]
    with pytest.raises(InputError, match=line) as error:
        run(words)
    assert '\n' not in str(error.value)
    assert not folder.exists()

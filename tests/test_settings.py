"""Settings of the merger: one table for the command line, files and Python, and what contradicts itself."""

import argparse
import math

import pytest

from dfjax.apps import convert, swap
from dfjax.errors import InputError
from dfjax.inference.settings import LOOK, OWN, Part, Settings, read_settings, seconds

TOML = """
colour = 'rct'
erode = 0.01
crf = 20
from = '00:01'
[[range]]
from = '00:10'
to = 25
mode = 'seamless'
[[range]]
from = '0:00:20.5'
erode = 0.03
[[person]]
picture = 'anna.jpg'
colour = 'mkl'
erode = 0.02
"""


def written(folder, text):
    path = folder / 'look.toml'
    path.write_text(text)
    return path


def test_a_file_says_what_holds_when_and_for_whom(tmp_path):
    made = read_settings(written(tmp_path, TOML))
    assert (made.colour, made.erode, made.crf, made.span) == ('reinhard', 0.01, 20, (1.0, math.inf))
    assert made.people[0].picture == str(tmp_path / 'anna.jpg')
    looks = {(time, who): made.look(time, who) for time in (0, 10, 24.9, 25) for who in (None, 0)}
    assert [looks[t, None].mode for t in (0, 10, 24.9, 25)] == ['overlay', 'seamless', 'seamless', 'overlay']
    assert [looks[t, None].erode for t in (0, 10, 24.9, 25)] == [0.01, 0.01, 0.03, 0.03]
    assert [looks[t, 0].erode for t in (0, 10, 24.9, 25)] == [0.02, 0.02, 0.03, 0.03]  # the moment goes before
    assert looks[0, 0].colour == 'mkl' and looks[0, None].crf is None  # no part of how a face looks


@pytest.mark.parametrize('verb', [convert, swap])
def test_every_setting_is_an_option_and_goes_over_the_file(tmp_path, verb):
    from dfjax.apps.merging import settings_of

    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    rest = ['--into', 'v', '-o', 'o', '--run', 'w'] if verb is convert else ['--face', 'f', '--into', 'v', '-o', 'o']
    words = ['--settings', str(written(tmp_path, TOML)), '--erode', '-0.05', '--from', '01:02.5', '--no-steady']
    made = settings_of(parser.parse_args([*rest, *words]))
    assert (made.erode, made.start, made.steady, made.crf) == (-0.05, 62.5, False, 20)
    assert settings_of(parser.parse_args(rest)) == Settings()
    assert settings_of(parser.parse_args([*rest, '--seamless'])).mode == 'seamless'
    listed = parser.format_help()
    assert all((f.metadata['name'] or f.name).replace('_', '-') in listed for f in OWN)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('bluur = 1', "unknown key 'bluur'; known: mode, mask"),
        ('[[range]]\nfrom = 1\ncrf = 3', r"unknown key 'crf' of \[\[range\]\]; known: from, to, mode"),
        ('[[person]]\npicture = "a.jpg"\nto = 3', r"unknown key 'to' of \[\[person\]\]"),
        ('[[person]]\nmode = "raw"', r'\[\[person\]\] needs a picture'),
        ('[[range]]\nmode = "raw"', r'\[\[range\]\] needs from, to or both'),
        ('[[range]]\nfrom = 5\nto = 2', r'\[\[range\]\] to 2: is not after from 5'),
        ('[range]\nfrom = 5', r'write \[\[range\]\], once for each range'),
        ('mode = "fancy"', "mode 'fancy' is unknown: choose one of overlay, hist-match"),
        ('erode = "much"', 'erode much: give a number from -0.2 to 0.2'),
        ('erode = nan', 'erode nan: give a number'),
        ('steady = 1', 'steady 1: give true or false'),
        ('from = "1:99"', "from '1:99': give seconds, or a time"),
        ('mode = ', 'not TOML'),
        ('mask_net = 5', 'mask-net 5: give a name'),
        ('colour = ["mkl"]', r"colour \['mkl'\] is unknown"),
        ('erode = {a = 1}', 'erode .*: give a number'),
        ('[[range]]\nfrom = 00:10:00\nto = [1]', r'to \[1\]: give seconds'),
        (
            '[[range]]\nto = 3\nmode = "raw"\nblur = 0.1',
            "--mode raw shows the net's picture as it is: leave out --blur",
        ),
    ],
)
def test_files_that_are_refused(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=said) as error:
        read_settings(path)
    assert '\n' not in str(error.value) and str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'mode': 'original', 'colour': 'mkl', 'blur': 0.1}, '--mode original leaves frames .* out --blur, --colour'),
        ({'mode': 'hist-match', 'colour': 'hist'}, 'leave out --colour hist'),
        ({'mask': 'segment'}, "mask 'segment' needs the run of a mask net: --mask-net W"),
        ({'mask_net': 'w'}, "mask-net w: is used by mask 'segment' alone"),
        ({'start': 3.0, 'stop': 3.0}, '--to 3: is not after --from 3'),
        ({'preview': 3.0, 'codec': 'ffv1'}, '--preview writes one picture: leave out --codec'),
        ({'codec': 'prores', 'crf': 9}, '--crf is of h264 and hevc; --codec prores has none'),
        ({'codec': 'png16', 'compare': True}, '--codec png16 .* leave out --compare'),
        ({'crf': 18.5}, 'crf 18.5: give a whole number from 0 to 51'),
        ({'scale': 9.0}, 'scale 9.0: give a number from 0.5 to 1.5'),
    ],
)
def test_settings_that_contradict_each_other(given, said):
    with pytest.raises(InputError, match=said):
        Settings(**given).check()


def test_a_range_may_leave_the_video_alone_whatever_holds_elsewhere():
    made = Settings(blur=0.1, ranges=(Part((('mode', 'original'),), 1, 2),)).check()
    assert made.look(1.5).mode == 'original' and made.look(2.0) == Settings(blur=0.1)
    assert {f.name for f in LOOK} < {f.name for f in OWN}


@pytest.mark.parametrize(('text', 'value'), [('83.5', 83.5), ('01:23.5', 83.5), ('1:00:00', 3600), (2, 2), ('0', 0)])
def test_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize('text', ['', '-1', '1:60', '1:2:3:4', 'inf', 'nan', '1.5:20', True, 'soon'])
def test_times_that_are_none(text):
    with pytest.raises(ValueError):
        seconds(text)

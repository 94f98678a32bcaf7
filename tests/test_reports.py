"""What verbs report: sentences to people, figures to scripts."""

import json
from types import SimpleNamespace

import pytest

from dfjax.apps import convert, demo, evaluate, swap, verify
from dfjax.apps.pair import Pair
from dfjax.config import load_config


def test_reports_speak_to_people_and_scripts_get_the_figures(tmp_path, capsys, monkeypatch):
    figures = {'transfer': 0.64, 'expression': None, 'frames': 96}
    spoken = evaluate.spoken(figures)
    assert spoken['transfer'].startswith('0.64 ') and '0.5 is half-way' in spoken['transfer']
    assert spoken['expression'] is None and spoken['frames'] == 96
    args = SimpleNamespace(out='out.mp4', face=[['b b.mp4']], into='a.mp4')
    soft = convert.spoken({'detail': (2.187, 2.513, 1.926)}, args)
    assert '2.2, 2.5, 1.9 times' in soft['detail'] and 'longer training' in soft['note'] and 'out.mp4' in soft['next']
    assert 'note' not in convert.spoken({'detail': None}, args)
    run = tmp_path / 'run'
    run.mkdir()
    (run / 'config.json').write_text(json.dumps(load_config('saehd:smoke').to_dict()))
    report = swap.spoken({'detail': None, 'steps': 60, 'workdir': str(run)}, args)
    assert '60 steps are few' in report['note'] and '--force --minutes 20' in report['next'][1]
    assert "dfjax evaluate --swap out.mp4 --input a.mp4 --face 'b b.mp4'" in report['next'][2]


@pytest.mark.parametrize(('steps', 'minutes', 'said'), [(0, 1.0, True), (9, 1.0, False), (0, None, False)])
def test_a_time_in_which_nothing_was_trained_is_said(steps, minutes, said, tmp_path):
    (tmp_path / 'config.json').write_text(json.dumps(load_config('faceswap:smoke').to_dict()))
    args = SimpleNamespace(out='out', face=[['b.mp4']], into='a.mp4', minutes=minutes, steps=None if minutes else 0)
    swapped = swap.spoken({'detail': None, 'steps': steps, 'workdir': str(tmp_path)}, args)
    shown = demo.spoken({'steps': steps}, args)
    assert [swapped.get('note') == swap.UNTRAINED, shown.get('note') == swap.UNTRAINED] == [said, said]


@pytest.mark.parametrize(('person', 'words'), [(None, ''), ('dora.jpg', ' --person dora.jpg')])
def test_who_stops_a_swap_is_told_how_it_is_used_for_the_same_person(person, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('dfjax.training.workdir.last_step', lambda run: 7)
    with pytest.raises(KeyboardInterrupt), swap.good_enough(Pair(['b.mp4'], person, tmp_path), 'in.mp4', 'out.mp4'):
        raise KeyboardInterrupt
    assert f'dfjax convert --run {tmp_path} --into in.mp4 -o out.mp4{words}\n' in capsys.readouterr().err


def test_what_a_file_says_of_itself_is_a_sentence():
    said = {'generator': 'dfjax 1', 'description': 'face swapped', 'when': '2026-01-01', 'signer': 'S'}
    rows = [
        {'file': 'a.mp4', 'status': 'intact', 'ai_generated': True, 'mark_found': 'ab12'} | said,
        {'file': 'b.png', 'status': 'unmarked', 'ai_generated': None, 'mark_found': None},
    ]
    spoken = verify.spoken({'files': rows, 'ok': False}, None)
    assert spoken['a.mp4'] == (
        'intact: unchanged since it was signed; made by AI: face swapped, by dfjax 1, 2026-01-01; signed by S; '
        'invisible mark ab12'
    )
    assert spoken['b.png'].startswith('unmarked: ') and 'proves nothing' in spoken['b.png'] and spoken['ok'] is False

"""What a run says and shows while it trains: its header, log, sheets of pictures, and trackers."""

import importlib.util
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import toy_system as toy
from toy_training import config, rows, train

from dfjax.config import load_config
from dfjax.errors import InputError
from dfjax.training import header, loop, previews, trackers
from dfjax.training.previews import labelled, sheet

pytestmark = [pytest.mark.whole, pytest.mark.usefixtures('toy_is_a_system')]


def test_a_header_says_what_runs_where_to_look_and_how_to_stop(tmp_path, capsys):
    cfg = config(steps=2)
    loop.train(cfg, tmp_path, data=toy.resident(cfg))
    lines = capsys.readouterr().err.splitlines()
    assert 'toy' in lines[0] and 'CPU' in lines[0] and '2 steps of 16' in lines[0]
    assert f'{tmp_path}/preview.jpg' in lines[1] and f'dfjax watch {tmp_path}' in lines[1]
    assert lines[2].startswith('Ctrl-C saves') and lines[3].startswith('compiling')


def test_a_named_run_is_known_by_its_config():
    cfg = load_config('faceswap:gpu', ['--config.batch_size=16', '--config.steps=7', '--config.data.a=x'])
    assert header.named(cfg) == 'faceswap:gpu with batch_size 16'
    assert header.named(load_config('faceswap:laptop')) == 'faceswap:laptop'
    assert header.named(config()) == 'toy'


def test_what_is_said_is_kept_in_the_runs_folder_with_the_time(tmp_path, capsys):
    folder, cfg = tmp_path / 'w', config(steps=20)
    with pytest.raises(InputError, match='no way'):
        train(folder, parallel='no way')
    assert not folder.exists()
    loop.train(cfg, folder, data=toy.resident(cfg))
    bar, before = capsys.readouterr().err, (folder / 'log.txt').read_text()
    train(folder, steps=20)
    with pytest.raises(InputError, match='another config'):
        train(folder, lr=0.5)
    text = (folder / 'log.txt').read_text()
    assert text.startswith(before) and '\r' not in text and '\r' in bar
    for line in text.splitlines():
        time.strptime(line[:19], '%Y-%m-%d %H:%M:%S')
    said = [line[20:] for line in text.splitlines()]
    assert said[:3] == header.header(cfg, folder).splitlines()
    assert said[-2] == 'all 20 steps are done' and 'another config: lr' in said[-1]
    assert sum('20/20' in line for line in said) == 1 and len(said) < 12, said


def test_sheet_puts_pictures_in_rows():
    pictures = np.stack([np.full((2, 3, 3), value, np.float32) for value in (-1.0, 0.0, 1.0)])
    out = sheet(pictures, 2)
    assert out.shape == (4, 6, 3)
    assert [out[0, 0, 0], out[0, 3, 0], out[2, 0, 0], out[2, 3, 0]] == [0, 128, 255, 0]


def test_sheets_carry_names_and_step():
    picture = np.full((64, 3 * 128, 3), 60, np.uint8)
    out = labelled(picture, 3, ('a', 'a as b', 'b'), 120)
    assert out.shape == (64 + 2 * previews.STRIP, 384, 3)
    assert (out[previews.STRIP : -previews.STRIP] == picture).all()
    written = out[: previews.STRIP].max(-1) > 128
    assert all(written[:, n * 128 : n * 128 + 64].any() for n in range(3)) and not written[:, 64:120].any()
    assert (out[-previews.STRIP :, 300:].max(-1) > 128).any()
    assert labelled(picture[:32, :32], 1, (), 0).shape == (96 + previews.STRIP, 96, 3)  # small ones are enlarged


# Trackers


def test_rows_and_previews_go_to_a_tracker_that_is_asked_for(tmp_path, monkeypatch):
    with pytest.raises(InputError, match='--log wandb: is not installed; pip install wandb'):
        trackers.check_trackers(['wandb'])
    said = []
    fake = SimpleNamespace(
        init=lambda **words: said.append(words),
        log=lambda values, step: said.append((step, *values)),
        Image=lambda picture: picture.shape,
        finish=lambda: said.append('finished'),
        __spec__=importlib.util.spec_from_loader('wandb', None),
    )
    monkeypatch.setitem(sys.modules, 'wandb', fake)
    cfg = config(steps=20)
    loop.train(cfg, tmp_path / 'w', data=toy.resident(cfg), progress=False, log=['wandb'])
    assert said[0]['name'] == said[0]['id'] == 'w' and said[0]['config']['batch_size'] == 16
    assert [entry[0] for entry in said[1:-1] if 'total' in entry] == [10, 20]
    assert [entry[0] for entry in said[1:-1] if 'preview' in entry] == [0, 10, 20]
    assert said[-1] == 'finished'


def test_a_tracker_of_ones_own_sees_what_the_run_reports(tmp_path):
    class Mine:
        def __init__(self):
            self.seen = []

        def row(self, step, values):
            self.seen.append((step, values['total']))

        def picture(self, step, picture):
            self.seen.append((step, picture.dtype))

        def close(self):
            self.seen.append('closed')

    mine, another, cfg = Mine(), Mine(), config(steps=20)
    loop.train(cfg, tmp_path, data=toy.resident(cfg), progress=False, log=[mine, another])
    totals = [(row['step'], row['total']) for row in rows(tmp_path)]
    assert mine.seen == [(0, 'uint8'), totals[0], (10, 'uint8'), totals[1], (20, 'uint8'), 'closed']
    assert another.seen == mine.seen


def test_a_tracker_that_fails_ends_no_training(tmp_path, monkeypatch, capsys):
    def away(*args, **words):
        raise ConnectionError('the server is away')

    spec = importlib.util.spec_from_loader('wandb', None)
    begun = SimpleNamespace(init=lambda **words: None, log=away, Image=lambda picture: 0, finish=away, __spec__=spec)
    monkeypatch.setitem(sys.modules, 'wandb', begun)
    cfg = config(steps=20)
    state = loop.train(cfg, tmp_path / 'w', data=toy.resident(cfg), progress=False, log=['wandb'])
    assert int(state.step) == 20
    assert capsys.readouterr().err.count('--log wandb: the server is away; nothing more is sent there') == 1
    monkeypatch.setitem(sys.modules, 'wandb', SimpleNamespace(init=away, __spec__=spec))
    with pytest.raises(InputError, match='--log wandb: cannot begin'):
        loop.train(cfg, tmp_path / 'v', data=toy.resident(cfg), progress=False, log=['wandb'])

"""A system that is nowhere but in its own files: it is trained, applied, exported, evaluated, imported and used."""

import importlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch_files as tf

from dfjax import systems
from dfjax.apps.cli import main
from dfjax.inference.export import load_exported
from dfjax.training.loop import train

FOLDER = Path(__file__).parent / 'example_system'


@pytest.fixture(scope='module')
def tint(tmp_path_factory):
    """The files copied to a folder of their own, which the packages are told of; and a run trained there."""
    root = tmp_path_factory.mktemp('elsewhere')
    shutil.copytree(FOLDER, root, dirs_exist_ok=True)
    packages = {name: importlib.import_module(f'dfjax.{name}') for name in ('systems', 'evaluation', 'weights')}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems, 'SYSTEMS', (*systems.SYSTEMS, 'tint'))
        for name, package in packages.items():
            patch.setattr(package, '__path__', [*package.__path__, str(root / name)])
        from dfjax.config import load_config

        cfg = load_config(f'{root}/configs/tint.py:smoke')
        train(cfg, root / 'run', progress=False)
        yield root


def said(capsys, *words) -> dict:
    assert main([*map(str, words), '--json']) == 0
    return json.loads(capsys.readouterr().out)


def test_it_learns(tint):
    rows = [json.loads(line) for line in (tint / 'run' / 'metrics.jsonl').read_text().splitlines()]
    assert rows[-1]['l1'] < 0.7 * rows[0]['l1']


def test_it_is_applied_and_exported(tint, capsys):
    x = np.random.default_rng(0).uniform(-1, 1, (3, 8, 10, 3)).astype(np.float32)
    np.savez(tint / 'in.npz', x=x)
    said(capsys, 'apply', '--run', tint / 'run', '--input', tint / 'in.npz', '--output', tint / 'out.npz')
    with np.load(tint / 'out.npz') as out:
        y = out['y']
    said(capsys, 'export', '--run', tint / 'run', '-o', tint / 'g.jaxexport', '--size', 8)
    net = load_exported(tint / 'g.jaxexport')
    np.testing.assert_allclose(net(x=x[:, :, :8])['y'], y[:, :, :8], atol=1e-6)
    assert np.abs(y - x).mean() > 0.05  # not what went in


def test_its_figures_are_found(tint, capsys, monkeypatch):
    monkeypatch.setattr('dfjax.evaluation.pix2pix.PAIRS', 16)
    report = said(capsys, 'evaluate', '--run', tint / 'run')
    assert report['psnr'] > report['psnr_input'] + 1


def test_it_translates_a_picture(tint, capsys):
    picture = np.full((40, 30, 3), 120, np.uint8)
    cv2.imwrite(str(tint / 'grey.png'), picture)
    report = said(capsys, 'translate', tint / 'grey.png', '--run', tint / 'run', '-o', tint / 'colour.png')
    assert report['frames'] == 1
    made = cv2.imread(str(tint / 'colour.png'))
    assert made.shape == picture.shape and np.ptp(made[0, 0].astype(int)) > 5  # it has a colour


def test_a_checkpoint_of_its_original_is_imported(tint, capsys):
    rng = np.random.default_rng(1)
    weight, bias = rng.normal(size=(3, 3, 1, 1)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    path = tf.write_zip(tint / 'g.pth', {'colour.weight': weight, 'colour.bias': bias})
    report = said(capsys, 'import', 'tint', f'g={path}', '-o', tint / 'imported')
    assert report['nets'] == {'g': 12} and report['model'] == {'kernel': 1}
    x = rng.uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32)
    np.savez(tint / 'x.npz', x=x)
    said(capsys, 'apply', '--run', tint / 'imported', '--input', tint / 'x.npz', '--output', tint / 'y.npz')
    with np.load(tint / 'y.npz') as out:
        np.testing.assert_allclose(out['y'], x @ weight[:, :, 0, 0].T + bias, atol=1e-5)

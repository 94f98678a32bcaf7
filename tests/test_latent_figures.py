"""`evaluate --run` of latent systems: figures against independent truth, and on small runs, not trained."""

import importlib

import numpy as np
import pytest
from untrained import latent_runs

from dfjax.apps import cli
from dfjax.configs.common import build
from dfjax.errors import InputError
from dfjax.inference import figures_vae, heldout, vectors
from dfjax.inference.run import load_run

SIZE = 32


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    return latent_runs(tmp_path_factory.mktemp('runs'))


def test_reconstruction_figures_are_those_of_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    rng = np.random.default_rng(0)
    x = rng.integers(40, 200, (3, SIZE, SIZE, 3), np.uint8)
    y = (x + rng.integers(-20, 20, x.shape)).astype(np.uint8)
    figures = figures_vae.reconstruction(x, y)
    assert figures['psnr'] == pytest.approx(np.mean([peak_signal_noise_ratio(a, b) for a, b in zip(x, y)]), abs=1e-3)
    how = {
        'gaussian_weights': True,
        'use_sample_covariance': False,
        'data_range': 255,
        'channel_axis': -1,
    }
    inner = [structural_similarity(a, b, **how) for a, b in zip(x, y)]
    assert figures['ssim'] == pytest.approx(np.mean(inner), abs=1e-3)


def test_edits_are_judged_by_what_the_probe_says():
    """Codes are labels, vectors are their axes but for one that takes another along; the probe reads codes."""

    class Codes:
        def encode(self, pictures):
            return pictures

        def decode(self, codes):
            return codes

    label = np.random.default_rng(0).integers(0, 2, (50, 3)).astype(np.float32)
    axes = np.array([[1, 0, 0], [0, 1, 0.5], [0, 0, -1]], np.float32)  # the last one points the wrong way
    made = vectors.Vectors(('a', 'b', 'c'), axes, np.ones(3), np.ones(3), 'x')
    edits = figures_vae.judge_edits(Codes(), made, lambda codes: codes, {'image': label, 'label': label})
    assert edits == {
        'a': {'moved': 1.0, 'kept': 0.0},
        'b': {'moved': 1.0, 'kept': 0.25},  # half as much in one of two others
        'c': {'moved': 0.0, 'kept': 0.0},
    }


def test_held_out_pictures_are_of_other_seeds(runs):
    cfg = load_run(runs['vae']).cfg
    assert heldout.held_out_name(cfg, 9) == 'render:people:1000001:9'
    assert heldout.held_out_name(cfg, 9, 2) == 'render:people:3000001:9'
    plain = build(importlib.import_module('dfjax.configs.vae').get_config('smoke'), {'data.source': 'some/folder'})
    with pytest.raises(InputError, match='give --data NAME'):
        heldout.held_out_name(plain, 9)


def test_the_distance_of_real_pictures_from_themselves_is_the_floor(runs, monkeypatch):
    monkeypatch.setattr(heldout, 'descriptors', lambda pictures, how: pictures.mean((1, 2)))
    run = load_run(runs['vae'])
    real = heldout.load_pictures(run.cfg, heldout.held_out_name(run.cfg, 12, 2))['image']
    figures = heldout.frechet_figures(run, real)
    assert figures['frechet'] == figures['frechet_floor'] > 0
    assert heldout.frechet_figures(run, 0 * real)['frechet'] > 10 * figures['frechet_floor']


def test_a_diffusion_run_is_evaluated(runs, monkeypatch):
    from dfjax.inference import figures_diffusion

    monkeypatch.setattr(figures_diffusion, 'PICTURES', 32)
    report = figures_diffusion.figures(load_run(runs['diffusion']), samples=0)
    assert 1 < report['bits'] < 100 and report['bits_error'] > 0


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        (['--run', '{gan}', '--against', '{vae}'], "--against: not an option for a run of system 'gan'"),
        (['--run', '{vae}', '--against', '{gan}'], "of system 'gan'"),
        (['--run', '{gan}', '--samples', '1'], 'give 2 or more, or 0'),
        (['--run', '{gan}', '--data', '{none}'], 'no such folder'),
        (['--swap', 'x.mp4'], '--input is missing'),
        ([], '--swap is missing'),
    ],
)
def test_a_wrong_evaluation_is_one_line(runs, tmp_path, capsys, words, line):
    names = {'vae': runs['vae'], 'gan': runs['gan'], 'none': tmp_path / 'none'}
    assert cli.main(['evaluate', *(word.format(**names) for word in words)]) == 2
    assert line in capsys.readouterr().err

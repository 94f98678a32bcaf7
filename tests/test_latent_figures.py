"""`evaluate --run` of latent systems: figures against independent truth, and on small runs, not trained."""

import importlib

import numpy as np
import pytest
from untrained import smooth_picture

from dfjax.apps import cli
from dfjax.config import build
from dfjax.data.media.image import write_image
from dfjax.data.render.people import LABELS
from dfjax.errors import InputError
from dfjax.evaluation import diffusion as figures_diffusion
from dfjax.evaluation import held_out as heldout
from dfjax.evaluation import vae as figures_vae
from dfjax.inference import attributes as vectors
from dfjax.inference.latents import Latents
from dfjax.inference.run import load_run

pytestmark = pytest.mark.whole

SIZE = 32


@pytest.fixture(scope='module')
def runs(latent_runs):
    return latent_runs('vae', 'gan', 'diffusion')


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
    """Codes are labels, vectors are their axes but for one that takes another along; the classifier reads codes."""

    class Codes:
        def encode(self, pictures):
            return pictures

        def decode(self, codes):
            return codes

    label = np.random.default_rng(0).integers(0, 2, (50, 3)).astype(np.float32)
    axes = np.array([[1, 0, 0], [0, 1, 0.5], [0, 0, -1]], np.float32)  # the last one points the wrong way
    made = vectors.Vectors(('a', 'b', 'c'), axes, np.ones(3), np.ones(3), 'x')
    edits = figures_vae.measure_edits(Codes(), made, lambda codes: codes, {'image': label, 'label': label})
    assert edits == {
        'a': {'moved': 1.0, 'kept': 0.0},
        'b': {'moved': 1.0, 'kept': 0.25},  # half as much in one of two others
        'c': {'moved': 0.0, 'kept': 0.0},
    }


def test_held_out_pictures_are_of_other_seeds(runs):
    cfg = load_run(runs['vae']).cfg
    assert heldout.held_out_name(cfg, 9) == 'render:people:1000001:9'
    assert heldout.held_out_name(cfg, 9, 2) == 'render:people:3000001:9'
    plain = build(importlib.import_module('configs.vae').get_config('smoke'), {'data.source': 'some/folder'})
    with pytest.raises(InputError, match='give --data NAME'):
        heldout.held_out_name(plain, 9)


def test_the_distance_of_real_pictures_from_themselves_is_the_floor(runs, monkeypatch):
    monkeypatch.setattr(heldout, 'descriptors', lambda pictures, how: pictures.mean((1, 2)))
    run = load_run(runs['vae'])
    real = heldout.load_pictures(run.cfg, heldout.held_out_name(run.cfg, 12, 2))['image']
    figures = heldout.frechet_figures(run, real)
    assert figures['frechet'] == figures['frechet_floor'] > 0
    assert heldout.frechet_figures(run, 0 * real)['frechet'] > 10 * figures['frechet_floor']


def pictures_in(folder, count):
    """A folder of so many pictures, every other one of which smiles."""
    for n in range(count):
        write_image(folder / f'{n}.png', smooth_picture(40, 48, n))
    rows = ''.join(f'{n}.png,{n % 2}\n' for n in range(count))
    (folder / 'labels.csv').write_text(f'file,laughs\n{rows}')
    return str(folder)


def test_few_pictures_and_odd_numbers_of_them_are_evaluated(runs, tmp_path):
    vae = figures_vae.figures(load_run(runs['vae']), data=pictures_in(tmp_path / '5', 5), samples=0)
    assert all(np.isfinite(vae[k]) and vae[k] > 0 for k in ('psnr', 'sobel_error', 'path_linear', 'path_spherical'))
    noise = figures_diffusion.figures(load_run(runs['diffusion']), data=str(tmp_path / '5'), samples=0)
    assert 1 < noise['bits'] < 100 and noise['bits_error'] > 0
    with pytest.raises(InputError, match='only 1 picture; at least 2 are needed'):
        figures_vae.figures(load_run(runs['vae']), data=pictures_in(tmp_path / '1', 1), samples=0)


def test_every_picture_counts_for_the_bound(runs, tmp_path, monkeypatch):
    run, seen = load_run(runs['diffusion']), []

    def bound(cfg, params, pictures, key):
        seen.append(len(pictures))
        return pictures.mean((1, 2, 3))

    monkeypatch.setattr(run.system, 'bound', bound)
    monkeypatch.setattr(figures_diffusion, 'AT_ONCE', 4)
    report = figures_diffusion.figures(run, data=pictures_in(tmp_path, 11), samples=0)
    images = heldout.load_pictures(run.cfg, str(tmp_path))['image']
    assert report['bits'] == pytest.approx((images / 127.5 - 1).mean(), abs=1e-3)
    assert sorted(seen) == [3, 4]  # compiled for these


def test_edits_are_judged_by_vectors_of_the_runs_own_set(runs, tmp_path, monkeypatch):
    """Those that the user has made of another set have other attributes, and are kept as they are."""
    run = load_run(runs['vae'])
    vectors.save(run, vectors.compute(Latents(run), *vectors.open_labelled(run.cfg, pictures_in(tmp_path, 6))))
    before = (run.path / vectors.FILE).read_bytes()
    judged = []
    monkeypatch.setattr(figures_vae, 'PICTURES', 32)
    monkeypatch.setattr(figures_vae, 'classifier_for', lambda path, name, labels, size: labels)
    monkeypatch.setattr(
        figures_vae, 'predict', lambda classifier, pictures: judged.append(classifier) or np.zeros((32, 7))
    )
    report = figures_vae.edit_figures(run, Latents(run))
    assert set(report['edits']) == set(judged[0]) == set(LABELS)
    assert (run.path / vectors.FILE).read_bytes() == before
    (run.path / vectors.FILE).unlink()
    figures_vae.edit_figures(run, Latents(run))
    assert vectors.load(run).source == run.cfg.data.source


def test_a_diffusion_run_is_evaluated(runs, monkeypatch):
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

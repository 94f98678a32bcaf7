"""`sample` on small runs that have not been trained, and pictures and codes of a run itself."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from videos import frames_of

from dfjax.apps import cli
from dfjax.apps.sample import sample
from dfjax.data.media.image import read_image, write_image
from dfjax.errors import InputError
from dfjax.inference.latents import Latents
from dfjax.inference.run import load_run
from dfjax.inference.sample import diffuse, draw_noise, make
from dfjax.ops import backend

pytestmark = pytest.mark.whole

SIZE = 32


@pytest.fixture(scope='module')
def runs(latent_runs):
    return latent_runs('vae', 'gan', 'diffusion')


@pytest.mark.parametrize('name', ['vae', 'diffusion'])
def test_pictures_do_not_depend_on_how_many_the_device_is_given_at_once(name, runs, monkeypatch):
    run, made = load_run(runs[name]), {}
    noise = draw_noise(run, 5, seed=3)
    for size in (1, 8):
        monkeypatch.setattr('dfjax.ops.backend.group_size', lambda pixels, size=size: size)
        if name == 'diffusion':
            made[size] = diffuse(run, noise, steps=3, solver='ddpm')
        else:
            made[size] = Latents(run).decode(Latents(run).encode(make(run, noise)))
        apart = np.abs(made[size].astype(int) - made[1])
        assert apart.max() <= 1 and (apart > 0).mean() < 1e-3
    assert (made[1][1:] != made[1][0]).any((1, 2, 3)).all()


def test_few_large_pictures_or_many_small_ones_are_given_at_once(monkeypatch, as_accelerated):
    device = SimpleNamespace(memory_stats=lambda: {'bytes_limit': 80 * 10**9})
    monkeypatch.setattr(jax, 'local_devices', lambda: [device])
    on_device = {side: backend.group_size(side**2) for side in (16, 160, 512, 1024, 4096)}
    assert on_device == {16: 32, 160: 32, 512: 32, 1024: 8, 4096: 1}
    monkeypatch.setattr(backend, 'accelerated', lambda: False)
    assert {side: backend.group_size(side**2) for side in (16, 64, 160, 512)} == {16: 8, 64: 8, 160: 4, 512: 1}


def test_a_run_itself_has_codes_and_samples(runs):
    vae, gan, diffusion = (load_run(runs[name]) for name in ('vae', 'gan', 'diffusion'))
    made = vae.sample(3, seed=5)
    assert made.shape == (3, 32, 32, 3) and made.dtype == np.uint8 and (made[:2] == vae.sample(2, seed=5)).all()
    codes = vae.encode(made)
    np.testing.assert_array_equal(codes, Latents(vae).encode(made))
    np.testing.assert_array_equal(vae.decode(codes), Latents(vae).decode(codes))
    assert gan.sample(2, truncation=0.5).shape == diffusion.sample(2, steps=2).shape == (2, 32, 32, 3)
    with pytest.raises(InputError, match="system 'diffusion', which cannot encode and decode; can: vae"):
        diffusion.decode(codes)
    with pytest.raises(InputError, match=r'encode: uint8 \(3, 16, 32, 3\); give uint8 \[N, 32, 32, 3\]'):
        vae.encode(made[:, ::2])
    with pytest.raises(InputError, match='sample 0'):
        gan.sample(0)


# The verb


def test_a_sheet_of_samples_depends_on_the_seed_alone(runs, tmp_path):
    for name, count, seed in (('a', 4, 1), ('b', 9, 1), ('c', 4, 2)):
        sample(runs['vae'], count, tmp_path / f'{name}.png', seed=seed, progress=False)
    a, b, c = (read_image(tmp_path / f'{name}.png') for name in 'abc')
    assert a.shape == (64, 64, 3) and b.shape == (96, 96, 3)
    np.testing.assert_array_equal(a[:SIZE], b[:SIZE, :64])  # the first two of four are the first two of nine
    assert (a != c).any()


def test_truncation_to_0_leaves_one_picture(runs, tmp_path):
    for name in ('vae', 'gan'):
        sample(runs[name], 4, tmp_path / name, truncation=0.0, progress=False)
        made = [read_image(path) for path in sorted((tmp_path / name).iterdir())]
        assert len(made) == 4
        assert all((picture == made[0]).all() for picture in made)


def test_an_interpolation_is_an_animation_through_the_samples(runs, tmp_path):
    report = sample(runs['gan'], 3, tmp_path / 'walk.webp', interpolate=3, progress=False)
    made, _ = frames_of(tmp_path / 'walk.webp')
    assert report['pictures'] == len(made) == 9


def test_inversion_comes_nearer_than_chance(runs, picture, tmp_path):
    report = sample(runs['gan'], None, tmp_path / 'pair.png', invert=str(picture), whole=True)
    given, made = np.split(read_image(tmp_path / 'pair.png').astype(float), 2, axis=1)
    np.testing.assert_array_equal(given, read_image(picture))
    assert report['psnr'] == pytest.approx(10 * np.log10(255**2 / ((given - made) ** 2).mean()), abs=0.01)
    sample(runs['gan'], 1, tmp_path / 'any.png', progress=False)
    assert ((made - given) ** 2).mean() < ((read_image(tmp_path / 'any.png') - given) ** 2).mean()


def test_a_diffusion_model_keeps_what_is_outside_the_mask_or_little_changed(runs, picture, tmp_path):
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[:16] = 255
    write_image(tmp_path / 'mask.png', mask)
    options = {'steps': 3, 'init': str(picture), 'mask': str(tmp_path / 'mask.png')}
    sample(runs['diffusion'], 1, tmp_path / 'filled.png', diffusion=options, whole=True, progress=False)
    filled, given = read_image(tmp_path / 'filled.png'), read_image(picture)
    np.testing.assert_array_equal(filled[16:], given[16:])
    assert (filled[:16] != given[:16]).mean() > 0.5
    far = {}
    for strength, guidance in ((0.02, 1.0), (1.0, 2.0)):
        options = {'steps': 3, 'init': str(picture), 'strength': strength, 'guidance': guidance, 'labels': {'smile': 1}}
        sample(runs['diffusion'], 1, tmp_path / f'{strength}.png', diffusion=options, whole=True, progress=False)
        far[strength] = np.abs(read_image(tmp_path / f'{strength}.png').astype(float) - given).mean()
    assert far[0.02] < 0.5 * far[1.0]


@pytest.mark.parametrize(
    ('system', 'words', 'line'),
    [
        ('vae', ['-n', '0'], '--n 0: give 1 or more'),
        ('vae', ['--steps', '5'], 'which cannot denoiser; can: diffusion'),
        ('vae', ['--invert', 'x.png'], 'which cannot styles and decode; can: gan'),
        ('diffusion', ['--truncation', '0.5'], 'which cannot from_noise; can: vae, gan'),
        ('diffusion', ['--label', 'hat=1'], "'hat' is unknown to the run; there are: smile, glasses"),
        ('diffusion', ['--label', 'smile=2'], 'give 1 (with) or 0 (without)'),
        ('diffusion', ['--mask', '{picture}'], 'give --init IN'),
        ('diffusion', ['--init', '{picture}', '--whole', '--strength', '0'], 'strength 0'),
        ('diffusion', ['--steps', '0'], '0 steps'),
        ('diffusion', ['--strength', '0.3'], '--strength is of a picture to begin from: give --init IN'),
        ('diffusion', ['--guidance', 'nan'], '--guidance nan: give a number'),
        ('diffusion', ['--init', '{folder}', '--whole'], 'give one picture'),
        ('diffusion', ['--init', 'render:people:1:3'], 'render:people:1:3: 3 pictures; give one'),
        ('gan', ['--invert', '{picture}', '-n', '3'], '--invert makes one picture of each given; leave out -n'),
        ('gan', ['--invert', '{picture}', '--truncation', '1'], 'leave out -n, --interpolate and --truncation'),
        ('gan', ['--invert', '{picture}', '--interpolate', '2'], 'leave out -n, --interpolate and --truncation'),
        ('gan', ['-o', '{out}.gif'], 'an animation needs --interpolate'),
        ('gan', ['-o', '{out}.txt'], 'an animation is written as'),
        ('gan', ['--interpolate', '-1'], '--interpolate -1'),
    ],
)
def test_a_wrong_sample_is_one_line(runs, picture, tmp_path, capsys, system, words, line):
    words = [word.format(picture=picture, folder=picture.parent, out=tmp_path / 'out') for word in words]
    words = words if '-o' in words else [*words, '-o', str(tmp_path / 'out.png')]
    assert cli.main(['sample', '--run', str(runs[system]), *words]) == 2
    assert line in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list(tmp_path.glob('out*'))

"""`edit`, `morph` and `sample` on small runs that have not been trained."""

import json
import shutil
from types import SimpleNamespace

import cv2
import jax
import numpy as np
import pytest
from untrained import latent_runs, smooth_picture

from dfjax.apps import cli
from dfjax.apps.edit import edit, list_vectors
from dfjax.apps.morph import morph
from dfjax.apps.sample import sample
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import read_frames
from dfjax.errors import InputError
from dfjax.inference import attributes as vectors
from dfjax.inference.latents import Latents
from dfjax.inference.run import load_run
from dfjax.inference.sample import diffuse, draw_noise, make
from dfjax.ops import backend

pytestmark = pytest.mark.whole

SIZE = 32


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    return latent_runs(tmp_path_factory.mktemp('runs'))


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    """A picture that is smooth, and of the runs' size."""
    path = tmp_path_factory.mktemp('picture') / 'picture.png'
    noise = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    write_image(path, cv2.resize(noise, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC))
    return path


def frames_of(path):
    """uint8 RGB frames of a GIF, WebP or video, and whether it plays for ever."""
    if path.suffix == '.mp4':
        return [rgb for _, _, rgb in read_frames(path)], None
    done, animation = cv2.imreadanimation(str(path))
    assert done
    return [frame[..., 2::-1] for frame in animation.frames], animation.loop_count == 0


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


# edit


def test_attributes_are_listed_and_kept_with_the_run(runs):
    report = list_vectors(runs['vae'], progress=False)
    assert report.pop('source') == 'render:people:1:24'
    assert set(report) == {'smile', 'mouth_open', 'glasses', 'beard', 'dark_hair', 'long_hair', 'fringe'}
    for row in report.values():
        assert 0 <= row['auc'] <= 1 and row['pictures'] >= 2 and len(row['correlation']) == 6
    kept = json.loads((runs['vae'] / 'vectors.json').read_text())
    assert kept['vectors'].keys() == report.keys()


def test_correlations_are_listed_after_the_vectors_are_made_orthogonal(runs):
    report = list_vectors(runs['vae'], orthogonal=['glasses'], progress=False)
    assert all(
        abs(row['correlation']['glasses']) < 2e-3 for name, row in report.items() if name not in ('source', 'glasses')
    )


def test_rare_attributes_are_named_and_do_not_stop_the_others(runs, picture, tmp_path, capsys):
    rows = ''.join(f'{n}.png,{n % 2},{int(n == 3)}\n' for n in range(5))
    for n in range(5):
        write_image(tmp_path / 'set' / f'{n}.png', smooth_picture(SIZE, SIZE, n))
    (tmp_path / 'set' / 'labels.csv').write_text(f'file,laughs,hat\n{rows}')
    run = shutil.copytree(runs['vae'], tmp_path / 'run')
    words = ['edit', '--run', str(run), '--whole', '--data', str(tmp_path / 'set'), str(picture)]
    for name, code in (('laughs', 0), ('hat', 2), ('hood', 2)):
        assert cli.main([*words, '--vector', f'{name}=1', '-o', str(tmp_path / f'{name}.png')]) == code
        said = capsys.readouterr().err
        line = {
            'laughs': 'set: left out, for fewer than 2 pictures have it, or have it not: hat',
            'hat': "attribute 'hat' cannot be told: fewer than 2",
            'hood': "attribute 'hood' is unknown; there are: laughs, hat",
        }[name]
        assert line in said and (tmp_path / f'{name}.png').exists() is (code == 0)


def test_an_edit_is_the_decoded_sum(runs, picture, tmp_path):
    run = load_run(runs['vae'])
    out = tmp_path / 'out.png'
    report = edit(run, {'smile': 40.0, 'glasses': -20.0}, picture, out, whole=True, detail=False, progress=False)
    assert (report['frames'], report['edited'], report['passed_through']) == (1, 1, 0)
    nets, kept = Latents(run), vectors.load(run)
    code = nets.encode(read_image(picture)[None])
    moved = nets.decode(code + kept.shift({'smile': 40.0, 'glasses': -20.0}))[0]
    np.testing.assert_array_equal(read_image(out), moved)
    assert np.abs(moved.astype(int) - nets.decode(code)[0]).max() > 0
    assert read_credentials(out)['ai_generated']


def test_a_video_keeps_its_frames_and_the_same_picture_is_edited_the_same(runs, picture, tmp_path):
    frame = cv2.resize(read_image(picture), (64, 64))
    with VideoWriter(tmp_path / 'in.mp4', 25, (64, 64)) as writer:
        for _ in range(5):
            writer.write(frame)
    report = edit(runs['vae'], {'beard': 1.0}, tmp_path / 'in.mp4', tmp_path / 'out.mp4', whole=True, progress=False)
    made = np.stack(frames_of(tmp_path / 'out.mp4')[0]).astype(int)
    assert report['frames'] == len(made) == 5
    assert np.abs(made - made[0]).max() <= 12  # what H.264 leaves of one picture with all its detail five times
    assert read_credentials(tmp_path / 'out.mp4')['ai_generated']


def test_a_folder_becomes_a_folder(runs, picture, tmp_path):
    (tmp_path / 'in').mkdir()
    for name in ('1.png', '2.png'):
        write_image(tmp_path / 'in' / name, read_image(picture))
    report = edit(runs['vae'], {'smile': 1.0}, tmp_path / 'in', tmp_path / 'out', whole=True, progress=False)
    assert report['frames'] == 2
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {'1.png', '2.png'}


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        (
            ['--run', '{vae}', '--vector', 'hat=1', '{picture}', '-o', '{out}.png'],
            "'hat' is unknown; there are: smile,",
        ),
        (['--run', '{vae}', '--orthogonal', 'hat', '--vector', 'smile=1', '{picture}', '-o', '{out}.png'], "'hat'"),
        (['--run', '{vae}', '--vector', 'smile', '{picture}', '-o', '{out}.png'], 'write NAME=NUMBER'),
        (['--run', '{vae}', '--vector', 'smile=nan', '{picture}', '-o', '{out}.png'], 'write NAME=NUMBER'),
        (
            ['--run', '{vae}', '--vector', 'smile=1', '--vector', 'smile=2', '{picture}', '-o', '{out}.png'],
            'smile=2: a second number for smile; give one',
        ),
        (['--run', '{vae}', '--list', '--orthogonal', 'hat'], "'hat' is unknown; there are: smile,"),
        (['--run', '{vae}', '{picture}', '-o', '{out}.png'], 'say what to change'),
        (['--run', '{vae}', '--vector', 'smile=1'], '-o OUT, or --list'),
        (['--run', '{vae}', '--vector', 'smile=1', '{picture}', '-o', '{out}.mp4'], 'is a picture; name the output'),
        (['--run', '{gan}', '--vector', 'smile=1', '{picture}', '-o', '{out}.png'], "of system 'gan'"),
        (['--run', '{vae}', '--list', '--data', '{folder}'], 'no label that some pictures have and others have not'),
    ],
)
def test_a_wrong_edit_is_one_line(runs, picture, tmp_path, capsys, words, line):
    names = {'vae': runs['vae'], 'gan': runs['gan'], 'picture': picture, 'out': tmp_path / 'out'}
    for name in ('1.png', '2.png'):
        write_image(tmp_path / name, read_image(picture))
    words = [word.format(folder=tmp_path, **names) for word in words]
    assert cli.main(['edit', '--whole', *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert line in said
    assert not list(tmp_path.glob('out*'))


# morph


@pytest.mark.parametrize('suffix', ['.gif', '.webp', '.mp4'])
def test_a_transition_has_its_frames_and_ends_at_its_stops(runs, picture, tmp_path, suffix):
    out = tmp_path / f'out{suffix}'
    stops = ['render:people:5:2', str(picture)]
    report = morph(runs['vae'], stops, out, frames=4, size=64, whole=True)
    made, forever = frames_of(out)
    assert (report['stops'], report['frames']) == (3, len(made)) == (3, 9)
    assert made[0].shape == (64, 64, 3) and forever in (True, None)
    nets = Latents(load_run(runs['vae']))
    last = cv2.resize(nets.decode(nets.encode(read_image(picture)[None]))[0], (64, 64), interpolation=cv2.INTER_CUBIC)
    assert np.abs(made[-1].astype(int) - last).mean() < 12  # palettes and codecs are not exact
    assert report['path_length'].keys() == {'linear', 'spherical'}
    assert read_credentials(out)['ai_generated']


def test_a_loop_returns_and_an_edit_is_a_stop(runs, picture, tmp_path):
    stops = [str(picture), f'{picture}@smile=30']
    report = morph(runs['vae'], stops, tmp_path / 'out.webp', frames=3, loop=True, path='linear', size=32, whole=True)
    assert (report['stops'], report['frames']) == (2, 6)
    assert len(frames_of(tmp_path / 'out.webp')[0]) == 6


@pytest.mark.parametrize(
    ('stops', 'options', 'line'),
    [
        (['{picture}'], {}, 'two or more'),
        (['{picture}', '{picture}@hat=1'], {}, "'hat' is unknown"),
        (['{picture}', '{picture}.gone'], {}, 'no such file'),
        (['{picture}', '{picture}'], {'frames': 0}, '--frames 0: give 1 or more'),
        (['{picture}', '{picture}'], {'out': 'out.png'}, 'an animation is written as .gif, .webp, .mp4'),
    ],
)
def test_a_wrong_transition_is_one_line(runs, picture, tmp_path, stops, options, line):
    out = tmp_path / options.pop('out', 'out.gif')
    with pytest.raises(InputError, match=line):
        morph(runs['vae'], [stop.format(picture=picture) for stop in stops], out, whole=True, **options)
    assert not out.exists()


# sample


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

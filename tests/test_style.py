"""Style by a net: what the system draws, runs on pictures and videos of any size, the verb and its bad input."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from untrained import smooth_picture, untrained
from videos import sound_packets

from configs.style import get_config
from dfjax.apps import cli
from dfjax.apps.stylize import stylize, stylize_by_run
from dfjax.config import build
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import read_frames
from dfjax.data.render.patterns import pattern
from dfjax.errors import InputError
from dfjax.evaluation.style import change_ratio
from dfjax.inference.run import load_run
from dfjax.inference.style import Stylist
from dfjax.systems import style as system
from dfjax.training.loop import train

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(0)


# The system


def test_moved_is_a_shift():
    picture = jnp.asarray(RNG.normal(size=(12, 10, 3)), jnp.float32)
    out = system.moved(picture, jnp.array([2, -1]))
    np.testing.assert_array_equal(out[3:-3, 3:-3], picture[1:-5, 4:-2])


def test_disturbed_pictures_are_moved_as_it_says():
    pictures = jnp.asarray(RNG.uniform(-0.5, 0.5, (4, 16, 16, 3)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 4)
    out, moves = system.disturbed(keys, pictures, 0.0)
    np.testing.assert_array_equal(out, jax.vmap(system.moved)(pictures, moves))
    assert int(jnp.abs(moves).max()) <= system.MOVE and len({tuple(m) for m in moves.tolist()}) > 1
    noisy, _ = system.disturbed(keys, pictures, 0.05)
    assert 0.03 < float((noisy - out).std()) < 0.12


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'model.kind': 'unet'}, "'model.kind' is one of light, resnet"),
        ({'data.size': 12}, 'the features need 16 pixels'),
    ],
)
def test_a_config_that_does_not_fit(changes, line):
    with pytest.raises(InputError, match=line):
        system.init(build(get_config('smoke'), changes), jax.random.key(0))


@pytest.mark.parametrize('key', ['style', 'features'])
def test_training_without_its_files_writes_nothing(key, tmp_path):
    cfg = build(get_config('smoke'), {key: str(tmp_path / 'none.npz')})
    with pytest.raises(InputError, match=r'none\.npz: no such file'):
        train(cfg, tmp_path / 'run', progress=False)
    assert not list(tmp_path.iterdir())


# Runs


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp('runs') / 'style', 'style')


def test_any_size_is_taken(trained):
    run = load_run(trained, can='paint')
    for h, w in ((32, 32), (33, 47)):
        (made,) = Stylist(run)([smooth_picture(h, w)])
        assert made.shape == (h, w, 3) and made.dtype == np.uint8
    (large,) = Stylist(run, 32)([smooth_picture(64, 48)])
    assert large.shape == (64, 48, 3)
    with pytest.raises(InputError, match='too small to be repainted'):
        Stylist(run)([smooth_picture(12, 40)])


@pytest.mark.parametrize('norm', ['none', 'instance', 'affine'])
def test_tiles_show_no_seams(norm, tmp_path):
    changes = {'model.norm': norm, 'model.width': 8}
    run = load_run(untrained(tmp_path / 'run', 'style', **changes))
    picture = smooth_picture(200, 300)
    picture[:, 150:] //= 4  # what each tile would be normalised by differs
    (whole,), (tiled,) = (Stylist(run, tile=tile)([picture]) for tile in (2048, 128))
    assert whole.shape == tiled.shape == picture.shape and whole.std() > 10
    difference = np.abs(whole.astype(float) - tiled)
    # The reach of this net is 30 pixels: only near their edges, where they count least, do tiles see less.
    assert difference.mean() < (0.7 if norm == 'none' else 1.5) and np.percentile(difference, 99) < 12
    two = Stylist(run, tile=128)
    two.batch = 3  # tiles of several pictures at once, each with its own statistics
    for made, alone in zip(two([picture, 255 - picture]), (picture, 255 - picture)):
        np.testing.assert_allclose(made, Stylist(run, tile=128)([alone])[0], atol=1)


def test_a_video_keeps_its_frames_and_its_sound_and_is_signed(trained, tmp_path):
    frames = [np.roll(smooth_picture(48, 64), n, 1) for n in range(5)]
    tone = np.sin(np.arange(3200) / 20).astype(np.float32)[:, None]
    with VideoWriter(tmp_path / 'in.mp4', 25, (64, 48), sound=(tone, 16000)) as writer:
        for frame in frames:
            writer.write(frame)
    report = stylize_by_run(trained, tmp_path / 'in.mp4', tmp_path / 'out.mp4', progress=False)
    made = [rgb for _, _, rgb in read_frames(tmp_path / 'out.mp4')]
    assert report['frames'] == len(made) == 5 and made[0].shape == (48, 64, 3)
    truth = Stylist(load_run(trained))([next(read_frames(tmp_path / 'in.mp4'))[2]])[0]
    assert np.abs(made[0].mean(-1) - truth.mean(-1)).mean() < 8  # brightness; colours are stored at half the side
    assert np.abs(made[0].mean(-1) - frames[0].mean(-1)).mean() > 20
    times = [[time for _, time, _ in read_frames(tmp_path / f'{name}.mp4')] for name in ('in', 'out')]
    assert times[0] == times[1]
    packets = sound_packets(tmp_path / 'in.mp4')
    assert sound_packets(tmp_path / 'out.mp4') == packets and len(packets) > 2
    assert read_credentials(tmp_path / 'out.mp4')['ai_generated']


def test_change_ratio_of_a_net_that_changes_nothing(trained, monkeypatch):
    frames = [np.roll(smooth_picture(32, 32), n, 1) for n in range(4)]
    monkeypatch.setattr('dfjax.evaluation.style.Stylist', lambda run: lambda frames: [f // 2 for f in frames])
    assert change_ratio(load_run(trained), frames) == pytest.approx(0.5, abs=0.01)


def test_the_run_is_used_without_its_style_and_trained_with_it_only(tmp_path):
    style = tmp_path / 'style.png'
    write_image(style, pattern('pattern:mosaic', 64))
    folder = untrained(tmp_path / 'run', 'style', style=str(style))
    style.unlink()
    run = load_run(folder)
    assert Stylist(run)([smooth_picture(32, 32)])[0].shape == (32, 32, 3)
    with pytest.raises(InputError, match=r'style\.png: no such file'):
        system.frozen(run.cfg)


def test_evaluate(trained, capsys):
    assert cli.main(['evaluate', '--run', str(trained), '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {'gram_before', 'gram_after', 'gram_ratio', 'content_distance', 'change_ratio'}
    assert report['gram_ratio'] == pytest.approx(report['gram_before'] / report['gram_after'], rel=0.01)


# The verb


def test_stylize_a_folder(tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    for n in range(2):
        write_image(tmp_path / 'in' / f'{n}.png', smooth_picture(20, 30, n))
    (tmp_path / 'in' / '2.jpg').write_bytes(b'no picture')
    report = stylize(tmp_path / 'in', 'pattern:hatching', tmp_path / 'out', size=32, steps=2, progress=False)
    assert report['frames'] == 2 and report['gram_after'] < report['gram_before']
    assert report['skipped'] == 1 and '2.jpg: not a picture' in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['0.png', '1.png']
    for n in range(2):
        assert read_image(tmp_path / 'out' / f'{n}.png').shape == (21, 32, 3)
        assert read_credentials(tmp_path / 'out' / f'{n}.png')['ai_generated']


def test_stylize_a_folder_by_a_run(trained, tmp_path, capsys):
    (tmp_path / 'in').mkdir()
    write_image(tmp_path / 'in' / '1.png', smooth_picture(20, 30))
    for name in ('0.jpg', '2.mp4'):
        (tmp_path / 'in' / name).write_bytes(b'neither picture nor video')
    report = stylize_by_run(trained, tmp_path / 'in', tmp_path / 'out', progress=False)
    said = capsys.readouterr().err
    assert (report['frames'], report['skipped']) == (1, 2) and '0.jpg' in said and '2.mp4' in said
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['1.png']


@pytest.mark.parametrize(
    ('words', 'line'),
    [
        (['{picture}', '-o', '{out}.png'], 'give --style PICTURE or --run W'),
        (['{picture}', '--style', 'pattern:mosaic', '--run', '{run}', '-o', '{out}.png'], 'one of the two'),
        (['-o', '{out}.png'], 'give a picture, and --style or --run'),
        (['--features', '{picture}', '-o', '{out}.png'], 'name features FILE.npz'),
        (['{picture}', '--style', 'pattern:dots', '-o', '{out}.png'], 'no such pattern'),
        (['{picture}', '--style', '{none}.jpg', '-o', '{out}.png'], 'no such file'),
        (['{picture}', '--style', 'pattern:mosaic', '-o', '{out}.mp4'], 'is a picture; name the output'),
        (['{video}', '--style', 'pattern:mosaic', '-o', '{out}.mp4'], 'train a run of system style'),
        (['{picture}', '--style', 'pattern:mosaic', '--size', '8', '-o', '{out}.png'], 'below 16 pixels at size 8'),
        (['{picture}', '--style', 'pattern:mosaic', '--size', '0', '-o', '{out}.png'], '--size 0'),
        (['{picture}', '--style', 'pattern:mosaic', '--steps', '0', '-o', '{out}.png'], 'have to be above 0'),
        (['{picture}', '--style', 'pattern:mosaic', '--strength', '-1', '-o', '{out}.png'], 'have to be above 0'),
        (['{picture}', '--run', '{run}', '--steps', '5', '-o', '{out}.png'], '--steps: not an option with --run'),
        (['{picture}', '--run', '{run}', '--tile', '32', '-o', '{out}.png'], 'give 64 or more'),
        (['{picture}', '--style', 'pattern:mosaic', '--tile', '64', '-o', '{out}.png'], '--tile: not an option with'),
        (['{picture}', '--run', '{none}', '-o', '{out}.png'], 'none'),
    ],
)
def test_bad_input_is_one_line(words, line, trained, tmp_path, capsys):
    write_image(tmp_path / 'picture.png', smooth_picture(32, 32))
    (tmp_path / 'video.mp4').write_bytes(b'not looked at')
    names = {'picture': tmp_path / 'picture.png', 'video': tmp_path / 'video.mp4', 'run': trained}
    names |= {'none': tmp_path / 'none', 'out': tmp_path / 'out'}
    status = cli.main(['stylize', *(word.format(**names) for word in words)])
    said = capsys.readouterr().err.strip()
    assert status == 2 and line in said
    assert len([text for text in said.splitlines() if text.startswith('dfjax: ')]) == 1
    assert not list(tmp_path.glob('out*'))

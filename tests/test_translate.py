"""`dfjax translate`: tiles, labels, files in and out; and the figures of translation."""

import dataclasses
import importlib
import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from dfjax.apps.cli import main
from dfjax.apps.translate import parse_labels, translate
from dfjax.config import build
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import read_image, write_image
from dfjax.data.media.video import VideoWriter, read_frames
from dfjax.data.media.video import probe as probe_video
from dfjax.errors import InputError
from dfjax.evaluation import cyclegan as figures_cyclegan
from dfjax.evaluation import pix2pix as figures_pix2pix
from dfjax.evaluation import stargan as figures_stargan
from dfjax.inference.labels import label_names, wanted_labels
from dfjax.inference.run import Run
from dfjax.inference.tiles import fade, starts
from dfjax.inference.translate import Translator
from dfjax.systems import load_system

pytestmark = pytest.mark.whole

RNG = np.random.default_rng(0)
# A net whose reach is short and which no statistics of the picture change.
PLAIN = {'kind': 'light', 'width': 4, 'blocks': 1, 'norm': 'none', 'dropout': 0.0}


def config(name: str, **changes) -> ConfigDict:
    return build(importlib.import_module(f'configs.{name}').get_config('smoke'), changes)


def fresh(name: str, folder, **changes) -> Run:
    cfg = config(name, **changes)
    state = jax.jit(lambda key: load_system(name).init(cfg, key))(jax.random.key(1))
    return Run(folder, cfg, load_system(name), jax.device_get(state.params), 1, state.ema.get('batch_stats', {}))


@pytest.fixture(scope='module')
def run(tmp_path_factory) -> Run:
    """A pix2pix run, untrained: its last layer enlarged, so that pictures are not all grey."""
    made = fresh('pix2pix', tmp_path_factory.mktemp('run'), **{'model.g': PLAIN})
    last = made.params['g']['last']
    last['kernel'] = last['kernel'] * 8
    return made


@pytest.fixture(scope='module')
def star(tmp_path_factory) -> Run:
    return fresh('stargan', tmp_path_factory.mktemp('star'))


def picture(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), np.uint8)


# Tiles


@pytest.mark.parametrize('length', [8, 30, 31, 64, 65, 100, 129, 500, 1080])
@pytest.mark.parametrize('tile, step', [(64, 4), (32, 4), (64, 32)])
def test_tiles_cover_the_side_and_overlap(length, tile, step):
    places, size = starts(length, tile, step)
    assert size % step == 0 and all(p % step == 0 for p in places)
    assert places[0] == 0 and length <= places[-1] + size < length + max(step, 8)
    if len(places) > 1:
        assert size == tile and max(np.diff(places)) <= tile - min(tile // 4, step)
    weight = np.zeros(places[-1] + size)
    for place in places:
        weight[place : place + size] += fade(size, places)
    assert weight.min() > 0


def test_tiles_give_the_untiled_picture(run):
    x = picture(100, 150)
    (whole,), (tiled,) = Translator(run, tile=256)([x]), Translator(run, tile=64, batch_size=3)([x])
    assert whole.shape == tiled.shape == x.shape and whole.std() > 10
    difference = np.abs(whole.astype(int) - tiled)
    # Where tiles meet, each is seen least at its own edge, beyond which it knows nothing.
    assert np.mean(difference > 1) < 0.2 and difference.mean() < 2
    tops, lefts = starts(100, 64, 4)[0], starts(150, 64, 4)[0]
    assert (len(tops), len(lefts)) == (2, 3)
    assert difference[: tops[1], : lefts[1]][:-12, :-12].max() <= 1  # one tile alone, away from its edge


def test_pictures_of_any_size_do_not_depend_on_the_batch(run):
    x = [picture(33, 47) for _ in range(5)]
    results = [Translator(run, batch_size=n)(x) for n in (1, 2, 8)]
    assert [y.shape for y in results[0]] == [(33, 47, 3)] * 5
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    even = np.pad(x[0], ((0, 3), (0, 1), (0, 0)), 'symmetric')  # 36 by 48
    np.testing.assert_array_equal(results[0][0], Translator(run)([even])[0][:33, :47])


# Files


def test_a_picture_and_a_folder(run, tmp_path, capsys):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name, size in (('a.png', (40, 60)), ('b.png', (61, 33))):
        write_image(folder / name, picture(*size))
    (folder / 'c.jpg').write_bytes(b'no picture')
    report = translate(run, folder, tmp_path / 'out', progress=False)
    assert (report['frames'], report['skipped']) == (2, 1)
    assert 'c.jpg: not a picture' in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['a.png', 'b.png']
    (truth,) = Translator(run)([read_image(folder / 'b.png')])
    np.testing.assert_array_equal(read_image(tmp_path / 'out' / 'b.png'), truth)
    assert read_credentials(tmp_path / 'out' / 'a.png')['description'] == 'translated by a trained model'
    translate(run, folder / 'a.png', tmp_path / 'small.png', size=20, progress=False)
    assert read_image(tmp_path / 'small.png').shape == (40, 60, 3)


def test_a_video_keeps_its_frames_and_its_sound(run, tmp_path):
    sound = (np.sin(np.arange(8000) / 20).astype(np.float32)[:, None], 16000)
    with VideoWriter(tmp_path / 'in.mp4', 10, (64, 48), sound=sound) as writer:
        for _ in range(5):
            writer.write(np.full((48, 64, 3), RNG.integers(0, 256, 3), np.uint8))
    report = translate(run, tmp_path / 'in.mp4', tmp_path / 'out.mp4', batch_size=2, progress=False)
    info = probe_video(tmp_path / 'out.mp4')
    assert report['frames'] == 5 and (info.width, info.height) == (64, 48) and info.has_audio
    times = [[time for _, time, _ in read_frames(tmp_path / f'{name}.mp4')] for name in ('in', 'out')]
    assert times[0] == times[1]


def test_files_of_a_folder_that_cannot_be_read_are_left_out(run, tmp_path, capsys):
    folder = tmp_path / 'in'
    folder.mkdir()
    (folder / 'a.mp4').write_bytes(b'no video')
    for name in ('b.mp4', 'c.mp4'):
        with VideoWriter(folder / name, 10, (32, 32)) as writer:
            for _ in range(20):
                writer.write(picture(32, 32))
    whole = (folder / 'c.mp4').read_bytes()
    (folder / 'c.mp4').write_bytes(whole[: len(whole) * 2 // 3])  # which shows only when its frames have been read
    report = translate(run, folder, tmp_path / 'out', progress=False)
    said = capsys.readouterr().err.splitlines()
    assert (report['frames'], report['skipped']) == (20, 2)
    assert [p.name for p in (tmp_path / 'out').iterdir()] == ['b.mp4']
    assert ['a.mp4' in said[0], 'c.mp4' in said[1]] == [True, True] and len(said) == 2
    (folder / 'b.mp4').unlink()
    with pytest.raises(InputError, match='in: none of its 2 pictures and videos can be read'):
        translate(run, folder, tmp_path / 'none', progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in', 'out']


def test_what_is_no_fault_of_a_file_ends_the_work(run, tmp_path, monkeypatch):
    (tmp_path / 'in').mkdir()
    write_image(tmp_path / 'in' / 'a.png', picture(32, 32))

    def full(*_):
        raise InputError('the disk is full')

    monkeypatch.setattr('dfjax.inference.writers.write_image', full)
    with pytest.raises(InputError, match='the disk is full'):
        translate(run, tmp_path / 'in', tmp_path / 'out', progress=False)
    assert not (tmp_path / 'out').exists()


# StarGAN's labels


def test_labels_that_are_not_named_stay_as_they_are_seen(star):
    x = [picture(32, 32)]
    seen = wanted_labels(star, {'smile': 1}, x)
    assert seen[0] == 1 and seen[1] in (0, 1)
    logits = load_system('stargan').nets(star.cfg)['d'].module.apply(star.variables('d'), x[0][None] / 127.5 - 1)[1]
    assert seen[1] == (logits[0, 1] > 0)
    np.testing.assert_array_equal(wanted_labels(star, {'glasses': 0, 'smile': 1}, x), [1, 0])
    alone = dataclasses.replace(star, params={'g': star.params['g']})
    with pytest.raises(InputError, match=r'no discriminator to see .* name all of: smile, glasses'):
        wanted_labels(alone, {'smile': 1}, x)
    np.testing.assert_array_equal(wanted_labels(alone, {'glasses': 0, 'smile': 1}, x), [1, 0])


def test_labels_of_groups_come_with_their_mask(star):
    cfg = config('stargan', groups=[1, 1], **{'model.g.labels': 4})
    run = dataclasses.replace(star, cfg=cfg)
    np.testing.assert_array_equal(wanted_labels(run, {'glasses': 1}, []), [0, 1, 0, 1])
    with pytest.raises(InputError, match='smile, glasses are labels of different data sets'):
        wanted_labels(run, {'smile': 1, 'glasses': 1}, [])


def test_labels_of_an_imported_run_are_numbered(star):
    cfg = config('stargan', **{'data.labels': []})
    assert label_names(dataclasses.replace(star, cfg=cfg)) == ['label_0', 'label_1']


def test_labels_as_words():
    assert parse_labels('smile=1,glasses=0, beard') == {'smile': 1, 'glasses': 0, 'beard': 1}
    for bad in ('smile=2', '', '=1', 'smile=1,,'):
        with pytest.raises(InputError, match='write labels as smile=1,glasses=0'):
            parse_labels(bad)


@pytest.mark.parametrize(
    'which, options, line',
    [
        ('star', {}, 'say what to make, as in --to smile=1; there are: smile, glasses'),
        ('star', {'to': {'hat': 1}}, "has no label 'hat'; it has: smile, glasses"),
        ('star', {'to': {'smile': 1}, 'side': 'ab'}, "--side ab: .* a run of system 'stargan', which goes one way"),
        ('run', {'to': {'smile': 1}}, "--to: .* a run of system 'pix2pix', which cannot condition_of; can: stargan"),
        ('run', {'tile': 16}, 'tiles of 16 pixels are too small for this net; give 32 or more'),
        ('run', {'size': 3}, '--size 3: give 8 or more'),
        ('run', {'batch_size': 0}, '--batch-size 0: give 1 or more'),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(which, options, line, request, tmp_path):
    write_image(tmp_path / 'in.png', picture(32, 32))
    with pytest.raises(InputError, match=line):
        translate(request.getfixturevalue(which), tmp_path / 'in.png', tmp_path / 'out.png', progress=False, **options)
    assert not (tmp_path / 'out.png').exists()


def test_runs_that_cannot_translate_are_one_line(run, tmp_path, capsys):
    with pytest.raises(InputError, match='has no generator g, only d; import that too'):
        Translator(dataclasses.replace(run, params={'d': run.params['d']}))
    grey = build(run.cfg, {'model.inputs': 1})
    with pytest.raises(InputError, match='makes 3 channels of 1; use `dfjax apply`'):
        Translator(dataclasses.replace(run, cfg=grey))
    write_image(tmp_path / 'in.png', picture(32, 32))
    assert main(['translate', '--run', str(tmp_path), str(tmp_path / 'in.png'), '-o', str(tmp_path / 'o.png')]) == 2
    assert 'not a run' in capsys.readouterr().err


# Figures


def test_figures_of_pix2pix_are_those_of_its_pairs(run):
    report = figures_pix2pix.figures(run, data='pair:grey:render:1:3')
    a, b = figures_pix2pix.pairs(run, source='pair:grey:render:1:3')
    made = np.stack(Translator(run)(a)).astype(float)
    truth = np.mean([10 * np.log10(255**2 / ((x - y) ** 2).mean()) for x, y in zip(made, b)])
    assert report['pairs'] == 3 and abs(report['psnr'] - truth) < 1e-3
    assert report['psnr_input'] > report['psnr']
    assert json.dumps(report)


def test_figures_of_cyclegan_go_both_ways(tmp_path):
    run = fresh('cyclegan', tmp_path)
    report = figures_cyclegan.figures(run, data='pair:grey:render:1:3')
    assert report['psnr'] == pytest.approx((report['psnr_ab'] + report['psnr_ba']) / 2, abs=1e-3)
    assert 0 < report['recon_l1'] < 2
    names = figures_cyclegan.held_out_domains(run)
    assert names == {'a': 'render:people:1000001:256', 'b': 'render:people:1000001:256:cartoon'}
    unnamed = dataclasses.replace(run, cfg=build(run.cfg, {'data.a': ''}))  # as imported
    with pytest.raises(InputError, match=r'^what the run has not learnt from is not known; give --data NAME'):
        figures_cyclegan.figures(unnamed)
    cfg = build(run.cfg, {'data.b': 'render:person:1:2:16:cartoon'})
    with pytest.raises(InputError, match='of different scenes; give --data NAME'):
        figures_cyclegan.held_out_domains(dataclasses.replace(run, cfg=cfg))


def test_figures_of_stargan_of_a_perfect_and_of_an_idle_generator():
    """Pictures of two pixels, each of them a label: the perfect one paints them, the idle one does nothing."""
    cfg = config('stargan')
    label = (RNG.random((40, 2)) < 0.5).astype(np.float32)
    rows = {'image': np.uint8(255 * label)[:, None, :, None].repeat(3, -1), 'label': label, 'known': np.ones((40, 2))}
    paint = lambda pictures, c: np.uint8(255 * c)[:, None, :, None].repeat(3, -1)
    see = lambda pictures: np.stack(pictures)[:, 0, :, 0] > 127
    perfect = figures_stargan.measure(cfg, ['smile', 'glasses'], rows, paint, see)
    assert perfect['label_accuracy'] == perfect['kept_accuracy'] == perfect['classifier_accuracy'] == 1
    assert perfect['recon_l1'] == 0 and perfect['labels'] == {'smile': 1.0, 'glasses': 1.0}
    idle = figures_stargan.measure(cfg, ['smile', 'glasses'], rows, lambda pictures, c: pictures, see)
    assert (idle['label_accuracy'], idle['kept_accuracy'], idle['recon_l1']) == (0, 1, 0)
    both = figures_stargan.measure(cfg, ['smile', 'glasses'], rows, lambda x, c: 255 - np.stack(x), see)
    assert (both['label_accuracy'], both['kept_accuracy']) == (1, 0)

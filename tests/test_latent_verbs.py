"""`edit` and `morph` on small runs that have not been trained."""

import json
import shutil

import cv2
import numpy as np
import pytest
from untrained import smooth_picture
from videos import frames_of

from dfjax.apps import cli
from dfjax.apps.edit import edit, list_vectors
from dfjax.apps.morph import morph
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import read_image, write_image
from dfjax.errors import InputError
from dfjax.inference import attributes as vectors
from dfjax.inference.latents import Latents
from dfjax.inference.run import load_run

pytestmark = pytest.mark.whole

SIZE = 32


@pytest.fixture(scope='module')
def runs(latent_runs):
    return latent_runs('vae', 'gan')


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

"""The three notebooks of a swap, run in order on small rendered videos, and each of the others; how they are stored."""

import ast
import base64
import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import pytest
from nbclient import NotebookClient

from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import decode_image, read_image
from dfjax.data.media.video import probe

pytestmark = pytest.mark.whole

FOLDER = Path(__file__).parents[1] / 'notebooks'
NAMES = ('1_preprocess', '2_train', '3_generate')
FRAMES = 12
SVG = '{http://www.w3.org/2000/svg}'
SMALL = {'VARIANT': 'smoke', 'STEPS': 6}  # two rows, which are a curve
OTHERS = {  # settings that make them short, and what they leave in their folders
    '4_vae_and_edits': (SMALL | {'DATA': 'render:people:1:64'}, ('edited.png', 'morph.gif')),
    '5_gan': (SMALL | {'COUNT': 4}, ('sheet.png',)),
    '6_diffusion': (SMALL | {'COUNT': 4}, ('sheet.png',)),
    '7_translate': (SMALL, ('stargan.png',)),
    '8_style': (SMALL | {'SIZE': 64}, ('painted.png', 'at_once.png')),
    '9_animate_and_lipsync': ({'DRIVING': 'talk:7:1'}, ('moving.mp4', 'speaking.mp4')),
    'dfjax_colab': (SMALL | {'FRAMES': {'a': FRAMES, 'b': FRAMES}}, ('swap.mp4',)),
}
SPEC = importlib.util.spec_from_file_location('build', FOLDER / 'build.py')
BUILD = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(BUILD)


def load(name: str):
    return nbformat.read(FOLDER / f'{name}.ipynb', as_version=4)


def settings(notebook):
    """The one cell of settings, and the names that it assigns."""
    (cell,) = [cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', [])]
    return cell, {node.targets[0].id for node in ast.parse(cell.source).body}


def execute(name: str, folder: Path, **values):
    """Runs a notebook in `folder` with other settings, which must be its own."""
    notebook = load(name)
    cell, known = settings(notebook)
    assert set(values) <= known
    cell.source += ''.join(f'\n{key} = {value!r}' for key, value in values.items())
    NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(folder)}}).execute()
    return notebook


def outputs(notebook) -> list:
    return [output for cell in notebook.cells if cell.cell_type == 'code' for output in cell.outputs]


def watched(notebook) -> list[dict[str, bytes]]:
    """The pictures of each place that shows a training, by kind, as they were in the end."""
    pages = [''.join(output.get('data', {}).get('text/html', '')) for output in outputs(notebook)]
    found = [dict(re.findall(r'src="data:image/([\w+]+);base64,([^"]+)"', page)) for page in pages]
    return [{kind: base64.b64decode(data) for kind, data in kinds.items()} for kinds in found if 'svg+xml' in kinds]


def check_watched(notebook) -> None:
    """One place, with curves of two points at the least and a preview."""
    (seen,) = watched(notebook)
    curves = [line.get('points').split() for line in ElementTree.fromstring(seen['svg+xml']).iter(f'{SVG}polyline')]
    assert curves and all(len(points) == 2 for points in curves)
    assert decode_image(seen['jpeg'], 'preview').std() > 10


def shown(notebook, kind: str) -> int:
    return sum(kind in output.get('data', {}) for output in outputs(notebook))


@pytest.fixture(scope='module')
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp('notebooks')
    frames = {'a': FRAMES, 'b': FRAMES + 2}
    tiny = [
        {'DEMO_FRAMES': frames, 'DEMO_SIZE': 160, 'SIZE': 64},
        {'VARIANT': 'smoke', 'STEPS': 6, 'OVERRIDES': {'preview_every': 3}},
        {'EVERY': 6, 'SHOWN': 3},
    ]
    done = [execute(name, folder, WORK='job', **values) for name, values in zip(NAMES, tiny)]
    return SimpleNamespace(work=folder / 'job', notebooks=dict(zip(NAMES, done)))


def test_preprocess_makes_and_shows_two_face_sets(ran):
    for side, frames in (('a', FRAMES), ('b', FRAMES + 2)):
        faces = load_faceset(ran.work / f'faces_{side}').rows
        assert frames - 2 <= len(faces) <= frames  # of a rendered person, nearly every frame has a face
        assert read_image(faces[0].path).shape == (64, 64, 3)
    assert shown(ran.notebooks['1_preprocess'], 'image/jpeg') == 2


def test_train_keeps_a_checkpoint_and_shows_previews(ran):
    assert [path.stem for path in sorted((ran.work / 'run' / 'previews').glob('*.jpg'))] == [
        '00000000',
        '00000003',
        '00000006',
    ]
    assert shown(ran.notebooks['2_train'], 'image/jpeg') == 2
    check_watched(ran.notebooks['2_train'])
    assert 'step       6  loss' in ''.join(output.get('text', '') for output in outputs(ran.notebooks['2_train']))


def test_generate_writes_shows_and_measures_the_video(ran):
    assert probe(ran.work / 'swap.mp4').frames == FRAMES
    assert read_credentials(ran.work / 'swap.mp4')['ai_generated']
    assert read_image(ran.work / 'comparison.jpg').shape == (2 * 160, 3 * 160, 3)
    done = ran.notebooks['3_generate']
    assert shown(done, 'image/jpeg') == 1
    html = [output.data['text/html'] for output in outputs(done) if 'text/html' in output.get('data', {})]
    assert any('<video' in text and 'data:video/mp4;base64' in text for text in html)
    told = ''.join(output.data['text/plain'] for output in outputs(done) if 'data' in output)
    assert all(f"'{key}'" in told for key in ('psnr', 'ssim', 'transfer', 'expression', 'detail', 'intact'))


@pytest.mark.slow
@pytest.mark.parametrize('name', OTHERS)
def test_the_others_run(name, tmp_path):
    values, made = OTHERS[name]
    done = execute(name, tmp_path, WORK='job', **values)
    for file in made:
        assert read_credentials(tmp_path / 'job' / file)['ai_generated']
    assert sum('image/' in kind or 'html' in kind for out in outputs(done) for kind in out.get('data', {})) >= len(made)
    if 'STEPS' in values:
        check_watched(done)


def test_all_are_made_of_their_sources():
    assert BUILD.names() == sorted([*NAMES, *OTHERS]) == sorted(path.stem for path in FOLDER.glob('*.ipynb'))
    for name in BUILD.names():
        assert load(name) == BUILD.notebook(name), f'{name}: run python notebooks/build.py'


@pytest.mark.parametrize('name', BUILD.names())
def test_stored_without_outputs(name):
    notebook = load(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == 'code']
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_same_folder_and_consent_in_all():
    works = []
    for name in NAMES:
        notebook = load(name)
        assert 'ask **both** people' in notebook.cells[0].source
        cell, _ = settings(notebook)
        works += [ast.literal_eval(n.value) for n in ast.parse(cell.source).body if n.targets[0].id == 'WORK']
    assert works == ['dfjax-work'] * len(NAMES)

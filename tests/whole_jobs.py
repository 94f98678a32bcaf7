"""What `faulty.py` runs besides its small jobs: a training of any system, and any verb. It is not a test.

train:SYSTEM    its smoke run, of a few steps
verb:NAME       the command of VERBS; its inputs, `prepared`, lie in `inputs` beside the folder that it writes in, and
                what it adds to (BROUGHT) is copied into that
"""

import importlib
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np

SHARED = Path(__file__).parents[2] / 'shared' / 'data'
RUNS = {name: {} for name in ('pix2pix', 'style', 'gan', 'faceswap')}
RUNS |= {'vae': {'data.source': 'render:people:1:24'}, 'segment': {'data.face_type': 'full'}}
BROUGHT = {'edit': 'vae', 'mask set': 'set'}
CHANGES = {'steps': 6, 'checkpoint_every': 2, 'preview_every': 3, 'log_every': 1}
VERBS = {
    'extract': 'extract {i}/face.mp4 -o {o}/faces --size 64 --force',
    'pack': 'pack {i}/pictures -o {o}/set --force',
    'convert': 'convert --run {i}/faceswap --into {i}/face.mp4 -o {o}/out.mp4 --force',
    'swap': 'swap --face {i}/other.mp4 --into {i}/face.mp4 -o {o}/out.mp4 --instant --force --config faceswap:smoke',
    'animate': 'animate --image {i}/still.png --driving {i}/face.mp4 -o {o}/out.mp4 --force',
    'lipsync': 'lipsync --face {i}/face.mp4 --audio {i}/sound.wav -o {o}/out.mp4 --sync off --force',
    'translate': 'translate --run {i}/pix2pix {i}/face.mp4 -o {o}/out.mp4 --force',
    'stylize': 'stylize {i}/face.mp4 --run {i}/style -o {o}/out.mp4 --force',
    'morph': 'morph {i}/pictures/a.png {i}/pictures/b.png --run {i}/vae -o {o}/out.gif --frames 4 --whole --force',
    'sample': 'sample --run {i}/gan -n 4 -o {o}/out.png --force',
    'edit': 'edit {i}/pictures/a.png --run {o}/vae --vector smile=1 -o {o}/out.png --whole --force',
    'mask': 'mask {i}/face.mp4 --run {i}/segment -o {o}/out.mp4 --force',
    'mask set': 'mask {o}/set --run {i}/segment --force',
    'people': 'people {i}/face.mp4 -o {o}/out.jpg --force',
    'export': 'export --run {i}/gan --net generator -o {o}/g.jaxexport --force',
    'apply': 'apply --run {i}/pix2pix --net g --input {i}/in.npz --output {o}/out.npz --force',
}


def job(name: str):
    """(what is run in a folder, what must hold after it, killed or not)."""
    kind, _, what = name.partition(':')
    if kind == 'train':
        return partial(train, what), trained
    return partial(verb, what), partial(made, what)


def prepared(folder: Path) -> Path:
    """What verbs read: pictures, two videos of faces, a sound and runs that are not trained."""
    import cv2
    from fake_faces import write_faces
    from scipy.io import wavfile
    from untrained import smooth_picture, untrained

    from dfjax.data.media.image import write_image
    from dfjax.data.media.video import VideoWriter, read_frames

    (folder / 'pictures').mkdir(parents=True)
    for n, name in enumerate('ab'):
        write_image(folder / 'pictures' / f'{name}.png', smooth_picture(64, 64, n))
    for name, source in (('face', 'a'), ('other', 'c')):
        with VideoWriter(folder / f'{name}.mp4', 25, (192, 192)) as writer:
            for index, _, rgb in read_frames(SHARED / 'faces' / f'{source}.mp4'):
                if index == 8:
                    break
                writer.write(still := cv2.resize(rgb, (192, 192), interpolation=cv2.INTER_AREA))
    write_image(folder / 'still.png', still)
    wavfile.write(folder / 'sound.wav', 16000, (9000 * np.sin(np.arange(8000) ** 1.2 / 40)).astype(np.int16))
    np.savez(folder / 'in.npz', x=np.zeros((1, 64, 64, 3), np.float32))
    write_faces(folder / 'set', size=64)
    for name, changes in RUNS.items():
        untrained(folder / name, name, **changes)
    return folder


def train(name: str, folder: Path) -> None:
    """A run of a system, whose end is compared."""
    import toy_run

    from dfjax.config import build
    from dfjax.training import loop

    cfg = build(importlib.import_module(f'configs.{name}').get_config('smoke'), CHANGES)
    state = loop.train(cfg, folder / 'w', progress=False)
    if int(state.step) == cfg.steps:
        np.savez(folder.parent / f'{folder.name}.npz', *toy_run.leaves(state))


def trained(folder: Path) -> None:
    import json

    if (folder.parent / f'{folder.name}.npz').exists():
        steps = [json.loads(line)['step'] for line in (folder / 'w' / 'metrics.jsonl').read_text().splitlines()]
        assert steps == list(range(1, CHANGES['steps'] + 1)), steps


def verb(name: str, folder: Path) -> None:
    """A command; what it wrote is compared."""
    import shlex

    from dfjax.apps.cli import build_parser

    inputs = folder.parent / 'inputs'
    if (own := BROUGHT.get(name)) and not (folder / own).exists():
        shutil.rmtree(folder / '.part', ignore_errors=True)
        shutil.copytree(inputs / own, folder / '.part')
        os.replace(folder / '.part', folder / own)
    words = shlex.split(VERBS[name].format(i=inputs, o=folder))
    args = build_parser(words[0], words[1:]).parse_args(words[1:])
    args.overrides = []
    args.verb(args)
    np.savez(folder.parent / f'{folder.name}.npz', **contents(folder))


def contents(folder: Path) -> dict[str, np.ndarray]:
    """The pixels and arrays of what lies in a folder, without what says when it was written."""
    from dfjax.data.media.image import read_image
    from dfjax.data.media.video import read_frames

    found = {}
    for path in sorted(folder.rglob('*')):
        name = path.relative_to(folder).as_posix()
        if name[0] == '.' or '.run/' in name:  # what a killed process left, and what a swap goes on from
            continue
        if path.suffix in ('.mp4', '.gif'):
            found[name] = np.stack([rgb for _, _, rgb in read_frames(path)])
        elif path.suffix in ('.png', '.jpg'):
            found[name] = read_image(path)
        elif path.suffix == '.npz':
            with np.load(path) as arrays:
                found |= {f'{name}/{key}': arrays[key] for key in arrays.files}
        elif path.suffix in ('.jaxexport', '.json'):
            found[name] = np.frombuffer(path.read_bytes(), np.uint8)
    return found


def made(name: str, folder: Path) -> None:
    """What a command writes is whole, or not there."""
    from dfjax.data.faces.faceset import load_faceset
    from dfjax.data.media.credentials import read_credentials

    there = {path.name for path in folder.iterdir() if path.name[0] != '.'}
    seen = {'out.mp4', 'out.gif', 'out.png', 'out.jpg'}
    assert there <= seen | {'faces', 'set', 'vae', 'out.mp4.run', 'out.npz', 'g.jaxexport'}
    for out in there & seen:
        assert out == 'out.jpg' or read_credentials(folder / out)['intact']
        assert contents(folder)[out].size
    if 'faces' in there:
        assert len(load_faceset(folder / 'faces')) == 8
    if 'out.npz' in there:
        assert contents(folder)['out.npz/y'].shape == (1, 64, 64, 3)

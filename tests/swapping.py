"""Two small rendered videos to swap, files that cannot be swapped, and what a refusal says. It is not a test."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from dfjax.apps.cli import main
from dfjax.data.media.encode import VideoWriter
from dfjax.data.media.image import write_image
from dfjax.data.render import animate, random_identity, render

ROOT = Path(__file__).parents[1]
SMOKE = f'{ROOT}/configs/faceswap.py:smoke'
FRAMES, SIZE, RATE = 12, 192, 48_000
FPS = 30_000 / 1001  # times that are no round numbers


def drawn_videos(folder: Path) -> SimpleNamespace:
    """a.mp4 (with a tone) and b.mp4, the masks [N, H, W] of a's faces, pictures of both, and videos of nobody."""
    tone = 0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(int(RATE * FRAMES / FPS)))
    drawn = {}
    for name, seed in (('a', 12), ('b', 27)):
        drawn[name] = render(random_identity(seed), animate(seed, FRAMES), SIZE)
        audio = (tone.astype(np.float32), RATE) if name == 'a' else None
        with VideoWriter(folder / f'{name}.mp4', FPS, (SIZE, SIZE), sound=audio) as writer:
            for frame in drawn[name].image:
                writer.write(frame)
    pictures = {name: drawn[name].image[0] for name in 'ab'}
    pictures |= {'two': np.concatenate([drawn['a'].image[0], drawn['b'].image[0]], 1)}
    pictures |= {'cut': drawn['b'].image[0][: SIZE * 3 // 4]}
    for name, picture in pictures.items():
        write_image(folder / f'{name}.png', picture)
    with VideoWriter(folder / 'nobody.mp4', 25, (96, 96)) as writer:
        for grey in (60, 100, 140):
            writer.write(np.full((96, 96, 3), grey, np.uint8))
    shutil.copy(folder / 'nobody.mp4', folder / 'nobody_else.mp4')
    return SimpleNamespace(folder=folder, a=folder / 'a.mp4', b=folder / 'b.mp4', masks=drawn['a'].mask)


def refused(work, capsys, *words) -> str:
    """Runs `dfjax swap`, which must say one line and leave no output; returns that line."""
    here = {file.name for file in work.folder.iterdir()}
    assert main(['swap', *map(str, words), '--config', SMOKE]) == 2
    error = capsys.readouterr().err
    assert 'Traceback' not in error
    lines = [line for line in error.splitlines() if line.startswith('dfjax: ')]
    assert len(lines) == 1 and error.rstrip().endswith(lines[0])
    new = {file.name for file in work.folder.iterdir()} - here
    assert all(name.endswith('.run') for name in new)
    return lines[0]

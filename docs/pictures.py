"""Draws the pictures of systems' pages that show what a system learns from: a batch of its own, nobody is real.

python docs/pictures.py [SYSTEM ...]            writes docs/pages/systems/SYSTEM.webp
"""

import sys
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from dfjax.config import build, load_config
from dfjax.data import augment
from dfjax.data.batches import make_data
from dfjax.models.landmark_swap import draw
from dfjax.systems import load_system

PAGES = Path(__file__).parent / 'pages' / 'systems'
SIDE = 128  # of a picture, in pixels
WHITE, GREY, BLUE = (255, 255, 255), (110, 110, 120), (80, 64, 214)


def batch_of(name: str, **changes) -> dict:
    """The batch of step 0 of a system's smoke run."""
    cfg = build(load_config(f'{name}:smoke'), changes)
    data = make_data(cfg, load_system(name).BATCH)
    return data.sample(data.feed(1), jnp.int32(0), jnp.int32(0))


def pictures_of(name: str, **changes) -> tuple[dict, dict]:
    """The same on pictures of SIDE: for nets, and as NumPy's."""
    batch = batch_of(name, **{'data.size': SIDE}, **changes)
    keys = ('key', 'step_key')
    return batch, jax.tree.map(np.asarray, {name: x for name, x in batch.items() if name not in keys})


def grid(rows: list, gap: int = 4) -> np.ndarray:
    """Rows of pictures [n][H, W, 3] as one."""
    pad = lambda x: np.pad(x, ((0, gap), (0, gap), (0, 0)), constant_values=255)
    return np.vstack([np.hstack([pad(picture) for picture in row]) for row in rows])[:-gap, :-gap]


def written(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture over a line of words."""
    line = np.full((22, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(line, text, (2, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.38, GREY, 1, cv2.LINE_AA)
    return np.vstack([picture, line])


def curve(values: np.ndarray, width: int, height: int, colour=BLUE) -> np.ndarray:
    """Values from 0 to 1, from left to right."""
    shown = np.full((height, width, 3), 255, np.uint8)
    x = np.linspace(0, width - 1, len(values))
    y = (height - 3) * (1 - values) + 1
    cv2.polylines(shown, [np.stack([x, y], 1).round().astype(np.int32)], False, colour, 1, cv2.LINE_AA)
    return shown


def wave(sound: np.ndarray, width: int, height: int = 48) -> np.ndarray:
    """Sound, float or int16, as a wave."""
    sound = sound / max(np.abs(sound).max(), 1e-6)
    return curve(0.5 + 0.5 * sound, width, height)


def aligned(name: str) -> np.ndarray:
    _, batch = pictures_of(name)
    return grid([list(batch[side]['image'][:5]) for side in ('a', 'b')])


def plain(name: str) -> np.ndarray:
    _, batch = pictures_of(name)
    return grid([list(batch['image'][:4]), list(batch['image'][4:8])])


def labelled(name: str) -> np.ndarray:
    labels = ('smile', 'glasses', 'beard')
    _, batch = pictures_of(name, **{'data.labels': labels})
    said = [', '.join(word for word, on in zip(labels, row) if on) or 'none' for row in batch['label']]
    shown = [written(*both) for both in zip(batch['image'], said)]
    return grid([shown[:4], shown[4:8]])


def warped(name: str) -> np.ndarray:
    """What goes in, bent, and what is to come out, of either person."""
    cfg, (batch, _) = load_config(f'{name}:smoke'), pictures_of(name)
    pairs = [augment.warped_pair(cfg.augment, batch['key'], batch[side], SIDE, SIDE) for side in ('a', 'b')]
    shown = [np.clip(127.5 * np.asarray(pair[key]) + 127.5, 0, 255) for key in ('input', 'target') for pair in pairs]
    rows = np.stack(shown).astype(np.uint8)  # [input of a, of b, target of a, of b]
    return grid([[*rows[0, :3], *rows[1, :3]], [*rows[2, :3], *rows[3, :3]]])


def landmarks(name: str) -> np.ndarray:
    _, batch = pictures_of(name)
    rows = []
    for side in ('a', 'b'):
        lines = np.asarray(draw(jnp.asarray(batch[side]['landmarks']), SIDE))  # [B, S, S, C]
        rows.append((255 * (1 - np.clip(lines.max(-1, keepdims=True), 0, 1))).astype(np.uint8).repeat(3, -1))
    return grid([[x for n in range(3) for x in (batch[side]['image'][n], rows[i][n])] for i, side in enumerate('ab')])


def clips(name: str) -> np.ndarray:
    _, batch = pictures_of(name)
    return grid([list(batch[side]['image'][:4]) for side in ('source', 'driving')])


def speech(name: str) -> np.ndarray:
    """Frames with their sound, and frames of another time."""
    _, batch = pictures_of(name)
    own, other = (batch[side]['image'][0, 0] for side in ('frames', 'reference'))
    width = len(own) * (SIDE + 4) - 4
    parts = [grid([list(own)]), wave(batch['sound'][0, 0], width), grid([list(other)])]
    return np.vstack([np.pad(part, ((0, 4), (0, 0), (0, 0)), constant_values=255) for part in parts])


def masked(name: str) -> np.ndarray:
    """What the generator sees and what it is to paint."""
    _, batch = pictures_of(name)
    own, other = (batch[side]['image'][:3, 0, 0] for side in ('frames', 'reference'))
    half = own.copy()
    half[:, SIDE // 2 :] = 0
    return grid([[half[n], other[n], own[n]] for n in range(3)])


def voices(name: str) -> np.ndarray:
    """A voice, and how far the mouth is open, how wide, closed, and with the teeth on the lip."""
    batch = batch_of(name, **{'data.seconds': 2.0})
    busiest = int(np.ptp(np.asarray(batch['mouth']), 1).min(-1).argmax())  # where all of it moves
    sound, mouth = np.asarray(batch['sound'][busiest], np.float32), np.asarray(batch['mouth'][busiest])
    spread = (mouth - mouth.min(0)) / np.maximum(np.ptp(mouth, 0), 1e-6)
    names = ('sound', 'opening', 'width', 'lips together', 'teeth on the lip')
    rows = [wave(sound, 520), *(curve(line, 520, 36, GREY) for line in spread.T)]
    return np.vstack([np.hstack([label(text, len(row)), row]) for text, row in zip(names, rows)])


def label(text: str, height: int) -> np.ndarray:
    shown = np.full((height, 120, 3), 255, np.uint8)
    cv2.putText(shown, text, (4, height // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, GREY, 1, cv2.LINE_AA)
    return shown


DRAWN = {
    'amp': warped,
    'cyclegan': aligned,
    'faceswap_gan': warped,
    'fomm': clips,
    'gan': plain,
    'landmark_swap': landmarks,
    'lips': voices,
    'pix2pix': aligned,
    'saehd': warped,
    'stargan': labelled,
    'syncnet': speech,
    'wav2lip': masked,
}

if __name__ == '__main__':
    for system in sys.argv[1:] or DRAWN:
        picture = DRAWN[system](system)
        cv2.imwrite(str(PAGES / f'{system}.webp'), picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])

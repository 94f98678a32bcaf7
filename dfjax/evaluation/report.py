"""A page about a swapped video: figures and what they mean, frames side by side, and those that are worth a look.

The page is one file of HTML with its pictures inside: it can be kept, sent, and opened without a network.
"""

import base64
import html
from contextlib import closing
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.media.inputs import iter_frames
from dfjax.data.media.output import atomic_path
from dfjax.evaluation.measure import Measured

SHOWN = 8  # frames side by side, spread over the video
DOUBTFUL = 12  # frames of each kind of doubt, at most: the worst
HEIGHT = 240  # pixels of a picture
JUMP = 0.12  # second difference of landmarks less the input's, in distances between the eyes, above which a face jumps
MEANS = {
    'reached': 'how much of the person put in is there: 0 half-way between the two people, 1 as in their own frames',
    'transfer': 'the same before it is made comparable: 0.5 half-way, the ceiling for the person themselves',
    'ceiling': "the transfer that the person's own frames have",
    'distance_to_face': 'of descriptors; below 0.6 dlib calls it the same person',
    'expression': 'how the eyes and mouth move with those of the input: 1 in step',
    'pose': 'degrees between the head and that of the input',
    'detail': "crispness against the person's own video: 1 as crisp",
    'jitter': 'trembling beyond the input, in distances between the eyes: 0 none',
    'faces_lost': 'frames in which the input shows a face and the swap none',
    'frames': 'frames compared',
    'psnr': 'dB against the true video',
    'ssim': 'likeness to the true video: 1 the same',
}
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
:root { color-scheme: light dark; }
table { border-collapse: collapse; } td { padding: .2rem 1rem .2rem 0; vertical-align: top; }
td:nth-child(2) { font-variant-numeric: tabular-nums; text-align: right; }
.frames { display: flex; flex-wrap: wrap; gap: .8rem; } figure { margin: 0; } figcaption { font-size: .85em; }
img { display: block; max-width: 100%; border-radius: 4px; }
"""


def write_report(
    path: Path | str,
    swap: Measured,
    source: Measured,
    face: Measured,
    figures: dict,
    references: Path | None = None,
    force: bool = False,
) -> None:
    """Writes the page.

    Args:
        path: of the page.
        swap, source, face: what `measure` saw in the swapped video, its input and the person put in.
        figures: of `evaluation.swap`.
        references: the sheet of the run's reference pictures, where there is one.
        force: replace a page that exists.
    """
    doubts = find_doubts(swap, source, face)
    seen = np.flatnonzero(source.found)
    spread = seen[np.linspace(0, len(seen) - 1, min(SHOWN, len(seen))).round().astype(int)] if len(seen) else seen
    wanted = set(spread.tolist()) | {row for rows in doubts.values() for row in rows}
    pictures = _pairs(swap, source, wanted)
    rows = ''.join(
        f'<tr><td>{html.escape(name)}</td><td>{"–" if value is None else value}</td>'
        f'<td>{html.escape(MEANS.get(name, ""))}</td></tr>'
        for name, value in figures.items()
    )
    parts = [
        f'<h1>{html.escape(Path(swap.path).name)}</h1>',
        f'<p>{html.escape(Path(source.path).name)} with the face of {html.escape(Path(face.path).name)}. '
        'Such pictures are made by AI: do not show them as if they were real, nor of anyone who has not agreed.</p>',
        f'<h2>Figures</h2><table>{rows}</table>',
        f'<h2>Side by side</h2>{_figures(spread.tolist(), pictures)}',
    ]
    for what, found in doubts.items():
        parts.append(f'<h2>{html.escape(what)}: {len(found) or "none"}</h2>{_figures(found[:DOUBTFUL], pictures)}')
    if references is not None and references.is_file():
        data = base64.b64encode(references.read_bytes()).decode()
        parts.append(f'<h2>Reference pictures</h2><img alt="references" src="data:image/jpeg;base64,{data}">')
    with atomic_path(path, force) as part:
        title = html.escape(Path(swap.path).name)
        page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        part.write_text(page + '\n'.join(parts) + '</html>\n', encoding='utf-8')


def find_doubts(swap: Measured, source: Measured, face: Measured) -> dict[str, list[int]]:
    """The rows of frames that a person should look at, the worst first, by what is wrong with them."""
    both = swap.found & source.found
    eyes = np.linalg.norm(source.landmarks[:, 42:48].mean(1) - source.landmarks[:, 36:42].mean(1), axis=-1)  # [T]
    moved = (swap.landmarks - source.landmarks) / eyes[:, None, None]
    shake = np.zeros(len(both))
    shake[1:-1] = np.linalg.norm(moved[2:] - 2 * moved[1:-1] + moved[:-2], axis=-1).mean(-1)
    shake = np.nan_to_num(shake)
    to_source, to_face = (
        np.linalg.norm(swap.descriptors - np.nanmean(other.descriptors, 0), axis=1) for other in (source, face)
    )
    nearer = np.nan_to_num(to_face - to_source, nan=-1.0)
    worst = lambda value, where: sorted(np.flatnonzero(where).tolist(), key=lambda row: -value[row])
    return {
        'No face is found any more': np.flatnonzero(source.found & ~swap.found).tolist(),
        'The face jumps': worst(shake, (shake > JUMP) & both),
        'Nearer to the person in the input': worst(nearer, nearer > 0),
    }


def _pairs(swap: Measured, source: Measured, wanted: set[int]) -> dict[int, tuple[float, np.ndarray]]:
    """The time and the two frames beside each other, uint8 [HEIGHT, W, 3], of some rows."""
    found: dict[int, tuple[float, np.ndarray]] = {}
    with closing(iter_frames(source.path)) as before, closing(iter_frames(swap.path)) as after:
        for row, (one, other) in enumerate(islice(zip(before, after), max(wanted, default=-1) + 1)):
            if row in wanted:
                both = [cv2.resize(x, (HEIGHT * x.shape[1] // x.shape[0], HEIGHT)) for x in (one[2], other[2])]
                found[row] = one[1], np.concatenate(both, 1)
    return found


def _figures(rows: list[int], pictures: dict) -> str:
    shown = []
    for row in rows:
        seconds, picture = pictures[row]
        _, data = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        text = f'frame {row}, {int(seconds // 60)}:{seconds % 60:05.2f}'
        source = base64.b64encode(data.tobytes()).decode()
        shown.append(f'<figure><img alt="{text}" src="data:image/jpeg;base64,{source}">')
        shown.append(f'<figcaption>{text}</figcaption></figure>')
    return f'<div class="frames">{"".join(shown)}</div>'

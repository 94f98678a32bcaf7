"""How good is a swapped video? Figures from what an independent detector, landmark model and descriptor see in it.

`measure` looks at every frame of one video; `compare` turns three such measurements (the swap, its input, the person
put in) into the figures that `dfjax evaluate` prints. Nothing here is smoothed or tracked: what the models say of each
frame alone is what counts.
"""

import math
from pathlib import Path

import numpy as np

from dfjax.data.media.inputs import kind
from dfjax.data.media.output import check_output
from dfjax.errors import InputError
from dfjax.evaluation.measure import Measured, measure, measure_person
from dfjax.evaluation.reference import compare_truth
from dfjax.evaluation.report import write_report
from dfjax.inference.head import fit_identity, fit_motion, load_head, rotation_matrices

EYES_AND_MOUTH = slice(36, 68)


def compare(swap: Measured, source: Measured, face: Measured) -> dict:
    """The figures of a swap against its input and the person put in.

    Returns:
        transfer: d(swap, source) / (d(swap, source) + d(swap, face)), descriptors against the mean descriptor of each
            person, averaged over frames. 0.5 is half-way, higher is better.
        ceiling: the transfer of the frames of the person put in, each against the mean of the others.
        reached: (transfer - 0.5) / (ceiling - 0.5): 1 is as much of the person as that person's own frames have,
            whoever the two are. None if the ceiling is not above 0.5, and of a single picture.
        distance_to_face: d(swap, face); below 0.6 dlib calls it the same person.
        expression: correlation of the eyes' and mouth's motion with the input's, free of place, size and tilt.
        pose: mean angle in degrees between the heads of the swap and of the input, as `inference.head` fits them.
        detail: detail of the swapped face over that of the person's own video.
        jitter: mean second difference over time of the landmarks less the input's, over the distance of the eyes.
        faces_lost: frames where a face is found in the input and none in the swap.
        frames: frames compared.

        None stands for a figure that cannot be had, such as when the swap shows no face at all.
    """
    if swap.frames != source.frames:
        raise InputError(f'{swap.path} has {swap.frames} frames and {source.path} {source.frames}: not its swap')
    both = swap.found & source.found
    put_in = _described(face)
    known, other = np.nanmean(source.descriptors, 0), put_in.mean(0)
    to_source, to_face = (np.linalg.norm(_described(swap) - mean, axis=1) for mean in (known, other))
    transfer, ceiling, reached = _mean(share(to_source, to_face)), None, None
    if len(put_in) > 1:
        spread = np.linalg.norm(put_in - other, axis=1) * len(put_in) / (len(put_in) - 1)  # from the mean of the others
        ceiling = _mean(share(np.linalg.norm(put_in - known, axis=1), spread))
        if transfer is not None and ceiling is not None and ceiling > 0.5:
            reached = (transfer - 0.5) / (ceiling - 0.5)
    figures = {
        'transfer': transfer,
        'ceiling': ceiling,
        'reached': reached,
        'distance_to_face': _mean(to_face),
        'expression': correlation(expression(swap.landmarks[both]), expression(source.landmarks[both])),
        'pose': pose_difference(swap.landmarks[both], source.landmarks[both]),
        'detail': _mean(swap.detail[swap.found] / np.nanmean(face.detail)),
        'jitter': difference(shake(swap.landmarks), shake(source.landmarks)),
        'faces_lost': int((source.found & ~swap.found).sum()),
        'frames': swap.frames,
    }
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}


def _described(measured: Measured) -> np.ndarray:
    """The descriptors [N, 128] of the frames that have one."""
    return measured.descriptors[np.isfinite(measured.descriptors[:, 0])]


def share(to_source: np.ndarray, to_face: np.ndarray) -> np.ndarray:
    """The transfer of each frame, by its distances to two people: [T]."""
    return to_source / np.maximum(to_source + to_face, 1e-9)


def pose_difference(landmarks: np.ndarray, others: np.ndarray) -> float | None:
    """Mean angle, in degrees, between two heads over a clip, by landmarks [T, 68, 2] of each."""
    if not len(landmarks):
        return None
    head = load_head()
    turns = [rotation_matrices(fit_motion(head, seen, fit_identity(head, seen)).turn) for seen in (landmarks, others)]
    cosine = ((turns[0] * turns[1]).sum((1, 2)) - 1) / 2  # between two rotations: (trace(A B^T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def expression(landmarks: np.ndarray) -> np.ndarray:
    """Eyes and mouth in the frame of the face's own eyes: [T, 68, 2] -> [T, 64], less the mean over time.

    The middle between the eyes is the origin and the step from one eye to the other is 1, as complex numbers.
    """
    z = landmarks[..., 0] + 1j * landmarks[..., 1]  # [T, 68]
    left, right = z[:, 36:42].mean(1, keepdims=True), z[:, 42:48].mean(1, keepdims=True)
    own = (z[:, EYES_AND_MOUTH] - (left + right) / 2) / (right - left)
    moved = own - own.mean(0) if len(own) else own
    return np.concatenate([moved.real, moved.imag], 1)


def correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    norm = math.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / norm) if norm > 0 else None


def shake(landmarks: np.ndarray) -> float | None:
    """Mean length of the landmarks' second difference over time, over the distance between the eyes."""
    second = landmarks[2:] - 2 * landmarks[1:-1] + landmarks[:-2]  # [T - 2, 68, 2], NaN beside a frame without face
    eyes = np.linalg.norm(landmarks[:, 42:48].mean(1) - landmarks[:, 36:42].mean(1), axis=-1)  # [T]
    shake = np.linalg.norm(second, axis=-1).mean(-1) / eyes[1:-1]
    return _mean(shake[np.isfinite(shake)])


def difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def evaluate(
    swap: str | Path,
    source: str | Path,
    face: str | Path,
    truth: str | Path | None = None,
    mask: str | Path | None = None,
    every: int = 1,
    workers: int | None = None,
    report: str | Path | None = None,
    progress: bool = False,
) -> dict:
    """All figures of a swapped video: `compare`, and `compare_truth` where a truth is given.

    Args:
        report: a page to write, see `evaluation.report`.
        progress: show bars on stderr.
    """
    for path in filter(None, (swap, source, face, truth, mask)):
        kind(path)  # raises for a missing file, before the long work
    if report is not None:
        check_output(report)
    before = measure(source, every=every, workers=workers, progress=progress)
    after = measure(swap, every=every, follow=before, workers=workers, progress=progress)
    person = measure_person(face, workers=workers, progress=progress)
    figures = compare(after, before, person)
    if truth is not None:
        figures |= compare_truth(swap, truth, mask)
    if report is not None:
        write_report(report, after, before, person, figures, Path(f'{swap}.run') / 'references.jpg')
    return figures

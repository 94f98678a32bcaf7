"""How good is an animated picture? What an independent detector, landmark model and descriptor see in every frame.

`evaluate_animation` compares it with its driver and its picture, and with the true video where there is one: the
driver itself, if the picture is one of its frames, or a rendered head.
"""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.faces.identity import face_chip
from dfjax.data.media.inputs import iter_frames, kind
from dfjax.errors import InputError
from dfjax.evaluation import swap
from dfjax.evaluation.measure import Measured, Rows, choose_box, load_models, measure
from dfjax.evaluation.metrics import decibels, face_error
from dfjax.evaluation.reference import compare_truth, side_by_side


def evaluate_animation(
    animation: str | Path,
    driving: str | Path,
    image: str | Path,
    truth: str | Path | None = None,
    mask: str | Path | None = None,
    every: int = 1,
    workers: int | None = None,
) -> dict:
    """The figures of an animated picture.

    Args:
        animation, driving, image: the output and inputs of `dfjax animate`.
        truth: what the animation should be.
        mask: white where `truth` is compared; by default inside the landmarks of the truth.
        every: descriptors only of every so many frames.

    Returns:
        found: share of frames with a face in the driver that show one in the animation.
        expression: correlation of the eyes' and mouth's motion with the driver's, free of place, size and tilt.
        distance: of descriptors to the picture's; below 0.6 dlib calls it the same person.
        jitter: mean second difference over time of the landmarks less the driver's, over the distance of the eyes.
        frames: frames compared.
        With `truth` also 'landmarks' and 'psnr', see `compare_faces`; with `mask` PSNR and SSIM inside it.

        None stands for a figure that cannot be had, such as when the animation shows no face at all.

    Raises:
        InputError: no face in the driver or the picture; videos of another length.
    """
    for path in filter(None, (animation, driving, image, truth, mask)):
        kind(path)  # raises for a missing file, before the long work
    before = measure(driving, every=every, workers=workers)
    picture = look(image, 1)
    if not picture.found.any():
        raise InputError(f'{image}: the detector finds no face in it, so there is nothing to compare with')
    figures = compare(look(animation, every), before, picture)
    if truth is not None:
        figures |= compare_faces(animation, truth)
    if mask is not None:
        figures |= compare_truth(animation, truth, mask)
    return figures


def look(path: str | Path, every: int) -> Measured:
    """`measure` of painted faces: where the detector finds none, it looks at half the size, at which cracks, canvas and
    strokes do not show."""
    detect, landmark = load_models()
    rows = Rows()
    with closing(iter_frames(path)) as frames:
        for n, (_, _, rgb, _) in enumerate(frames):
            boxes = [box for box, _ in detect(rgb)]
            if not boxes:
                half = cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
                boxes = [tuple(2 * v for v in box) for box, _ in detect(half)]
            points, chip = np.full((68, 2), np.nan), np.zeros(0, np.uint8)
            if boxes:
                points = landmark(rgb, choose_box(boxes, None))
                chip = face_chip(rgb, points) if n % every == 0 else chip
            rows.add(points, chip, np.nan)
    return rows.measured(path)


def compare(animation: Measured, driver: Measured, picture: Measured) -> dict:
    """The figures of an animation against its driver and its picture; see `evaluate_animation`."""
    if animation.frames != driver.frames:
        raise InputError(
            f'{animation.path} has {animation.frames} frames and {driver.path} {driver.frames}: not its animation'
        )
    both = animation.found & driver.found
    described = animation.descriptors[np.isfinite(animation.descriptors[:, 0])]
    away = np.linalg.norm(described - np.nanmean(picture.descriptors, 0), axis=1)
    moved, wanted = (swap.expression(measured.landmarks[both]) for measured in (animation, driver))
    figures = {
        'found': float(both.sum() / max(driver.found.sum(), 1)),
        'expression': swap.correlation(moved, wanted),
        'distance': float(away.mean()) if len(away) else None,
        'jitter': swap.difference(swap.shake(animation.landmarks), swap.shake(driver.landmarks)),
        'frames': animation.frames,
    }
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}


def compare_faces(animation: str | Path, truth: str | Path) -> dict:
    """What the true video's face has in the animation.

    The detector looks at the truth alone, and the landmarks of both are read in the box that it gives: boxes move in
    steps, which would count as errors of either.

    Returns:
        landmarks: mean distance of landmarks to the true ones, over the distance of the eyes.
        psnr: mean over frames of the PSNR in dB inside the true landmarks' hull. A frame without any difference counts
            as none.

    Raises:
        InputError: the videos differ in length or size.
    """
    detect, landmark = load_models()
    apart, ratios = [], []
    with side_by_side((animation, truth)) as pairs:
        for made, true in pairs:
            if made is None or true is None or made.shape != true.shape:
                raise InputError(f'{animation}: its frames differ in number or size from those of {truth}')
            box = choose_box([box for box, _ in detect(true)], None)
            if box is None:
                continue
            points, seen = landmark(true, box), landmark(made, box)
            eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
            apart.append(np.linalg.norm(points - seen, axis=1).mean() / eyes)
            if error := face_error(made, true, points):
                ratios.append(decibels(error))
    return {
        'landmarks': round(float(np.mean(apart)), 4) if apart else None,
        'psnr': round(float(np.mean(ratios)), 3) if ratios else None,
    }

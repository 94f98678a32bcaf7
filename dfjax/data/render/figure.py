"""Flat figures that walk and wave, cut out of coloured shapes, with known joints: bodies without a data set.

who = random_figure(seed)
places = joints(who, frames=50)         # [50, 12, 2] in unit coordinates, in the order of JOINTS
pictures = draw(who, places, size=64)   # uint8 [50, 64, 64, 3]
"""

import colorsys
import itertools

import cv2
import numpy as np

JOINTS = ('head', 'neck', 'chest', 'hips', 'left elbow', 'left hand', 'right elbow', 'right hand')
JOINTS += ('left knee', 'left foot', 'right knee', 'right foot')
FPS = 25
FINER = 4  # pixels drawn for one that is seen, along a side
GROUND = 0.93  # where feet stand
# Limbs from the far side to the near one: joints at their ends, and what they are drawn as.
LEGS = {'left': ('hips', 'left knee', 'left foot'), 'right': ('hips', 'right knee', 'right foot')}
ARMS = {'left': ('neck', 'left elbow', 'left hand'), 'right': ('neck', 'right elbow', 'right hand')}


def random_figure(seed: int) -> dict:
    """How a figure is built, coloured and moves: lengths in sides of the picture, angles in radians, rates in hertz."""
    rng = np.random.default_rng([seed, 6])
    scale = rng.uniform(0.8, 1.0)
    spread = lambda length: scale * length * rng.uniform(0.85, 1.15)
    hue, dark = rng.uniform(), rng.uniform(0.15, 0.85)
    ground = _colour(hue, rng.uniform(0, 0.5), dark)
    tone = lambda: _colour(hue + rng.uniform(0.25, 0.75), rng.uniform(0.4, 1), (dark + rng.uniform(0.35, 0.65)) % 1)
    who = {'torso': spread(0.24), 'neck': spread(0.1), 'upper arm': spread(0.14), 'forearm': spread(0.13)}
    who |= {'thigh': spread(0.17), 'shin': spread(0.17), 'head size': spread(0.075), 'corners': rng.integers(3, 9)}
    who |= {'width': spread(0.045), 'shoulders': spread(0.07), 'waist': spread(0.05)}
    who |= {name: tone() for name in ('head', 'torso colour', 'left', 'right', 'ends')}
    who |= {'rate': rng.uniform(0.7, 1.5), 'phase': rng.uniform(0, 2 * np.pi), 'stride': rng.uniform(0.15, 0.6)}
    who |= {'swing': rng.uniform(0.1, 0.6), 'wave': rng.uniform(0.3, 0.9) * (rng.random() < 0.6)}
    who |= {'wave rate': rng.uniform(0.8, 2.0), 'lean': rng.uniform(-0.15, 0.15), 'drift': rng.uniform(0.02, 0.12)}
    who |= {'x': rng.uniform(0.42, 0.58), 'drift rate': rng.uniform(0.1, 0.3), 'ground': ground}
    shapes = [(rng.uniform(0, 1, 2), rng.uniform(0.05, 0.3, 2), _colour(hue, 0.4, rng.uniform())) for _ in range(5)]
    return who | {'behind': [(at, side, 0.7 * ground + 0.3 * colour) for at, side, colour in shapes]}


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, np.clip(value, 0.1, 1)))


def joints(who: dict, frames: int) -> np.ndarray:
    """Where the joints are at 25 moments a second: float32 [T, 12, 2], in unit coordinates."""
    time = np.arange(frames) / FPS
    phase = 2 * np.pi * who['rate'] * time + who['phase']
    slow = 2 * np.pi * who['drift rate'] * time + 2 * who['phase']
    lean = who['lean'] + 0.05 * np.sin(slow)
    thigh = {'left': who['stride'] * np.sin(phase), 'right': -who['stride'] * np.sin(phase)}
    bend = {'left': np.cos(phase), 'right': -np.cos(phase)}  # a leg that swings forward is bent
    shin = {side: thigh[side] - who['stride'] * (0.2 + 1.2 * np.maximum(bend[side], 0)) for side in thigh}
    upper = {'left': -who['swing'] * np.sin(phase), 'right': who['swing'] * np.sin(phase)}
    fore = {side: upper[side] + 0.5 * who['swing'] + 0.1 for side in upper}
    if who['wave']:
        upper['right'] = np.full(frames, 2.2)
        fore['right'] = 2.9 + who['wave'] * np.sin(2 * np.pi * who['wave rate'] * time)
    reach = {side: who['thigh'] * np.cos(thigh[side]) + who['shin'] * np.cos(shin[side]) for side in thigh}
    hips = np.stack([who['x'] + who['drift'] * np.sin(slow), GROUND - np.maximum(reach['left'], reach['right'])], -1)
    at = {'hips': hips, 'neck': _along(hips, np.pi + lean, who['torso'])}
    at['chest'] = (at['hips'] + at['neck']) / 2
    at['head'] = _along(at['neck'], np.pi + 1.5 * lean, who['neck'])
    for side in ('left', 'right'):
        at[f'{side} elbow'] = _along(at['neck'], upper[side], who['upper arm'])
        at[f'{side} hand'] = _along(at[f'{side} elbow'], fore[side], who['forearm'])
        at[f'{side} knee'] = _along(hips, thigh[side], who['thigh'])
        at[f'{side} foot'] = _along(at[f'{side} knee'], shin[side], who['shin'])
    return np.stack([at[name] for name in JOINTS], 1).astype(np.float32)


def _along(start: np.ndarray, angle: np.ndarray, length: float) -> np.ndarray:
    """Points `length` away from others [T, 2], at angles [T] from straight down, to the right."""
    return start + length * np.stack([np.sin(angle), np.cos(angle)], -1)


def draw(who: dict, places: np.ndarray, size: int) -> np.ndarray:
    """The figure with its joints at places [T, 12, 2]: uint8 [T, S, S, 3]."""
    side = FINER * size
    behind = np.full((side, side, 3), who['ground'], np.float32)
    for (x, y), (w, h), colour in who['behind']:
        cv2.rectangle(behind, _pixel((x - w / 2, y - h / 2), side), _pixel((x + w / 2, y + h / 2), side), colour, -1)
    frames = []
    for moment in places:
        picture, at = behind.copy(), dict(zip(JOINTS, moment))
        for limb in (ARMS, LEGS):
            _limb(picture, who, at, limb['left'], who['left'])
        _limb(picture, who, at, LEGS['right'], who['right'])
        _torso(picture, who, at)
        _head(picture, who, at)
        _limb(picture, who, at, ARMS['right'], who['right'])
        frames.append(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA))
    return np.rint(np.clip(frames, 0, 255)).astype(np.uint8)


def _pixel(point: np.ndarray, side: int) -> tuple[int, int]:
    return tuple(round(float(v) * side - 0.5) for v in point)


def _limb(picture: np.ndarray, who: dict, at: dict, names: tuple, colour: np.ndarray) -> None:
    """Two parts and a hand or a foot."""
    side = len(picture)
    points, width = [_pixel(at[name], side) for name in names], max(round(who['width'] * side), 1)
    for one, other in itertools.pairwise(points):
        cv2.line(picture, one, other, colour, width)
    cv2.circle(picture, points[-1], round(0.7 * width), who['ends'], -1)


def _torso(picture: np.ndarray, who: dict, at: dict) -> None:
    top, bottom = at['neck'], at['hips']
    across = np.array([bottom[1] - top[1], top[0] - bottom[0]]) / max(np.linalg.norm(bottom - top), 1e-6)
    corners = [top - across * who['shoulders'], top + across * who['shoulders']]
    corners += [bottom + across * who['waist'], bottom - across * who['waist']]
    cv2.fillConvexPoly(picture, np.array([_pixel(p, len(picture)) for p in corners], np.int32), who['torso colour'])


def _head(picture: np.ndarray, who: dict, at: dict) -> None:
    """A polygon about the joint, a neck below it, and an eye on the near side."""
    side = len(picture)
    cv2.line(
        picture, _pixel(at['head'], side), _pixel(at['neck'], side), who['head'], max(round(who['width'] * side), 1)
    )
    turn = np.arctan2(*(at['head'] - at['neck'])) + 2 * np.pi * np.arange(who['corners']) / who['corners']
    corners = at['head'] + who['head size'] * np.stack([np.sin(turn), np.cos(turn)], -1)
    cv2.fillConvexPoly(picture, np.array([_pixel(p, side) for p in corners], np.int32), who['head'])
    eye = at['head'] + who['head size'] * np.array([0.4, -0.2])
    cv2.circle(picture, _pixel(eye, side), max(round(0.15 * who['head size'] * side), 1), who['ground'], -1)

"""High dynamic range to the standard one and back: SMPTE ST 2084 (PQ) and HLG, ITU-R BT.2100 and BT.2408.

What is looked at and worked on is tone-mapped; a curve that has an inverse brings what was changed back.
"""

import functools

import numpy as np

PQ, HLG = 16, 18  # transfers, in H.264's numbering
WHITE = 203.0  # cd/m^2 of diffuse white (BT.2408), which is the white of SDR
PEAK = {PQ: 10000.0, HLG: 1000.0}  # cd/m^2 of the largest value; of HLG on its reference display
BRIGHTEST = 1000 / WHITE  # light that is shown as white, in units of diffuse white: what films are graded for
GAMMA = 2.4  # exponent of an SDR display (BT.1886)
KNEE = 0.6  # share of white up to which light is kept; above it highlights are rolled off
LUMINANCE = np.float32([0.2627, 0.6780, 0.0593])  # weights of BT.2020
TO_709 = np.float32(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]]
)
M1, M2, C1, C2, C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128  # constants of ST 2084
A, B, C = 0.17883277, 0.28466892, 0.55991073  # constants of HLG
SYSTEM = 1.2  # exponent of HLG's scene light on the reference display
MOST = (BRIGHTEST - KNEE) / (1 - KNEE)  # the same of the part above the knee
FINE = 65535


def to_sdr(rgb: np.ndarray, transfer: int) -> np.ndarray:
    """BT.2020 codes uint16 [H, W, 3], full scale, as uint8 BT.709 RGB of a display of gamma 2.4."""
    import cv2

    light = _light(transfer)[rgb]  # [H, W, 3], 1 is diffuse white; of HLG, light of the scene
    if transfer == HLG:
        light *= (PEAK[HLG] / WHITE) * np.maximum(light @ LUMINANCE, 1e-6)[..., None] ** (SYSTEM - 1)
    light = cv2.transform(light, TO_709)
    return _shown()[(np.sqrt(np.clip(light / BRIGHTEST, 0, 1)) * FINE).astype(np.uint16)]


def from_sdr(rgb: np.ndarray, transfer: int) -> np.ndarray:
    """What `to_sdr` makes of codes uint16 [H, W, 3], as such codes again."""
    import cv2

    light = cv2.transform(_unrolled((np.arange(256) / 255) ** GAMMA)[rgb], np.linalg.inv(TO_709))
    light = np.maximum(light, 0) * np.float32(WHITE / PEAK[transfer])  # 1 is the peak
    if transfer == PQ:
        power = np.minimum(light, 1) ** M1
        codes = ((C1 + C2 * power) / (1 + C3 * power)) ** M2
    else:
        scene = light * np.maximum(light @ LUMINANCE, 1e-9)[..., None] ** (1 / SYSTEM - 1)
        codes = np.where(scene <= 1 / 12, np.sqrt(3 * scene), A * np.log(np.maximum(12 * scene - B, 1e-6)) + C)
    return np.rint(np.clip(codes, 0, 1) * FINE).astype(np.uint16)


@functools.cache
def _light(transfer: int) -> np.ndarray:
    """Light by code float32 [65536]: of PQ in units of diffuse white, of HLG the scene's, up to 1."""
    codes = np.arange(FINE + 1) / FINE
    if transfer == PQ:
        power = codes ** (1 / M2)
        light = (np.maximum(power - C1, 0) / (C2 - C3 * power)) ** (1 / M1) * PEAK[PQ] / WHITE
    else:
        light = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - C) / A) + B) / 12)
    return light.astype(np.float32)


@functools.cache
def _shown() -> np.ndarray:
    """uint8 [65536] by the square root of light, over the brightest: fine where it is dark."""
    light = (np.arange(FINE + 1) / FINE) ** 2 * BRIGHTEST
    above = np.maximum(light - KNEE, 0) / (1 - KNEE)
    rolled = np.minimum(light, KNEE) + (1 - KNEE) * above / (1 + above) * (1 + MOST) / MOST
    return np.rint(np.clip(rolled, 0, 1) ** (1 / GAMMA) * 255).astype(np.uint8)


def _unrolled(shown: np.ndarray) -> np.ndarray:
    """float32 light of what is shown, in units of diffuse white: the inverse of the curve in `_shown`."""
    part = np.maximum(shown - KNEE, 0) / (1 - KNEE) * MOST / (1 + MOST)
    return (np.minimum(shown, KNEE) + (1 - KNEE) * part / (1 - part)).astype(np.float32)

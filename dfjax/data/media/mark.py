"""An invisible mark of 48 bits in pictures: spread spectrum in a mid band of the Fourier transform, in luma.

A tile of noise is repeated over a picture. Each of its waves carries a chip by its sign, or belongs to the beacon, by
which scale and place are found again. Six words of eight bits are each coded by a first-order Reed-Muller code of 128
chips. Where a picture is busy the mark is stronger, so that eyes do not see it. The phases of the waves are a fixed
stream: who reads this file can find a mark, and could take it out or forge one. Spread spectrum: Cox et al. 1997,
https://doi.org/10.1109/83.650120; a repeated tile against scaling and cuts: Kutter 1998,
https://doi.org/10.1117/12.337437.
"""

import functools
import hashlib

import cv2
import numpy as np

TILE = 128  # units of a tile's side; a unit is a pixel, or more in large pictures
LINES = 512  # pixels of the shorter side up to which a unit is one: larger pictures get longer waves
LOW, HIGH = 6.0, 25.6  # waves in a tile, the coarsest and the finest: 21 to 5 units long
WORDS, CHIPS = 6, 128  # a word is a byte, coded as so many chips
STRENGTH = 1.75  # grey levels, RMS of a mark at most: PSNR is 43.3 dB or more
LEAST, MOST, SHARE = 0.8, 6.0, 0.3  # grey levels in flat parts and at edges; between, a share of the detail there
SPAN = 9  # units over which detail is averaged
COARSE = 16  # cells a side, and grey levels of a step, of what a number is a hash of
WEIGHTS = np.float32([0.299, 0.587, 0.114])  # luma of RGB (BT.601)


class Mark:
    """A mark of one number, laid into the pictures of one output.

    Args:
        owner: whose mark it is; the number is a hash of this and of the first picture that is marked.

    Attributes:
        bits: the number, below 2 ** 48; None before the first picture.
    """

    def __init__(self, owner: bytes = b''):
        self.bits: int | None = None
        self._owner = owner
        self._pattern = np.empty((0, 0), np.float32)

    def on(self, rgb: np.ndarray) -> np.ndarray:
        """A picture uint8 or uint16 [H, W, 3] with the mark; a fourth channel, alpha, stays as it is."""
        step = np.iinfo(rgb.dtype).max // 255
        made = rgb.copy()
        colours = rgb[..., :3].astype(np.float32)
        made[..., :3] = _rounded(colours + step * self.change(colours @ WEIGHTS / step)[..., None], rgb, 255 * step)
        return made

    def on_luma(self, luma: np.ndarray, depth: int, full: bool, size: tuple[int, int]) -> np.ndarray:
        """A plane of luma with the mark, uint8 or uint16 [H, W].

        Args:
            depth: bits of a value.
            full: whether values have the full range, not the limited one.
            size: (width, height) in which it is shown: pixels need not be square.
        """
        black, white = (0, 255) if full else (16, 235)
        step = np.float32(2 ** (depth - 8))
        levels = (luma - black * step) * (255 / (white - black) / step)
        square = size == luma.shape[::-1]
        change = self.change(levels if square else cv2.resize(levels, size))
        change = change if square else cv2.resize(change, luma.shape[::-1], interpolation=cv2.INTER_AREA)
        return _rounded(luma + change * ((white - black) / 255 * step), luma, 2**depth - 1)

    def change(self, luma: np.ndarray) -> np.ndarray:
        """What is added to luma float32 [H, W] in [0, 255]; its RMS is STRENGTH at most."""
        if self.bits is None:  # coarsely, so that pictures which differ by rounding have one number
            seen = cv2.resize(luma, (COARSE, COARSE), interpolation=cv2.INTER_AREA) / COARSE
            hashed = hashlib.sha256(self._owner + seen.astype(np.uint8).tobytes()).digest()
            self.bits = int.from_bytes(hashed[:WORDS], 'big')
        if self._pattern.shape != luma.shape:
            self._pattern = pattern(self.bits, luma.shape)
        unit = unit_of(luma.shape)
        small = luma if unit == 1 else cv2.resize(luma, None, fx=1 / unit, fy=1 / unit, interpolation=cv2.INTER_AREA)
        strength = np.clip(SHARE * detail(small, 1), LEAST, MOST)
        strength *= min(1.0, STRENGTH / float(np.sqrt(np.mean(np.square(strength)))))
        if unit != 1:
            strength = cv2.resize(strength, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return self._pattern * strength


def pattern(bits: int, shape: tuple[int, int]) -> np.ndarray:
    """The mark of a number in a picture of a size, float32 [H, W], its mean square 1.

    Tiles begin at a place that follows from the number, so that marks laid over each other can be told apart.
    """
    unit = unit_of(shape)
    begin = tuple(n % TILE for n in hashlib.sha256(bits.to_bytes(WORDS, 'big')).digest()[:2])
    counts = [int(np.ceil(side / unit / TILE)) + 1 for side in shape]
    whole = np.tile(np.roll(tile(bits), begin, (0, 1)), counts)
    to = np.float32([[1 / unit, 0, 0], [0, 1 / unit, 0]])
    return cv2.warpAffine(whole, to, shape[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def tile(bits: int) -> np.ndarray:
    """float32 [TILE, TILE] of a number below 2 ** 48, its mean square 1."""
    rows, columns, phases, chips = waves()
    words = bits.to_bytes(WORDS, 'big')
    signs = np.concatenate([code()[word % CHIPS] * (1 if word < CHIPS else -1) for word in words])
    spectrum = np.zeros((TILE, TILE // 2 + 1), complex)
    spectrum[rows, columns] = np.where(chips < 0, 1, signs[chips]) * np.exp(1j * phases)
    made = np.fft.irfft2(spectrum, (TILE, TILE))
    return (made / made.std()).astype(np.float32)


@functools.cache
def waves() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The waves of a tile: rows and columns [N] in its real transform, phases, and the chip of each; -1: the beacon."""
    rows, columns = np.meshgrid(np.fft.fftfreq(TILE, 1 / TILE), np.arange(TILE // 2 + 1), indexing='ij')
    radius = np.hypot(rows, columns)
    used = (radius >= LOW) & (radius <= HIGH) & ((columns > 0) | (rows > 0))
    rows, columns = rows[used].astype(int), columns[used].astype(int)
    stream = np.frombuffer(hashlib.shake_256(b'dfjax mark 1').digest(8 * len(rows)), '<u4').reshape(2, -1)
    chips = np.full(len(rows), -1)
    chips[np.argsort(stream[1], kind='stable')[: WORDS * CHIPS]] = np.arange(WORDS * CHIPS)
    return rows, columns, stream[0] * (2 * np.pi / 2**32), chips


@functools.cache
def code() -> np.ndarray:
    """The first-order Reed-Muller code without its complements: a Hadamard matrix [CHIPS, CHIPS] of +1 and -1."""
    numbers = np.arange(CHIPS)
    return 1 - 2 * (np.bitwise_count(numbers[:, None] & numbers) % 2).astype(np.float32)


def unit_of(shape: tuple[int, int]) -> float:
    """Pixels of a unit in a picture that is marked."""
    return max(1.0, min(shape) / LINES)


def detail(luma: np.ndarray, unit: float) -> np.ndarray:
    """The standard deviation of fine detail about each pixel, float32 [H, W]."""
    span = 2 * round(SPAN * unit / 2) + 1
    fine = luma - cv2.blur(luma, (span, span))
    return np.sqrt(np.maximum(cv2.blur(fine * fine, (span, span)), 0))


def _rounded(values: np.ndarray, like: np.ndarray, most: int) -> np.ndarray:
    return np.clip(np.rint(values), 0, most).astype(like.dtype)

"""Pictures as uint8 RGB: whatever the file's depth, channels and EXIF orientation."""

from pathlib import Path

import numpy as np

from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError, ReadError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
PNG = b'\x89PNG\r\n\x1a\n'
# EXIF orientation 1..8 as (transpose, flip rows, flip columns), applied in this order.
ORIENTATIONS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def read_image(path) -> np.ndarray:
    """A picture file as uint8 RGB [H, W, 3], upright by its EXIF orientation.

    Grey and palette pictures become RGB, 16-bit channels keep their upper byte, transparency is laid over white.
    Raises InputError for a file that is missing, empty, cut short or no picture.
    """
    path = Path(path)
    if not path.is_file():
        raise ReadError(path, 'is a folder, not a picture' if path.is_dir() else 'no such file')
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from error
    return decode_image(data, path)


def decode_image(data: bytes, name) -> np.ndarray:
    """What `read_image` makes of a file's bytes; `name` is for its errors."""
    import cv2

    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # OpenCV's own words about a bad file; ours follow
    if not data:
        raise ReadError(name, 'the file is empty')
    buffer = np.frombuffer(data, np.uint8)
    try:
        raw = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED) if _may_have_alpha(data) else None
        if raw is not None and raw.ndim == 3 and raw.shape[2] == 4:
            return upright(_over_white(raw), _orientation(data))
        image = None if _jpeg_cut_short(data) else cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ReadError(name, 'not a picture that can be read, or cut short; use a JPEG, PNG, WebP, BMP or TIFF')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path, rgb: np.ndarray, quality: int = 95) -> None:
    """Writes uint8 RGB [H, W, 3], or grey [H, W], by the suffix; the file is replaced whole or not at all.

    `quality` 0..100 is for JPEG and WebP. Apps ask check_output first, so that nobody's file is overwritten unasked.
    """
    data = encode_image(path, rgb, quality)
    with atomic_path(path, force=True) as temporary:
        temporary.write_bytes(data)


def encode_image(path, rgb: np.ndarray, quality: int = 95) -> np.ndarray:
    """The bytes, uint8 [N], that `write_image` writes."""
    import cv2

    path = Path(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f'{path}: name a picture with one of {", ".join(IMAGE_SUFFIXES)}')
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) if rgb.ndim == 3 else rgb
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, quality]
    jpeg += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]  # colours as sharp as light
    options = {'.jpg': jpeg, '.jpeg': jpeg, '.webp': [cv2.IMWRITE_WEBP_QUALITY, quality]}
    done, data = cv2.imencode(path.suffix.lower(), bgr, options.get(path.suffix.lower(), []))
    if not done:
        raise InputError(f'{path}: the picture {rgb.shape} cannot be encoded')
    return data


def squared(picture: np.ndarray, size: int, crop: int = 0) -> np.ndarray:
    """The middle of a picture uint8 [H, W, 3] as [size, size, 3]: the largest square, or `crop` pixels if less."""
    import cv2

    height, width = picture.shape[:2]
    side = min(height, width, crop or height)
    top, left = (height - side) // 2, (width - side) // 2
    picture = picture[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(picture)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """The picture [H, W, ...] as EXIF orientation 1..8 says it should be shown."""
    transpose, rows, columns = ORIENTATIONS[orientation]
    return turned(image, transpose, rows, columns)


def turned(image: np.ndarray, transpose: bool, rows: bool, columns: bool) -> np.ndarray:
    """The picture [H, W, ...] with its axes swapped, then its rows and columns reversed, each where asked."""
    if transpose:
        image = np.swapaxes(image, 0, 1)
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def _over_white(bgra: np.ndarray) -> np.ndarray:
    if bgra.dtype == np.uint16:
        bgra = (bgra >> 8).astype(np.uint8)
    rgb, alpha = bgra[..., 2::-1].astype(np.uint32), bgra[..., 3:].astype(np.uint32)
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _may_have_alpha(data: bytes) -> bool:
    if data.startswith(PNG):
        return data[25:26] in (b'\x04', b'\x06') or b'tRNS' in data[: data.find(b'IDAT')]
    return not data.startswith(b'\xff\xd8')  # JPEG has none


def _jpeg_cut_short(data: bytes) -> bool:
    # libjpeg fills what is missing with grey. A whole JPEG has an end marker after the start of its last scan (within
    # a scan 0xff is followed by 0, so the two bytes cannot occur by chance; a thumbnail's end comes before the scan).
    return data.startswith(b'\xff\xd8') and data.rfind(b'\xff\xd9') < data.rfind(b'\xff\xda')


def _orientation(data: bytes) -> int:
    """EXIF orientation of a PNG or WebP, 1 where there is none. OpenCV applies it by itself only without alpha."""
    at = data.find(b'eXIf' if data.startswith(PNG) else b'EXIF')
    start = next((i for i in range(at + 4, at + 20) if data[i : i + 4] in (b'II*\0', b'MM\0*')), 0)
    if at < 0 or not start:
        return 1
    order = 'little' if data[start : start + 1] == b'I' else 'big'
    table = start + int.from_bytes(data[start + 4 : start + 8], order)
    for i in range(int.from_bytes(data[table : table + 2], order)):
        entry = data[table + 2 + 12 * i :][:12]
        if int.from_bytes(entry[:2], order) == 0x0112:
            value = int.from_bytes(entry[8:10], order)
            return value if value in ORIENTATIONS else 1
    return 1

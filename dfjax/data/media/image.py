"""Pictures as uint8 RGB: whatever the file's depth, channels and EXIF orientation."""

import contextlib
import functools
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dfjax.data.media.limits import TIFF, check_pixels, tiff_size
from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError, ReadError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
JPEG = b'\xff\xd8'
ALPHA = ('RGBA', 'LA', 'PA', 'RGBa', 'La')  # Pillow's modes with transparency
STRIP = 256  # rows at a time, of what takes more memory than the picture
HEIC = (b'heic', b'heix', b'heim', b'heis', b'mif1', b'msf1', b'hevc')
OTHERS = {
    b'8BPS': 'a Photoshop document',
    b'\0\0\0\x0cJXL ': 'a JPEG XL picture',
    b'\xff\x0a': 'a JPEG XL picture',
    b'v/1\x01': 'an OpenEXR picture',
    b'#?RADIANCE': 'a Radiance HDR picture',
    b'FUJIFILM': "a camera's raw picture",
    b'%PDF': 'a PDF document',
    b'<svg': 'an SVG drawing',
    b'<?xml': 'an SVG drawing, or other text',
    b'<!DO': 'a web page',
    b'<html': 'a web page',
}


def read_image(path) -> np.ndarray:
    """A picture file as uint8 RGB [H, W, 3], upright by its EXIF orientation.

    Grey and palette pictures become RGB, 16-bit channels keep their upper byte, of floating point 1 is white and what
    is above it too, transparency is laid over white.

    Raises:
        ReadError: missing, empty, cut short, no picture, or larger than `limits` allows.
    """
    rgb, alpha = read_picture(path)
    return rgb if alpha is None else over_white(rgb, alpha)


def read_picture(path) -> tuple[np.ndarray, np.ndarray | None]:
    """As `read_image`, with transparency apart: (uint8 RGB [H, W, 3], uint8 alpha [H, W] or None).

    Colours are as they are in the file, also where they are transparent.
    """
    path = Path(path)
    if not path.is_file():
        raise ReadError(path, 'is a folder, not a picture' if path.is_dir() else 'no such file')
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from error
    return decode_picture(data, path)


def decode_image(data: bytes, name) -> np.ndarray:
    """What `read_image` makes of a file's bytes; `name` is for its errors."""
    rgb, alpha = decode_picture(data, name)
    return rgb if alpha is None else over_white(rgb, alpha)


def decode_picture(data: bytes, name) -> tuple[np.ndarray, np.ndarray | None]:
    """What `read_picture` makes of a file's bytes; `name` is for its errors."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our own line about a bad file says more
    try:
        found = _decode(data, name)
    except InputError:
        raise
    except MemoryError:
        raise ReadError(name, 'needs more memory than there is; make it smaller') from None
    except Exception:  # Pillow's readers have a dozen kinds between them
        found = None
    if found is None:
        raise ReadError(name, _unread(data))
    return found


def check_header(path: Path) -> None:
    """Raises ReadError for a picture that is too large, or that cannot be read as far as its first bytes tell."""
    try:
        with open(path, 'rb') as file:
            try:
                with _opened(file, path):
                    return
            except InputError:
                raise
            except Exception:
                file.seek(0)
                raise ReadError(path, _unread(file.read(16))) from None
    except OSError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from error


def write_image(path, rgb: np.ndarray, *, quality: int = 95) -> None:
    """Writes uint8 RGB [H, W, 3], RGBA, or grey [H, W], by the suffix; the file is replaced whole or not at all.

    `quality` 0..100 is for JPEG and WebP. Apps ask check_output first, so that nobody's file is overwritten unasked.
    """
    data = encode_image(path, rgb, quality=quality)
    with atomic_path(path, force=True) as temporary:
        temporary.write_bytes(data)


def check_suffix(path) -> None:
    """Raises InputError unless pictures are written under such a name."""
    if Path(path).suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f'{path}: name a picture with one of {", ".join(IMAGE_SUFFIXES)}')


def encode_image(path, rgb: np.ndarray, *, quality: int = 95) -> np.ndarray:
    """The bytes, uint8 [N], that `write_image` writes."""
    import cv2

    path = Path(path)
    check_suffix(path)
    turn = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    bgr = cv2.cvtColor(rgb, turn[rgb.shape[-1]]) if rgb.ndim == 3 else rgb
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


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture uint8 [H, W, ...] in another size (width, height), by averages where it shrinks."""
    import cv2

    larger = size[0] > picture.shape[1] or size[1] > picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)


def turned(image: np.ndarray, transpose: bool, rows: bool, columns: bool) -> np.ndarray:
    """The picture [H, W, ...] with its axes swapped, then its rows and columns reversed, each where asked."""
    if transpose:
        image = np.swapaxes(image, 0, 1)
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 RGB [H, W, 3] with alpha [H, W] laid over white."""
    made = np.empty_like(rgb)
    for top in range(0, len(rgb), STRIP):
        rows = slice(top, top + STRIP)
        opaque = alpha[rows, :, None].astype(np.uint32)
        made[rows] = (rgb[rows] * opaque + 255 * (255 - opaque) + 127) // 255
    return made


@contextlib.contextmanager
def _opened(file: BinaryIO, name) -> Iterator:
    """Yields Pillow's picture of a file, once its header is found to be within the limit; None for a TIFF that
    Pillow does not know and OpenCV may.

    Raises:
        ReadError: if it is too large.
        Exception: whatever Pillow says of what is no picture.
    """
    from PIL import UnidentifiedImageError

    try:
        with _pillow().open(file) as image:
            check_pixels(name, *image.size)
            yield image
    except UnidentifiedImageError:
        if not (size := tiff_size(file)):
            raise
        check_pixels(name, *size)
        yield None


def _decode(data: bytes, name) -> tuple[np.ndarray, np.ndarray | None] | None:
    """The picture in a file's bytes; None, or the errors of Pillow and OpenCV, if it cannot be read.

    Pillow has the header, alpha (OpenCV drops that of palettes, and turns no picture whose alpha it keeps) and HEIF;
    OpenCV, which is faster, the others.
    """
    import cv2

    with _opened(io.BytesIO(data), name) as image:
        if image is not None:
            keyed = 'transparency' in image.info and image.mode in ('1', 'L', 'P', 'RGB')  # one colour, or a palette's
            if keyed or image.mode in ALPHA or image.format in ('AVIF', 'HEIF'):
                return _by_pillow(image)
    if _jpeg_cut_short(data):
        return None
    pixels = np.frombuffer(data, np.uint8)
    if data[:4] in TIFF and (image is None or image.mode == 'F'):
        whole = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
        if whole is not None and whole.dtype in (np.float32, np.float64):
            return _from_float(whole)
    bgr = cv2.imdecode(pixels, cv2.IMREAD_COLOR)
    return None if bgr is None else (cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), None)


def _by_pillow(image) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture of Pillow, upright, in strips, so that its pixels are not held four times."""
    from PIL import ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    (width, height), clear = image.size, image.mode in ALPHA or 'transparency' in image.info
    rgb, alpha = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.uint8)
    for top in range(0, height, STRIP):
        rows = slice(top, min(top + STRIP, height))
        strip = np.asarray(image.crop((0, rows.start, width, rows.stop)).convert('RGBA'))
        rgb[rows], alpha[rows] = strip[..., :3], strip[..., 3]
    return rgb, alpha if clear else None


def _from_float(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture of floating point [H, W] or [H, W, 1, 3 or 4], BGR, as `decode_picture` gives it."""
    whole = np.round(np.clip(np.nan_to_num(whole), 0, 1) * 255).astype(np.uint8)
    whole = whole.reshape(*whole.shape[:2], -1)
    if whole.shape[-1] < 3:
        return np.repeat(whole[..., :1], 3, -1), None
    return np.ascontiguousarray(whole[..., 2::-1]), whole[..., 3] if whole.shape[-1] == 4 else None


@functools.cache
def _pillow():
    """Pillow's module of pictures, silent, without a limit of its own, and reading HEIC where pillow-heif is there."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings('ignore', module='PIL')
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return Image


def _unread(data: bytes) -> str:
    """The line for bytes that are no picture which can be read."""
    if not data:
        return 'the file is empty'
    if data[4:8] == b'ftyp' and data[8:12] in HEIC:
        return 'a HEIC picture, as phones take; `pip install pillow-heif` reads it, or convert it to JPEG'
    if data[4:8] == b'ftyp' and data[8:12] == b'avif':
        return 'an AVIF picture, damaged, or Pillow was made without AVIF; convert it to JPEG or PNG'
    for start, what in OTHERS.items():
        if data.startswith(start):
            return f'{what}, which is not read here; convert it to JPEG, PNG or TIFF'
    return 'not a picture that can be read, or cut short; use a JPEG, PNG, WebP, BMP or TIFF'


def _jpeg_cut_short(data: bytes) -> bool:
    # libjpeg fills what is missing with grey. A whole JPEG has an end marker after the start of its last scan (within
    # a scan 0xff is followed by 0, so the two bytes cannot occur by chance; a thumbnail's end comes before the scan).
    return data.startswith(JPEG) and data.rfind(b'\xff\xd9') < data.rfind(b'\xff\xda')

"""Pictures as uint8 RGB: whatever the file's depth, channels and EXIF orientation."""

import io
from pathlib import Path

import numpy as np

from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError, ReadError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')
JPEG = b'\xff\xd8'


def read_image(path) -> np.ndarray:
    """A picture file as uint8 RGB [H, W, 3], upright by its EXIF orientation.

    Grey and palette pictures become RGB, 16-bit channels keep their upper byte, transparency is laid over white.
    Raises ReadError for a file that is missing, empty, cut short or no picture.
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

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # our own line about a bad file says more
    if not data:
        raise ReadError(name, 'the file is empty')
    try:
        if not data.startswith(JPEG) and (rgba := _with_alpha(data)) is not None:
            return _over_white(rgba)
        bgr = None if _jpeg_cut_short(data) else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, OSError, ValueError, SyntaxError):  # the last three are Pillow's words for a damaged file
        bgr = None
    if bgr is None:
        raise ReadError(name, 'not a picture that can be read, or cut short; use a JPEG, PNG, WebP, BMP or TIFF')
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


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


def turned(image: np.ndarray, transpose: bool, rows: bool, columns: bool) -> np.ndarray:
    """The picture [H, W, ...] with its axes swapped, then its rows and columns reversed, each where asked."""
    if transpose:
        image = np.swapaxes(image, 0, 1)
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])


def _with_alpha(data: bytes) -> np.ndarray | None:
    """A picture with transparency as uint8 RGBA [H, W, 4], upright; None for one without, which OpenCV reads faster.

    OpenCV drops the alpha of palettes, and turns no picture whose alpha it keeps.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            keyed = 'transparency' in image.info and image.mode in ('1', 'L', 'P', 'RGB')  # one colour, or a palette's
            if not keyed and image.mode not in ('RGBA', 'LA', 'PA', 'RGBa', 'La'):
                return None
            return np.asarray(ImageOps.exif_transpose(image).convert('RGBA'))
    except (UnidentifiedImageError, Image.DecompressionBombError):  # OpenCV reads more kinds, and larger ones
        return None


def _over_white(rgba: np.ndarray) -> np.ndarray:
    rgb, alpha = rgba[..., :3].astype(np.uint32), rgba[..., 3:].astype(np.uint32)
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _jpeg_cut_short(data: bytes) -> bool:
    # libjpeg fills what is missing with grey. A whole JPEG has an end marker after the start of its last scan (within
    # a scan 0xff is followed by 0, so the two bytes cannot occur by chance; a thumbnail's end comes before the scan).
    return data.startswith(JPEG) and data.rfind(b'\xff\xd9') < data.rfind(b'\xff\xda')

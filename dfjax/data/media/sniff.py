"""What a file holds by its first bytes, whatever its name says: cameras and people name files as they like."""

from pathlib import Path

HEAD = 4096  # bytes read
STILL = {b'heic', b'heix', b'heim', b'heis', b'mif1', b'avif'}  # brands of one picture in boxes; hevc, msf1, avis move
SOUND = {b'M4A ', b'M4B ', b'M4P ', b'F4A '}
MXF_KEY, ASF_KEY = bytes.fromhex('060e2b34020501010d010201'), bytes.fromhex('3026b2758e66cf11a6d900aa0062ce6c')
ASF_VIDEO = bytes.fromhex('c0ef19bc4d5bcf11a8fd00805f5c442b')  # type of a stream
PICTURES = (b'\xff\xd8\xff', b'BM', b'II*\0', b'MM\0*', b'II+\0', b'MM\0+', b'\0\0\0\x0cjP  \r\n', b'\xffO\xffQ')
PICTURES += (b'#?RADIANCE', b'#?RGBE', b'v/1\x01', b'\0\0\0\x0cJXL ', b'\xff\x0a')
VIDEOS = (b'\x1aE\xdf\xa3', b'FLV', b'\0\0\1\xba', b'\0\0\1\xb3', b'YUV4MPEG2', b'DKIF', b'.RMF', b'nut/multimedia')
FORMATS = {b'\0\0\1\xba': 'mpeg', b'\0\0\1\xb3': 'mpegvideo', b'\0\0\0\1\x40': 'hevc'}
VIDEOS += (b'\x1f\x07\0', b'\0\0\0\1\x09', b'\0\0\0\1\x67', b'\0\0\0\1\x27', b'\0\0\0\1\x40', b'\0\0\0\1\x46')


def sniff(path: Path | str) -> str | None:
    """'image' or 'video', None for neither and for a file that cannot be read or of which too little is known.

    A picture that moves (GIF, WebP, PNG of several frames) is a video. Whether a container of video that may also hold
    sound alone has pictures is known when it is opened.
    """
    try:
        with open(path, 'rb') as file:
            head = file.read(HEAD)
            if head.startswith(b'GIF8'):
                return 'video' if _gif_moves(file) else 'image'
            return _kind(head)
    except (OSError, ValueError):
        return None


def webp_moves(path: Path | str) -> bool:
    """Whether a file is a WebP of several frames."""
    head = _head(path)
    return head[:4] == b'RIFF' and head[8:16] == b'WEBPVP8X' and bool(head[20] & 2)


def stated_format(path: Path | str) -> str | None:
    """FFmpeg's word for what a file is where it would let the name decide; None where the file speaks for itself."""
    return next((name for start, name in FORMATS.items() if _head(path).startswith(start)), None)


def _head(path: Path | str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(HEAD)
    except (OSError, ValueError):
        return b''


def _kind(head: bytes) -> str | None:
    if head.startswith(b'\x89PNG\r\n\x1a\n'):
        moves = b'acTL' in head.partition(b'IDAT')[0]
        return 'video' if moves else 'image'
    if head[:4] == b'RIFF':
        if head[8:12] == b'WEBP':
            return 'video' if head[12:16] == b'VP8X' and head[20] & 2 else 'image'
        return 'video' if head[8:11] == b'AVI' else None
    if head[4:8] == b'ftyp':
        return 'image' if head[8:12] in STILL else None if head[8:12] in SOUND else 'video'
    if head[4:8] in (b'moov', b'mdat', b'wide', b'skip', b'free', b'pnot'):  # QuickTime before it had types
        return 'video'
    if head.startswith(b'OggS'):
        return 'video' if b'theora' in head or b'BBCD' in head else None
    if head.startswith(ASF_KEY):
        return 'video' if ASF_VIDEO in head else None
    if any(_packets(head, *layout) for layout in ((0, 188), (4, 192), (0, 204))) or MXF_KEY in head:
        return 'video'
    if head.startswith(PICTURES) or _netpbm(head):
        return 'image'
    return 'video' if head.startswith(VIDEOS) else None


def _packets(head: bytes, first: int, length: int) -> bool:
    """Whether it is a transport stream: a sync byte at the start of every packet. AVCHD puts 4 bytes before each."""
    at = range(first, len(head), length)
    return len(at) >= 3 and all(head[n] == 0x47 for n in at)


def _netpbm(head: bytes) -> bool:
    return head[:1] == b'P' and head[1:2] in b'123456' and head[2:3].isspace()


def _gif_moves(file) -> bool:
    """Whether a GIF has a second frame."""
    from PIL import Image

    file.seek(0)
    try:
        with Image.open(file) as image:
            image.seek(1)
            return True
    except EOFError:
        return False
    except (OSError, ValueError, SyntaxError):  # damaged: the reader of videos has the words
        return True

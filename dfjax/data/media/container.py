"""Opening a media file, with one clear line about one that cannot be."""

from pathlib import Path

from dfjax.data.media.sniff import stated_format
from dfjax.errors import ReadError


def open_container(path: Path, what: str):
    """PyAV's container of a file to read; `what` it should be is for the error.

    Raises:
        ReadError: missing, empty, or no media.
    """
    import av

    if not path.is_file():
        raise ReadError(path, f'is a folder, not a {what}' if path.is_dir() else 'no such file')
    try:
        if not path.stat().st_size:
            raise ReadError(path, 'the file is empty')
        # Absolute, for FFmpeg takes what stands before a colon for a protocol
        return av.open(str(path.absolute()), format=stated_format(path), metadata_errors='replace')
    except PermissionError as error:
        raise ReadError(path, f'cannot be read ({error.strerror})') from error
    except av.error.FFmpegError as error:
        raise ReadError(path, f'not a {what} that can be read, or cut short; fetch or record it again') from error


def clock_start(container) -> float:
    """Seconds on a file's clock that count as 0.

    Clocks of MPEG transport and program streams start anywhere; other files' times are kept as they are.
    """
    moves = container.format.name in ('mpegts', 'mpeg') and container.start_time
    return moves / 1e6 if moves else 0.0

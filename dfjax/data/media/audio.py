"""The sound of any file, as samples on the clock of its pictures."""

from pathlib import Path

import numpy as np

from dfjax.data.media.decode import clock_start, open_container
from dfjax.errors import ReadError


def read_audio(path: Path | str, rate: int = 16_000) -> np.ndarray:
    """The first sound track of a video or sound file, the mean of its channels, low-passed where it is resampled.

    Args:
        path: any file that FFmpeg reads.
        rate: samples a second wanted.

    Returns:
        float32 [n] in [-1, 1]; sample 0 is at time 0 of the file's clock, as `Frame.time` is: sound that begins later
        is preceded by silence.

    Raises:
        ReadError: if the file is missing, has no sound or cannot be read.
    """
    import av

    path = Path(path)
    with open_container(path, 'sound') as container:
        tracks = [stream for stream in container.streams.audio if stream.codec_context]
        if not tracks:
            raise ReadError(path, 'has no sound')
        start, first, parts = clock_start(container), None, []
        resampler = av.AudioResampler(format='fltp', rate=rate)
        try:
            for frame in container.decode(tracks[0]):
                if first is None:
                    first = 0.0 if frame.time is None else frame.time - start
                parts += [out.to_ndarray().mean(0) for out in resampler.resample(frame)]
            parts += [out.to_ndarray().mean(0) for out in resampler.resample(None)]
        except av.FFmpegError as error:
            raise ReadError(path, f'its sound cannot be read ({error.strerror or error})') from error
    if not parts:
        raise ReadError(path, 'has no sound')
    samples, late = np.concatenate(parts), round(first * rate)
    return np.concatenate([np.zeros(max(late, 0), np.float32), samples[max(-late, 0) :]])

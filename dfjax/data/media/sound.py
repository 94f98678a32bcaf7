"""The sound of a written video: the packets of another file as they are, or samples encoded as AAC."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.decode import clock_start, open_container

# By container, what it can hold and players play. Anything else (PCM, Vorbis, WMA, AMR...) is encoded anew as AAC.
COPIED = {'mov': {'aac', 'mp3', 'mp2', 'ac3', 'eac3', 'alac'}}
COPIED['mp4'] = COPIED['mov'] | {'opus', 'flac'}
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_LAYOUTS = ('mono', 'stereo', '3.0', '4.0', '5.0', '5.1')
Packets = Iterator[tuple[float, list]]  # (time in seconds, packets for the output at that time), in order


@contextlib.contextmanager
def open_sound(sound: Path | str | tuple[np.ndarray, int], output) -> Iterator[Packets]:
    """Adds sound tracks to the open container `output` and yields their packets; closed with the block.

    Args:
        sound: a file, whose tracks are copied, their times from the start of its clock; or samples float [T] or [T, C]
            in [-1, 1] and their rate in Hz, of which the first two channels become an AAC track. A file is opened for
            its sound alone, so that it is read as the pictures advance, however the two are interleaved, and memory
            stays bounded.

    Raises:
        ReadError: the file is missing or no media.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(sound, tuple):
            packets = _encode(*sound, output)
        else:
            container = stack.enter_context(open_container(Path(sound), 'sound'))
            packets = _copy(container, output)
        yield stack.enter_context(contextlib.closing(packets))


def _copy(container, output) -> Packets:
    """The sound tracks of a file for `output`, which has them when this returns."""
    tracks = {}
    for stream in container.streams.audio:
        codec = stream.codec_context
        if codec is None:  # one this build does not know: it can be neither copied nor decoded
            continue
        if codec.codec.canonical_name in COPIED[output.format.name]:
            tracks[stream.index] = output.add_stream_from_template(stream), False
        else:
            tracks[stream.index] = _aac(output, stream.rate, codec.channels, stream.layout.name), True
    return _read(container, tracks, clock_start(container))


def _aac(output, rate: int, channels: int, layout: str):
    layout = layout.removesuffix('(side)')
    layout = layout if layout in AAC_LAYOUTS else 'mono' if channels == 1 else 'stereo'
    stream = output.add_stream('aac', rate=rate if rate in AAC_RATES else 48000, layout=layout)
    stream.bit_rate = 96_000 * (channels if layout not in ('mono', 'stereo') else 1 + (layout == 'stereo'))
    return stream


def _read(container, tracks: dict, start: float) -> Packets:
    if not tracks:
        return
    for packet in container.demux([container.streams[index] for index in tracks]):
        out, encoded = tracks[packet.stream.index]
        time = 0.0 if packet.dts is None else float(packet.dts * packet.time_base) - start
        if encoded:  # the last packet is empty and makes the decoder give what it holds
            for frame in packet.decode():
                frame.pts -= round(start / frame.time_base)
                yield time, out.encode(frame)
        elif packet.dts is not None:
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) - shift, packet.dts - shift
            packet.stream = out
            yield time, [packet]
    for out, encoded in tracks.values():
        if encoded:
            yield 0.0, out.encode(None)


def _encode(samples: np.ndarray, rate: int, output) -> Packets:
    """An AAC track of samples for `output`, which has it when this returns."""
    samples = np.atleast_2d(np.asarray(samples, np.float32).T)[:2]  # [C, T]
    stream = _aac(output, rate, len(samples), 'mono' if len(samples) == 1 else 'stereo')
    return _encoded(samples, rate, stream)


def _encoded(samples: np.ndarray, rate: int, stream) -> Packets:
    import av

    for at in range(0, samples.shape[1], rate):  # a second at a time
        layout = 'mono' if len(samples) == 1 else 'stereo'
        part = np.ascontiguousarray(samples[:, at : at + rate])
        frame = av.AudioFrame.from_ndarray(part, format='fltp', layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        yield at / rate, stream.encode(frame)
    yield 0.0, stream.encode(None)

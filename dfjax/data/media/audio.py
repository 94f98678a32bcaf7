"""Sound: any file's as float32 samples, WAVE files written, and the tracks of a written video.

A video's tracks are the packets of another file as they are, or samples encoded as AAC.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.choices import allow_cut
from dfjax.data.media.container import clock_start, open_container
from dfjax.errors import ReadError
from dfjax.foreign import GROWTH, PACKED

# Codecs that a container can hold and players play. Anything else (PCM, Vorbis, WMA, AMR...) is encoded as AAC; in an
# AVI it is kept as samples.
COPIED = {'mov': {'aac', 'mp3', 'mp2', 'ac3', 'eac3', 'alac'}}
COPIED |= {'mp4': COPIED['mov'] | {'opus', 'flac'}, 'avi': {'mp3', 'ac3', 'pcm_s16le'}}
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
AAC_LAYOUTS = ('mono', 'stereo', '3.0', '4.0', '5.0', '5.1')
PIPED = 0x7FFF0000  # a recorder that writes WAVE into a pipe cannot know the size, and states this or more
Packets = Iterator[tuple[float, list]]  # (time in seconds, packets for the output at that time), in order


@dataclass(frozen=True)
class Excerpt:
    """The sound of a file from `start` to `stop` seconds of its clock, as the sound of a video."""

    path: Path
    start: float
    stop: float


def read_sound(path: Path | str, rate: int | None = None, mono: bool = False) -> tuple[np.ndarray, int]:
    """Samples float32 [T, C] in [-1, 1] of the first sound track of a file, and their rate in Hz.

    Sample n is heard n / rate seconds after the start of the file's clock, which is that of its frames: what a track
    lacks at its start is silence.

    Args:
        rate: wanted rate in Hz, low-passed; by default the file's.
        mono: the mean of all channels, C = 1.

    Raises:
        ReadError: missing, empty, cut short, damaged, without sound, or with more of it than the file's size allows.
    """
    import av

    path, start, held, samples = Path(path), None, 0, _Samples(mono)
    with contextlib.closing(open_container(path, 'sound')) as container:
        _check_whole_wave(path)
        stream = next((s for s in container.streams.audio if s.codec_context), None)
        if stream is None:
            raise ReadError(path, 'has no sound track; give a sound, or a video with one')
        convert = av.AudioResampler('flt', rate=rate or stream.rate)
        end = float(stream.duration * stream.time_base) if stream.duration else 0.0
        room = max(PACKED, GROWTH * path.stat().st_size)  # bytes of samples; silence takes next to none in a file
        try:
            for frame in container.decode(stream):
                if start is None:
                    start = float((frame.pts or 0) * frame.time_base) - clock_start(container)
                parts = convert.resample(frame)
                samples.add(parts)
                held += sum(4 * part.samples * part.layout.nb_channels for part in parts)
                if held > room:
                    raise ReadError(path, f'holds more than {room >> 20} MB of sound; cut it into pieces')
            samples.add(convert.resample(None) if samples.rate else [])
        except av.error.FFmpegError as error:
            raise ReadError(path, f'its sound is damaged after {samples.seconds:.1f} s; repair or trim it') from error
    if not samples.rate:
        raise ReadError(path, 'holds no sound')
    if samples.seconds < end - max(0.1, 0.02 * end) and not allow_cut():
        raise ReadError(path, f'cut short: it ends after {samples.seconds:.1f} s of {end:.1f} s; fetch it again')
    rate = samples.rate
    if abs(start) * rate * 4 * samples.channels > room:
        raise ReadError(path, f'its sound begins at {start:.0f} s; repair its times')
    first = round(start * rate)  # negative: what a codec needs to begin, before time 0
    found = samples.array()
    return (np.pad(found, ((first, 0), (0, 0))) if first > 0 else found[-first:]), rate


class _Samples:
    """Samples of decoded parts as they come, held once: hours of them are much."""

    def __init__(self, mono: bool):
        self.rate, self.channels, self._mono, self._data = 0, 1, mono, bytearray()

    def add(self, parts: list) -> None:
        for part in parts:
            self.rate = self.rate or part.sample_rate
            values = part.to_ndarray().reshape(-1, part.layout.nb_channels)
            values = values.mean(1, keepdims=True) if self._mono else values  # FFmpeg's own mix is 1.4 times as loud
            self.channels = values.shape[1]
            self._data += values.tobytes()

    @property
    def seconds(self) -> float:
        return len(self._data) / 4 / self.channels / self.rate if self.rate else 0.0

    def array(self) -> np.ndarray:
        """float32 [T, C]."""
        return np.frombuffer(self._data, np.float32).reshape(-1, self.channels)


def _check_whole_wave(path: Path) -> None:
    """Raises ReadError for a WAVE file that states more bytes than it has, which FFmpeg reads without a word."""
    with open(path, 'rb') as file:
        head = file.read(12)
    size = int.from_bytes(head[4:8], 'little') + 8
    if head[:4] == b'RIFF' and head[8:] == b'WAVE' and path.stat().st_size < size < PIPED:
        raise ReadError(path, f'cut short: {path.stat().st_size} of {size} bytes are there; fetch it again')


@contextlib.contextmanager
def open_sound(sound: Path | str | Excerpt | tuple[np.ndarray, int], output) -> Iterator[Packets]:
    """Adds sound tracks to the open container `output` and yields their packets; closed with the block.

    Args:
        sound: a file, whose tracks are copied, their times from the start of its clock, or an `Excerpt` of one; or
            samples float [T] or [T, C] in [-1, 1] and their rate in Hz, of which the first two channels become an AAC
            track. A file is opened for its sound alone, so that it is read as the pictures advance, however the two are
            interleaved, and memory stays bounded.

    Raises:
        ReadError: the file is missing or no media.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(sound, tuple):
            packets = _encode(*sound, output)
        else:
            part = sound if isinstance(sound, Excerpt) else Excerpt(Path(sound), 0.0, math.inf)
            container = stack.enter_context(open_container(part.path, 'sound'))
            packets = _copy(container, output, part)
        yield stack.enter_context(contextlib.closing(packets))


def _copy(container, output, part: Excerpt) -> Packets:
    """The sound tracks of a file for `output`, which has them when this returns."""
    tracks = {}
    for stream in container.streams.audio:
        codec = stream.codec_context
        if codec is None:  # unknown to this build of FFmpeg: it can be neither copied nor decoded
            continue
        if codec.codec.canonical_name in COPIED[output.format.name]:
            tracks[stream.index] = output.add_stream_from_template(stream), False
        else:
            tracks[stream.index] = _aac(output, stream.rate, codec.channels, stream.layout.name), True
        made = tracks[stream.index][0]
        made.metadata.update({key: stream.metadata[key] for key in ('language', 'title') if key in stream.metadata})
        made.disposition = stream.disposition
    if part.start:
        container.seek(int(1e6 * (clock_start(container) + part.start)))
    return _read(container, tracks, clock_start(container) + part.start, part)


def _aac(output, rate: int, channels: int, layout: str):
    layout = layout.removesuffix('(side)')
    layout = layout if layout in AAC_LAYOUTS else 'mono' if channels == 1 else 'stereo'
    if output.format.name == 'avi':
        return output.add_stream('pcm_s16le', rate=rate, layout=layout)
    stream = output.add_stream('aac', rate=rate if rate in AAC_RATES else 48000, layout=layout)
    stream.bit_rate = 96_000 * (channels if layout not in ('mono', 'stereo') else 1 + (layout == 'stereo'))
    return stream


def _read(container, tracks: dict, start: float, part: Excerpt) -> Packets:
    if not tracks:
        return
    length = part.stop - part.start
    for packet in _packets(container, [container.streams[index] for index in tracks]):
        out, encoded = tracks[packet.stream.index]
        time = 0.0 if packet.dts is None else float(packet.dts * packet.time_base) - start
        if time >= length:
            continue
        if part.start and packet.dts is not None and time + float((packet.duration or 0) * packet.time_base) <= 0:
            continue  # what is heard before the excerpt
        if encoded:  # the last packet is empty and makes the decoder give what it holds
            for frame in packet.decode():
                frame.pts -= round(start / frame.time_base)
                if part.start and frame.pts < 0:
                    continue
                yield time, out.encode(frame)
        elif packet.dts is not None:
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) - shift, packet.dts - shift
            packet.stream = out
            yield time, [packet]
    for out, encoded in tracks.values():
        if encoded:
            yield 0.0, out.encode(None)


def _packets(container, streams: list) -> Iterator:
    """The packets of streams; of a file that is cut short those before its end, where that is allowed."""
    import av

    try:
        yield from (packet for packet in container.demux(streams) if not (packet.is_corrupt and allow_cut()))
    except av.error.FFmpegError:
        if not allow_cut():
            raise


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

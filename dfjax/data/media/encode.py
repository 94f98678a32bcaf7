"""Encoding a video file: its pictures by one of a few codecs, and their sound, whole or absent."""

import contextlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from dfjax.data.media.audio import open_sound
from dfjax.data.media.decode import Frame, MediaInfo
from dfjax.data.media.image import resized
from dfjax.data.media.mark import Mark
from dfjax.data.media.output import atomic_path
from dfjax.data.media.planes import (
    BT601,
    FULL,
    LIMITED,
    UNSPECIFIED,
    Planes,
    guessed,
    merged,
    pixel_format,
    stored_planes,
    to_frame,
    to_planes,
)
from dfjax.errors import InputError, WriteError

# By its suffix FFmpeg would make an m4v for old iPods
CONTAINERS = {'.mp4': 'mp4', '.m4v': 'mp4', '.mov': 'mov', '.avi': 'avi'}
WRITTEN_SUFFIXES = ('.mp4', '.m4v', '.mov')
# FFmpeg's encoders, their options, and the containers that hold what they make; ProRes as its profile HQ.
ENCODERS = {
    'h264': ('libx264', {}, WRITTEN_SUFFIXES),
    'hevc': ('libx265', {'x265-params': 'log-level=none'}, WRITTEN_SUFFIXES),
    'prores': ('prores_ks', {'profile': '3', 'vendor': 'apl0'}, ('.mov',)),
    'ffv1': ('ffv1', {'level': '3', 'slicecrc': '1'}, ('.avi',)),
}
BY_QUALITY = ('h264', 'hevc')  # codecs that take a crf
# On a processor with AVX-512, x264's lookahead weighs B-frames by memory that nobody has written, so that no two runs
# make the same file; it is kept to the instructions before those, of which all that have AVX-512 have all.
AVX512, STEADY = 256, 'asm=AVX2'  # OpenCV's number for AVX512-SKX
CRF = 18
NEW = MediaInfo(Path(), 'video', 0, 0, colour=(BT601, UNSPECIFIED, UNSPECIFIED))  # what a careless reader takes any for


class VideoWriter:
    """Writes an mp4 or mov, H.264 of 8 bits, or HEVC of 10; a context manager, and the file is whole or absent.

    `codec`, one of ENCODERS, takes another: ProRes 4:2:2 of 10 bits into mov, FFV1, which loses nothing, into avi,
    or one of these two for any depth. `crf` is the quality of these two. An avi has one frame rate, and plain samples
    for sound.

    `fps` is a Fraction, int or float; `size` is (width, height). H.264 needs even sizes: of an odd one the last column
    or row is repeated inside the encoder, so that the file is one pixel larger and what was given is at its top left.
    `sound` is (samples [T] or [T, C] in [-1, 1], rate), encoded as AAC, or a file whose tracks are copied packet by
    packet, or encoded as AAC where the container has no place for them. `like`, the facts of another video, gives time
    base, depth and colours (dynamic range among them), and where its size is this one its pixels' shape and fields.
    Raises WriteError for another suffix and as atomic_path does; InputError as `check_codec`.
    """

    def __init__(
        self,
        path: Path | str,
        fps: Fraction | float,
        size: tuple[int, int],
        *,
        sound: Path | str | tuple[np.ndarray, int] | None = None,
        like: MediaInfo | None = None,
        force: bool = False,
        preset: str = 'veryfast',
        codec: str = '',
        crf: int = CRF,
    ):
        self.path, self.size = Path(path), tuple(size)
        self.rate = Fraction(fps).limit_denominator(100_000)
        self._from, self._force, self._preset = sound, force, preset
        self._crf = crf
        self._like = like or NEW
        self._timed = like is not None and self.path.suffix.lower() != '.avi'
        self._same = self.size == self._like.size
        if self.path.suffix.lower() not in CONTAINERS:
            raise WriteError(path, f'a video is written as {", ".join(WRITTEN_SUFFIXES)}; change the name')
        self._codec = codec or ('hevc' if self._like.depth > 8 else 'h264')
        check_codec(self._codec)
        if self.path.suffix.lower() not in ENCODERS[self._codec][2]:
            raise WriteError(path, f'{self._codec} is not kept in a {self.path.suffix}; change the name')

    def __enter__(self):
        import av

        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path, self._force))
            container = CONTAINERS[self.path.suffix.lower()]
            options = {} if container == 'avi' else {'movflags': 'faststart'}
            self._output = av.open(str(temporary.absolute()), 'w', container, options)
            stack.callback(self._output.close)
            self._stream = self._add_stream()
            self._sound = iter(()) if self._from is None else stack.enter_context(open_sound(self._from, self._output))
            self._durations, self._next, self._end, self._begin = {}, 0, 0, None
            self._held = None  # the last packet, whose duration is known at the end
            self._waiting = next(self._sound, None)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        if error[0] is not None:
            return self._stack.__exit__(*error)
        with self._stack:
            if not self._next:
                raise ValueError(f'{self.path}: no picture was written')
            self._mux(self._stream.encode(None))
            self._mux_last(self._held)
            self._mux_sound(float('inf'))

    def write(
        self,
        rgb: np.ndarray,
        pts: int | None = None,
        duration: int = 0,
        of: Frame | None = None,
        mark: Mark | None = None,
    ) -> None:
        """Appends uint8 RGB [H, W, 3]; `pts` and `duration` in units of the time base (a frame, without `like`).

        Where it equals the frame `of` that it was made of, what that file stores is written. `mark` is laid into luma.
        """
        if rgb.shape != (self.size[1], self.size[0], 3) or rgb.dtype != np.uint8:
            raise ValueError(f'uint8 {(self.size[1], self.size[0], 3)} is written, not {rgb.dtype} {rgb.shape}')
        like = self._like
        if of is None or of.stored is None or not self._same:
            planes = self._planes(rgb)
        else:
            planes = stored_planes(of.stored, like.depth, like.turn)
            if rgb is not of.rgb and (part := _changed(rgb, of.rgb)):
                self._change(planes, rgb, of.rgb, part)
        if mark:
            planes[0] = mark.on_luma(planes[0], like.depth, like.full_range, self.size)
        frame = to_frame(planes, like.depth)
        frame.colorspace, frame.color_range = (
            guessed(like.colour[0], self.size[1]),
            FULL if like.full_range else LIMITED,
        )
        frame.pts = pts if pts is not None and self._timed else self._next
        frame.time_base = self._stream.codec_context.time_base
        self._next = frame.pts + 1
        self._durations[frame.pts] = (duration if self._timed else 0) or self._frame_ticks
        self._end = frame.pts + self._durations[frame.pts]
        self._mux_sound(float(frame.pts * frame.time_base))
        self._mux(self._stream.encode(frame))

    def _planes(self, rgb: np.ndarray) -> Planes:
        like = self._like
        if self._same and like.aspect != 1:
            rgb = resized(rgb, like.stored_size)
        return to_planes(rgb, like.depth, like.colour, like.full_range)

    def _change(self, planes: Planes, rgb: np.ndarray, before: np.ndarray, part: tuple[slice, slice]) -> None:
        """Puts into planes what differs between two pictures, which it does in a part of them alone."""
        like = self._like
        if like.aspect != 1:  # all of it, for corners of a part would not fall on whole pixels
            where = resized(np.where((rgb != before).any(-1), np.uint8(255), np.uint8(0)), like.stored_size) > 0
            merged(planes, self._planes(rgb), where, (0, 0))
            return
        rows, columns = part
        new = to_planes(rgb[part], like.depth, like.colour, like.full_range, self.size[1])
        merged(planes, new, (rgb[part] != before[part]).any(-1), (columns.start, rows.start))

    def _add_stream(self):
        like = self._like
        encoder, options, _ = ENCODERS[self._codec]
        stream = self._output.add_stream(encoder, rate=self.rate)
        options = options | ({'crf': str(self._crf), 'preset': self._preset} if self._codec in BY_QUALITY else {})
        size = like.stored_size if self._same else self.size
        stream.width, stream.height = (n + n % 2 for n in size)
        stream.pix_fmt = 'yuv422p10le' if self._codec == 'prores' else pixel_format(like.depth)
        codec = stream.codec_context
        if self._codec == 'hevc':
            codec.codec_tag = 'hvc1'  # what Apple's players know
            options['x265-params'] = ':'.join([options['x265-params'], *like.mastering])
        if self._codec == 'h264':
            fields = [f'{like.interlaced[0]}ff=1'] if like.interlaced and self._same else []
            options['x264-params'] = ':'.join(fields + [STEADY] * cv2.checkHardwareSupport(AVX512))
        stream.options = options
        codec.time_base = like.time_base if self._timed else 1 / self.rate
        codec.color_range = FULL if like.full_range else LIMITED
        codec.colorspace, codec.color_primaries, codec.color_trc = like.colour
        codec.sample_aspect_ratio = like.aspect if self._same else Fraction(1)
        self._frame_ticks = max(1, round(1 / (self.rate * codec.time_base)))
        return stream

    def _mux(self, packets) -> None:
        for packet in packets:
            if self._held is not None:
                self._begin = self._begin or (self._held.pts, self._held.dts)
                self._held.duration = self._durations.pop(self._held.pts)
                self._output.mux(self._held)
            self._held = packet

    def _mux_last(self, packet) -> None:
        # An mp4 stores the time from packet to packet in decoding order. The last one's is set so that all add up to
        # the video's length: with B-frames its picture need not be the last one shown.
        pts, dts = self._begin or (packet.pts, packet.dts)
        packet.duration = max(1, (self._end - pts) - (packet.dts - dts))
        self._output.mux(packet)

    def _mux_sound(self, until: float) -> None:
        while self._waiting is not None and self._waiting[0] <= until:
            for packet in self._waiting[1]:
                self._output.mux(packet)
            self._waiting = next(self._sound, None)


def check_codec(codec: str) -> None:
    """Raises InputError unless this build of FFmpeg can write a codec, one of ENCODERS."""
    import av

    if ENCODERS[codec][0] not in av.codecs_available:
        raise InputError(f'codec {codec}: this build of FFmpeg lacks {ENCODERS[codec][0]}; choose another --codec')


def _changed(rgb: np.ndarray, before: np.ndarray) -> tuple[slice, slice] | None:
    """The rows and columns within which two pictures differ, their beginnings even; None where they are equal."""
    differs = (rgb != before).any(-1)
    rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
    if not len(rows):
        return None
    return tuple(slice(at[0] - at[0] % 2, at[-1] + 1) for at in (rows, columns))

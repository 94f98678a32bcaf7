"""Videos whose pictures, times and sound are known, written without dfjax, and what is in a file. It is not a test."""

from fractions import Fraction

import av
import cv2
import numpy as np

from dfjax.data.media.video import read_frames


def scene(count, height=48, width=64):
    """A smooth picture that drifts, so that every frame differs and codecs lose little. [N, H, W, 3]"""
    y, x, t = np.meshgrid(np.arange(height), np.arange(width), np.arange(count), indexing='ij')
    waves = [128 + 90 * np.sin(x / 15 + t / 5 + c) * np.cos(y / 12 - c) for c in range(3)]
    return np.stack(waves, -1).transpose(2, 0, 1, 3).astype(np.uint8)


def make(path, pictures, pts, base=Fraction(1, 1000), durations=None):
    """A video with these times, written without dfjax."""
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('libx264', rate=25, options={'crf': '5', 'bf': '0'})
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt, stream.codec_context.time_base = 'yuv420p', base
        last = dict(zip(pts, durations or [40] * len(pts), strict=True))
        packets = []
        for picture, at in zip(pictures, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            frame.pts, frame.time_base = at, base
            packets += stream.encode(frame)
        for packet in packets + stream.encode(None):
            packet.duration = last[packet.pts]
            out.mux(packet)
    return path


def chirp(rate, seconds=2.0):
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * (200 * t + 300 * t**2)) * (t > 0.3)).astype(np.float32)


def make_with_sound(path, codec, want, rate):
    """A video of 25 frames a second with this sound [T] in both channels, written without dfjax."""
    with av.open(str(path), 'w') as out:
        video = out.add_stream('mpeg4', rate=25)
        video.height, video.width, video.pix_fmt = 48, 64, 'yuv420p'
        options = {'strict': 'experimental'} if codec in ('vorbis', 'opus') else {}
        sound = out.add_stream(codec, rate=rate, layout='stereo', options=options)
        for picture in scene(25 * len(want) // rate):
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format='rgb24')))
        out.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(np.stack([want, want]), format='fltp', layout='stereo')
        frame.sample_rate, frame.pts = rate, 0
        resampler = av.AudioResampler(sound.format.name, 'stereo', rate, sound.codec_context.frame_size or None)
        for part in resampler.resample(frame) + resampler.resample(None):
            out.mux(sound.encode(part))
        out.mux(sound.encode(None))
    return path


def times(path):
    with av.open(str(path)) as file:
        return [(frame.time, float(frame.duration * frame.time_base)) for frame in file.decode(video=0)]


def sound_packets(path):
    with av.open(str(path)) as file:
        return [(p.pts, p.dts, bytes(p)) for p in file.demux(audio=0) if p.dts is not None]


def decoded_sound(path, rate):
    with av.open(str(path)) as file:
        to = av.AudioResampler('fltp', 'mono', rate)
        frames = [f for frame in file.decode(audio=0) for f in to.resample(frame)] + to.resample(None)
        return round(frames[0].time * rate), np.concatenate([f.to_ndarray()[0] for f in frames])


def assert_same_sound(path, want, rate):
    start, got = decoded_sound(path, rate)
    got = np.concatenate([np.zeros(max(start, 0), np.float32), got[max(-start, 0) :]])[: len(want)]
    shifts = np.arange(-1200, 1201)
    match = [np.dot(np.roll(got, -s), want[: len(got)]) for s in shifts]
    assert abs(shifts[int(np.argmax(match))]) <= 2  # in samples: lips and sound stay together
    assert np.corrcoef(got, want[: len(got)])[0, 1] > 0.98


def frames_of(path):
    """uint8 RGB frames of a GIF, WebP or video, and whether it plays for ever."""
    if path.suffix == '.mp4':
        return [rgb for _, _, rgb in read_frames(path)], None
    done, animation = cv2.imreadanimation(str(path))
    assert done
    return [frame[..., 2::-1] for frame in animation.frames], animation.loop_count == 0


def psnr(a, b):
    return 10 * np.log10(255**2 / max(1e-9, np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)))

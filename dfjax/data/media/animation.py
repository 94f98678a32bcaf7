"""Moving pictures without sound: GIF with a palette of its own, WebP, or H.264, by the name."""

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from dfjax.data.media.encode import WRITTEN_SUFFIXES, VideoWriter
from dfjax.data.media.output import atomic_path
from dfjax.errors import WriteError

ANIMATION_SUFFIXES = ('.gif', '.webp', *WRITTEN_SUFFIXES)


def write_animation(path: Path | str, frames: Iterable[np.ndarray], fps: int = 25, force: bool = False) -> None:
    """Writes uint8 RGB frames, all [H, W, 3], whole or not at all; GIF and WebP play for ever.

    Frames are taken one by one. A GIF's palette is that of all of them, so that they wait until the last is seen.

    Raises:
        WriteError: another suffix, or as `atomic_path`.
    """
    path, frames = Path(path), iter(frames)
    first = next(frames)
    (height, width), frames = first.shape[:2], itertools.chain([first], frames)
    if path.suffix.lower() in WRITTEN_SUFFIXES:
        with VideoWriter(path, fps, (width, height), force=force) as writer:
            for frame in frames:
                writer.write(frame)
        return
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        raise WriteError(path, f'an animation is written as {", ".join(ANIMATION_SUFFIXES)}; change the name')
    import av

    gif = path.suffix.lower() == '.gif'
    with atomic_path(path, force) as part, av.open(str(part.absolute()), 'w', options={'loop': '0'}) as output:
        stream = output.add_stream('gif' if gif else 'libwebp_anim', rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, 'pal8' if gif else 'yuv420p'
        if not gif:
            stream.options = {'quality': '90'}
        pictures = (av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24') for frame in frames)
        for picture in _with_palette(pictures, width, height, fps) if gif else pictures:
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def _with_palette(pictures: Iterable, width: int, height: int, fps: int) -> Iterator:
    """The pictures in the 256 colours that suit them all best."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format='rgb24', time_base=Fraction(1, fps))
    split, make, use = graph.add('split'), graph.add('palettegen'), graph.add('paletteuse')
    sink = graph.add('buffersink')
    for one, other, *pads in ((source, split), (split, make, 0, 0), (split, use, 1, 0), (make, use, 0, 1), (use, sink)):
        one.link_to(other, *pads)
    graph.configure()
    count = 0
    for count, picture in enumerate(pictures, 1):
        picture.pts, picture.time_base = count - 1, Fraction(1, fps)
        source.push(picture)
    source.push(None)
    for _ in range(count):
        yield sink.pull()

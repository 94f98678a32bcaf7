"""What a video of high dynamic range says of the display that it was graded on (SMPTE ST 2086) and of its light."""

import struct
from collections.abc import Mapping

PLACES, LIGHT = 50_000, 10_000  # steps in 1 of a chromaticity, and in 1 cd/m^2: HEVC's units


def x265_words(beside: Mapping) -> tuple[str, ...]:
    """What x265 is told, by the side data of a decoded PyAV frame: of those facts that it has.

    FFmpeg's structures: red, green, blue and white, each as x and y, the darkest and the brightest light, all as
    fractions of two int32, then whether colours and light are given; and the most light of a pixel and of a frame,
    uint32.
    """
    words = []
    display, light = (beside.get(name) for name in ('MASTERING_DISPLAY_METADATA', 'CONTENT_LIGHT_LEVEL'))
    if display is not None and len(raw := bytes(display)) >= 88:
        *parts, has_colours, has_light = struct.unpack('22i', raw[:88])
        values = [n / d if d else 0.0 for n, d in zip(parts[::2], parts[1::2])]
        places, (dark, bright) = [round(v * PLACES) for v in values[:8]], [round(v * LIGHT) for v in values[8:]]
        if has_colours and has_light and all(0 <= v <= PLACES for v in places) and 0 <= dark < bright < 2**32:
            red, green, blue, white = (f'({x},{y})' for x, y in zip(places[::2], places[1::2]))
            words.append(f'master-display=G{green}B{blue}R{red}WP{white}L({bright},{dark})')
    if light is not None and len(raw := bytes(light)) >= 8:
        pixel, whole = struct.unpack('2I', raw[:8])
        if max(pixel, whole) < 2**16:
            words.append(f'max-cll={pixel},{whole}')
    return tuple(words)

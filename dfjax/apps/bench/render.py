"""`dfjax bench render`: heads a second that the renderer draws."""

import time


def run(size: int = 256, frames: int = 300, repeats: int = 3) -> dict:
    """Times `render` of one person who talks: by all cores, whose processes are started anew each time.

    Returns:
        {'frames', 'size', 'fps'}, of the fastest time.
    """
    from dfjax.data.render import animate, random_identity, render

    who, how, times = random_identity(0), animate(0, frames), []
    for _ in range(repeats):
        start = time.perf_counter()
        render(who, how, size)
        times.append(time.perf_counter() - start)
    return {'frames': frames, 'size': size, 'fps': round(frames / min(times), 1)}

"""Measures the studio's page as a newcomer meets it: in Chromium, on rendered people. It is not a test.

    python tests/studio_figures.py [swap] [frame] [upload] [--pictures FOLDER]

swap: from `git clone` of this repository to the first swapped picture, with nothing compiled before, and the first
paint. frame: "See this frame swapped" while a run trains, and of the run at rest. upload: how much memory the server
and its children take more while 500 MB come in. Each prints a line of JSON; `--pictures` keeps what the page showed.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

from studio_browser import CHROMIUM

ROOT = Path(__file__).parents[1]
PATIENCE = 170_000  # milliseconds for one thing to happen
SIZE = 500 << 20  # bytes of the upload
LOOKS = 4  # frames asked for of an opened run
TICK = 0.02  # seconds between looks at the memory


class Studio:
    """A studio of a source tree, started as a person would with nothing compiled, and the page in Chromium.

    Attributes:
        seconds: what has been measured, by name; counted from `began`.
    """

    def __init__(self, stack: contextlib.ExitStack, pictures: Path | None):
        from playwright.sync_api import sync_playwright

        self.pictures, self.seconds = pictures, {}
        self.place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='dfjax-page-')))
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        stack.callback(browser.close)
        self.page = browser.new_page(viewport={'width': 1280, 'height': 900})
        self.page.set_default_timeout(PATIENCE)
        self.began = time.monotonic()
        subprocess.run(['git', 'clone', '-q', str(ROOT), str(self.place / 'dfjax')], check=True)
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'dfjax.apps.cli', 'studio', '--port', '0', '--no-browser'],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            cwd=self.place,
            env=os.environ | {'PYTHONPATH': str(self.place / 'dfjax'), 'XDG_CACHE_HOME': str(self.place / 'cache')},
        )
        stack.callback(self.process.wait, 60)
        stack.callback(self.process.send_signal, signal.SIGINT)
        self.url = re.search(r'http://\S+', self.process.stderr.readline())[0]
        self.note('address')

    def note(self, name: str) -> None:
        """A moment that the person sees."""
        self.seconds[name] = round(time.monotonic() - self.began, 1)
        if self.pictures:
            self.page.screenshot(path=self.pictures / f'{name}.png', full_page=True)

    def open(self) -> None:
        """From the address with the token to a page that can be used, its first paint by the browser's own clock."""
        asked = time.time()
        self.page.goto(self.url)
        self.page.wait_for_selector('button.big')
        self.seconds['form'] = round(time.time() - asked, 2)
        while not (paint := self.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")):
            time.sleep(0.02)
        self.seconds['paint'] = round(self.page.evaluate('performance.timeOrigin') / 1000 + paint / 1000 - asked, 2)
        self.note('page')

    def take_people(self) -> None:
        """The two rendered people, looked at."""
        self.page.click('text=No videos at hand')
        self.page.wait_for_selector('text=press Start')
        self.note('people')

    def frame(self, at: int, place: str = '') -> float:
        """Seconds until a frame of the video is seen swapped; `at`, of 1000."""
        shots = self.page.locator(f'{place} .frames img.after')
        before = shots.get_attribute('src') if shots.count() else None
        began = time.monotonic()
        self.page.locator(f'{place} .frames input[type=range] >> nth=0').fill(str(at))
        while not shots.count() or shots.get_attribute('src') == before or not shots.evaluate('e => e.naturalWidth'):
            assert time.monotonic() - began < PATIENCE / 1000, self.page.inner_text(f'{place} .frames')
            time.sleep(0.02)
        return round(time.monotonic() - began, 2)


def swap(studio: Studio) -> dict:
    studio.open()
    studio.take_people()
    studio.page.click('button.big')
    studio.page.wait_for_selector('article.card .tag:text-matches("^(done|failed)$")')
    video = studio.page.locator('.compare video.after')
    while video.evaluate('e => e.readyState') < 2:  # until it has a picture
        time.sleep(0.02)
    studio.note('swapped')
    return studio.seconds


def frame(studio: Studio) -> dict:
    page, places = studio.page, [100 + 200 * n for n in range(LOOKS)]
    studio.open()
    studio.take_people()
    page.click('.choices >> text=10 minutes')
    page.click('button.big')
    page.wait_for_selector('article.card img.sheet:visible')
    studio.note('training')
    figures = {'opening_beside_training': studio.frame(950)}
    figures['beside_training'] = [studio.frame(at) for at in places]
    studio.note('frame')
    page.click('article.card button:text-is("Stop")')
    page.wait_for_selector('article.card .tag:text-is("stopped")')
    page.click('#tab-runs')
    page.click('#form article.card summary')
    page.wait_for_selector('#form .frames button')
    figures['opening'] = studio.frame(950, '#form')
    figures['opened'] = [studio.frame(at, '#form') for at in places]
    studio.note('run')
    return figures | studio.seconds


def upload(studio: Studio) -> dict:
    """Megabytes more than before, while it comes and when it is then looked at: twice, for with the first comes the
    process that finds faces."""
    film, page = studio.place / 'film.mp4', studio.page
    write_film(film)
    figures: dict = {'mb': film.stat().st_size >> 20}
    for turn in ('first', 'second'):
        studio.open()
        page.wait_for_selector('option[value^=faceswap]', state='attached')  # the systems are known
        with Memory(studio.process.pid) as memory:
            page.set_input_files('.drop input >> nth=1', film)
            page.wait_for_selector('.file .working')
            sent = memory.most
            page.wait_for_selector('.file .poster')
        figures[turn] = {
            'before': memory.before,
            'sent': sent - memory.before,
            'looked_at': memory.most - memory.before,
        }
    studio.note('upload')
    return figures


class Memory:
    """The most memory that a process and its children hold while the block runs: `before` and `most`, in megabytes."""

    def __init__(self, process: int):
        self.process, self.end = process, threading.Event()
        self.before = self.most = self.held()

    def __enter__(self) -> 'Memory':
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.end.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.end.wait(TICK):
            self.most = max(self.most, self.held())

    def held(self) -> int:
        """Pages that several of them share are counted once (PSS)."""
        waiting, total = [self.process], 0
        while waiting:
            place = Path(f'/proc/{waiting.pop()}')
            with contextlib.suppress(OSError):  # it has ended
                total += int(re.search(r'^Pss: +(\d+)', (place / 'smaps_rollup').read_text(), re.M)[1])
                for task in (place / 'task').iterdir():
                    waiting += map(int, (task / 'children').read_text().split())
        return total >> 10


def write_film(path: Path) -> None:
    """A video of SIZE bytes in 4K, at the rate of a phone: a second of a rendered head in noise, again and again."""
    import av
    import cv2
    import numpy as np

    from dfjax.data.render import animate, random_identity, render

    heads, noise = render(random_identity(12), animate(12, 30), 512).image, np.random.default_rng(0)
    width, height = 3840, 2160
    left = (width - height) // 2
    with av.open(path.with_suffix('.second.mp4'), 'w') as out:
        stream = out.add_stream('libx264', 30, options={'preset': 'ultrafast', 'g': '30'})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, 'yuv420p', 60_000_000
        for head in heads:
            picture = np.full((height, width, 3), 90, np.uint8)
            picture[:, left : left + height] = cv2.resize(head, (height, height))
            grain = noise.integers(0, 12, picture.shape, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture + np.minimum(grain, 255 - picture), 'rgb24')))
        out.mux(stream.encode())
    with av.open(path.with_suffix('.second.mp4')) as second, av.open(path, 'w') as out:
        source, written, turn = second.streams.video[0], 0, 0
        stream = out.add_stream_from_template(source)
        while written < SIZE:
            second.seek(0)
            for packet in second.demux(source):
                if packet.size:
                    moved = round(Fraction(turn) / source.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + moved, packet.dts + moved, stream
                    written += packet.size
                    out.mux(packet)
            turn += 1


def main(words: list[str]) -> int:
    pictures = Path(words[words.index('--pictures') + 1]) if '--pictures' in words else None
    parts = {'swap': swap, 'frame': frame, 'upload': upload}
    for name in [word for word in words if word in parts] or parts:
        with contextlib.ExitStack() as stack:
            figures = parts[name](Studio(stack, pictures))
        print(json.dumps({name: figures, 'load': [round(load, 1) for load in os.getloadavg()]}), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

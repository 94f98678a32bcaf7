"""A studio and a Chromium that shows its page, for the tests of it. It is not a test."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
ROOT = Path(__file__).parents[1]
MOST = 3  # megabytes of an upload
PATIENCE = 60_000  # milliseconds for what decodes or renders
LONG = 240_000  # and for what trains
ABSENT = {
    'no playwright to drive a browser: pip install -e .[test]': find_spec('playwright') is None,
    "the studio's extra is not installed: pip install -e .[studio]": find_spec('starlette') is None,
    "no Chromium on this machine; Debian's package is `chromium`": CHROMIUM is None,
}
MARKS = [pytest.mark.browser, pytest.mark.whole]
MARKS += [pytest.mark.skipif(gone, reason=why) for why, gone in ABSENT.items()]


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """A studio that runs as a person would start it: its address, with the token, and its folder."""
    folder = tmp_path_factory.mktemp('studio')
    words = ['--folder', str(folder), '--port', '0', '--no-browser', '--max-upload', str(MOST)]
    process = subprocess.Popen(
        [sys.executable, '-m', 'dfjax.apps.cli', 'studio', *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
    )
    said = process.stderr.readline()
    url = re.search(r'http://\S+', said)
    assert url, said
    errors: list[str] = []
    threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True).start()
    yield SimpleNamespace(url=url[0], origin=url[0].partition('/?')[0], folder=folder)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not [line for line in errors if 'Traceback' in line], ''.join(errors)


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    """a.mp4, b.mp4: two rendered people; a.png, b.png: their first frames; two.png: both; voice.wav: half a second."""
    import numpy as np
    from scipy.io import wavfile

    from dfjax.data.media.encode import VideoWriter
    from dfjax.data.media.image import write_image
    from dfjax.data.render import animate, random_identity, render

    folder = tmp_path_factory.mktemp('clips')
    first = []
    for name, seed in (('a', 12), ('b', 27)):
        frames = render(random_identity(seed), animate(seed, 12), 192).image
        first.append(frames[0])
        write_image(folder / f'{name}.png', frames[0])
        with VideoWriter(folder / f'{name}.mp4', 25, (192, 192)) as writer:
            for frame in frames:
                writer.write(frame)
    write_image(folder / 'two.png', np.concatenate(first, 1))
    time = np.arange(8000) / 16000  # seconds
    loud = np.sin(2 * np.pi * 4 * time) > 0  # four syllables a second
    wavfile.write(folder / 'voice.wav', 16000, (9000 * loud * np.sin(2 * np.pi * 140 * time)).astype(np.int16))
    return folder


@pytest.fixture(scope='module')
def chromium():
    """A browser that can reach this machine and nothing else."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        rules = '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1'
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', rules])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, served):
    """A function that opens the page, in a context with the options given; at the end nothing may have gone wrong in
    any, and none may have asked another host for anything."""
    contexts, wrong = [], []

    def one(tab='swap', context=None, **options):
        if context is None:
            context = chromium.new_context(**options)
            contexts.append(context)
        page = context.new_page()
        page.on('pageerror', lambda error: wrong.append(str(error)))
        page.on('console', lambda m: wrong.append(m.text) if 'Content Security Policy' in m.text else None)
        page.on('request', lambda r: None if r.url.startswith((served.origin, 'blob:')) else wrong.append(r.url))
        page.goto(served.url)
        page.wait_for_url(f'{served.origin}/*swap')
        page.click(f'#tab-{tab}')
        return page

    yield one
    for context in contexts:
        context.close()
    assert not wrong


def agree(page) -> None:
    """Starts, and says yes where it is asked: once for all tests, whichever comes first."""
    page.click('button.big >> nth=0')
    page.wait_for_selector('dialog[open], article.card')
    if page.locator('dialog[open]').count():
        page.click('dialog[open] >> text=Yes')


def until(true) -> None:
    """Waits. (Playwright's own way of it evaluates text in the page, which the page's policy forbids.)"""
    end = time.monotonic() + PATIENCE / 1000
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)

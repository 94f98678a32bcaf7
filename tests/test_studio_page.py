"""The studio's page in Chromium: what a person clicks, from an upload to a download. `pytest -m browser`."""

import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
playwright = pytest.importorskip(
    'playwright.sync_api', reason="no playwright to drive a browser: pip install -e '.[test]'"
)
pytest.importorskip('starlette', reason="the studio's extra is not installed: pip install -e '.[studio]'")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.whole,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; Debian's package is `chromium`"),
]

ROOT = Path(__file__).parents[1]
TABS = ('swap', 'animate', 'lipsync', 'edit', 'translate', 'runs', 'about')
MOST = 3  # megabytes of an upload
PATIENCE = 60_000  # milliseconds for what decodes or renders
LONG = 240_000  # and for what trains
# A tenth of a second of silence: PCM, one channel, 8 kHz, 16 bits
SONG = b'RIFF' + struct.pack('<I', 1636) + b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 8000, 16000, 2, 16)
SONG += b'data' + struct.pack('<I', 1600) + bytes(1600)


@pytest.fixture(scope='module')
def studio(tmp_path_factory):
    """One that runs as a person would start it: its address, with the token, and its folder."""
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
    """a.mp4, b.mp4: two rendered people; two.png: both of them."""
    import numpy as np

    from dfjax.data.media.encode import VideoWriter
    from dfjax.data.media.image import write_image
    from dfjax.data.render import animate, random_identity, render

    folder = tmp_path_factory.mktemp('clips')
    first = []
    for name, seed in (('a', 12), ('b', 27)):
        frames = render(random_identity(seed), animate(seed, 12), 192).image
        first.append(frames[0])
        with VideoWriter(folder / f'{name}.mp4', 25, (192, 192)) as writer:
            for frame in frames:
                writer.write(frame)
    write_image(folder / 'two.png', np.concatenate(first, 1))
    return folder


@pytest.fixture(scope='module')
def chromium():
    """A browser that can reach this machine and nothing else."""
    with playwright.sync_playwright() as driver:
        rules = '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1'
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', rules])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, studio):
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
        page.on('request', lambda r: None if r.url.startswith((studio.origin, 'blob:')) else wrong.append(r.url))
        page.goto(studio.url)
        page.wait_for_url(f'{studio.origin}/*swap')
        page.click(f'#tab-{tab}')
        return page

    yield one
    for context in contexts:
        context.close()
    assert not wrong


def file_of(data: bytes, name: str) -> dict:
    return {'name': name, 'mimeType': 'application/octet-stream', 'buffer': data}


def test_the_address_with_the_token_is_all_it_takes(opened, studio, chromium):
    page = opened()
    assert 'token' not in page.url
    cookies = page.context.cookies()
    assert [(c['httpOnly'], c['sameSite']) for c in cookies] == [(True, 'Strict')]
    stranger = chromium.new_context().new_page()
    assert stranger.goto(studio.origin).status == 401
    stranger.context.close()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [390, 1280])
def test_every_tab_fits_and_can_be_read(opened, width, scheme):
    """Nothing is wider than the page; text stands out by a contrast of 4.5 or more (WCAG 2.2, 1.4.3)."""
    page = opened(viewport={'width': width, 'height': 800}, color_scheme=scheme)
    for tab in TABS:
        page.click(f'#tab-{tab}')
        page.wait_for_timeout(100)
        assert page.get_attribute(f'#tab-{tab}', 'aria-selected') == 'true'
        assert page.evaluate('document.documentElement.scrollWidth') <= width, tab
        assert page.inner_text('#form').strip()
    ratio = page.evaluate(
        """() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
          const hex = style.getPropertyValue(name).trim().replace('#', '');
          const full = hex.length === 3 ? [...hex].map((c) => c + c).join('') : hex;
          const [r, g, b] = [0, 2, 4].map((n) => parseInt(full.slice(n, n + 2), 16) / 255)
            .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const pairs = [['--text', '--card'], ['--text', '--ground'], ['--dim', '--card'], ['--dim', '--ground'],
          ['--bad', '--card'], ['--good', '--soft'], ['--accent', '--card'], ['--on-accent', '--accent']];
        return Math.min(...pairs.map(([a, b]) => {
          const [x, y] = [light(a), light(b)].sort();
          return (y + 0.05) / (x + 0.05);
        }));
      }"""
    )
    assert ratio >= 4.5


def test_all_of_it_can_be_reached_by_keyboard(opened):
    page = opened()
    page.focus('#tab-swap')
    page.keyboard.press('ArrowRight')
    assert page.get_attribute('#tab-animate', 'aria-selected') == 'true'
    page.keyboard.press('End')
    assert page.get_attribute('#tab-about', 'aria-selected') == 'true'
    page.keyboard.press('Home')
    reached = set()
    for _ in range(20):
        page.keyboard.press('Tab')
        reached.add(page.evaluate('`${document.activeElement.tagName} ${document.activeElement.type || ""}`'))
    assert {'INPUT file', 'INPUT radio', 'BUTTON submit', 'SUMMARY '} <= reached
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input, select, button')].filter((e) => e.offsetParent
        && !e.labels?.length && !e.getAttribute('aria-label') && !e.textContent.trim()).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize(
    ('data', 'name', 'said'),
    [
        (b'<html>no film</html>', 'film.mp4', 'neither a picture, nor a video, nor a sound'),
        (b'\0\0\0\x18ftypisom' + bytes(2000), 'cut.mp4', 'cut short'),
        (SONG, 'song.wav', 'give a video or a picture'),
        (bytes((MOST << 20) + 1), 'large.mp4', 'at most'),
    ],
    ids=['no film', 'cut short', 'a sound', 'too large'],
)
def test_a_wrong_file_is_refused_in_words(opened, studio, data, name, said):
    page = opened()
    page.set_input_files('.drop input >> nth=1', file_of(data, name))
    page.wait_for_selector(f'[role=alert]:has-text("{said}")', timeout=PATIENCE)
    page.click('button.big')
    page.wait_for_selector('[role=alert]:has-text("first")')  # and nothing starts without it


def test_names_are_text_and_no_paths(opened, studio, clips):
    page = opened()
    data = (clips / 'two.png').read_bytes()
    page.set_input_files('.drop input >> nth=0', file_of(data, '../../<img src=x onerror=alert(1)>.png'))
    page.wait_for_selector('.file .poster', timeout=PATIENCE)
    shown = page.inner_text('.file .name')
    assert '<img src=x onerror=alert(1)>.png' in shown and '..' not in shown
    assert page.locator('.file img[src="x"]').count() == 0
    assert page.locator('.people img').count() == 2  # who of them is meant can be clicked
    outside = [path for path in studio.folder.parent.rglob('*onerror*')]
    assert not outside


def test_two_pages_see_one_queue_and_either_can_stop_it(opened, studio, clips):
    first = opened('translate')
    second = opened('translate', context=first.context)
    first.set_input_files('.drop input >> nth=0', clips / 'two.png')
    first.wait_for_selector('.file .poster', timeout=PATIENCE)
    first.click('button.big >> nth=0')
    first.wait_for_selector('dialog[open]')
    first.click('dialog[open] >> text=No')
    first.wait_for_selector('[role=alert]:has-text("consent")')
    assert second.locator('article.card').count() == 0
    first.click('button.big >> nth=0')
    first.click('dialog[open] >> text=Yes')
    second.bring_to_front()
    second.wait_for_selector('article.card button:has-text("Stop")', timeout=PATIENCE)
    second.click('article.card button:has-text("Stop")')
    for page in (second, first):
        page.bring_to_front()
        page.wait_for_selector('article.card .tag:text-is("stopped")', timeout=PATIENCE)
    assert not list(studio.folder.glob('stylize-*.png'))
    first.click('article.card >> text=Take off the list')
    first.wait_for_selector('.empty', timeout=PATIENCE)


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


@pytest.mark.slow
def test_a_swap_from_upload_to_download(opened, studio, clips, tmp_path):
    """With the smallest net: watched, reloaded, used before its time, downloaded, gone on with, stopped, deleted."""
    from dfjax.data.media.video import probe

    page = opened()
    page.set_input_files('.drop input >> nth=0', clips / 'b.mp4')
    page.set_input_files('.drop input >> nth=1', clips / 'a.mp4')
    page.wait_for_selector('.file .poster >> nth=1', timeout=PATIENCE)
    page.click('.choices >> text=10 minutes')
    page.click('summary:has-text("More")')
    page.wait_for_selector('option[value="faceswap:smoke"]', state='attached', timeout=PATIENCE)
    page.select_option('select >> nth=0', 'faceswap:smoke')
    agree(page)
    page.wait_for_selector('article.card img.sheet:visible', timeout=LONG)
    page.wait_for_selector('article.card svg.curve', timeout=LONG)
    page.click('text=See this frame swapped')
    page.wait_for_selector('.frames p:has-text("shown in")', timeout=LONG)
    page.reload()  # a closed browser does not stop it
    page.wait_for_selector('article.card .tag:text-is("at work")', timeout=PATIENCE)
    page.click('article.card >> text=Use it now')
    page.wait_for_selector('article.card .tag:text-is("done")', timeout=LONG)
    until(lambda: page.evaluate("document.querySelector('.compare video.after').readyState > 1"))
    page.fill('.compare input', '20')
    assert page.evaluate("document.querySelector('.compare').style.getPropertyValue('--at')") == '20%'
    with page.expect_download() as download:
        page.click('article.card >> text=Download')
    download.value.save_as(tmp_path / 'out.mp4')
    assert (probe(tmp_path / 'out.mp4').frames, probe(tmp_path / 'out.mp4').size) == (12, (192, 192))
    assert (studio.folder / 'swap-1.mp4').read_bytes() == (tmp_path / 'out.mp4').read_bytes()
    assert 'agree' in (studio.folder / 'swap-1.mp4.run/consent.txt').read_text()
    page.click('article.card >> text=Train 10 minutes more')
    page.wait_for_selector('article.card .hint:has-text("Training")', timeout=LONG)
    time.sleep(3)
    page.click('article.card button:text-is("Stop")')
    page.wait_for_selector('article.card .tag:text-is("stopped")', timeout=LONG)
    page.click('#tab-runs')
    page.click('article.card summary')
    page.wait_for_selector('article.card svg.curve')
    page.click('article.card >> text=Delete')
    page.click('dialog[open] >> text=Keep')
    assert (studio.folder / 'swap-1.mp4.run').is_dir()
    page.click('article.card >> text=Delete')
    page.click('dialog[open] button.danger')
    page.wait_for_selector('.empty:has-text("No run")', timeout=PATIENCE)
    assert not (studio.folder / 'swap-1.mp4.run').exists() and (studio.folder / 'swap-1.mp4').exists()

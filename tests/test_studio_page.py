"""The studio's page in Chromium: what a person clicks, from an upload to a download. `pytest -m browser`."""

import struct
import time

import pytest
from studio_browser import LONG, MARKS, MOST, PATIENCE, agree, until

pytestmark = MARKS
TABS = ('swap', 'animate', 'lipsync', 'edit', 'translate', 'runs', 'about')
# A tenth of a second of silence: PCM, one channel, 8 kHz, 16 bits
SONG = b'RIFF' + struct.pack('<I', 1636) + b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 8000, 16000, 2, 16)
SONG += b'data' + struct.pack('<I', 1600) + bytes(1600)


def file_of(data: bytes, name: str) -> dict:
    return {'name': name, 'mimeType': 'application/octet-stream', 'buffer': data}


def test_the_address_with_the_token_is_all_it_takes(opened, served, chromium):
    page = opened()
    assert 'token' not in page.url
    cookies = page.context.cookies()
    assert [(c['httpOnly'], c['sameSite']) for c in cookies] == [(True, 'Strict')]
    stranger = chromium.new_context().new_page()
    assert stranger.goto(served.origin).status == 401
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
def test_a_wrong_file_is_refused_in_words(opened, served, data, name, said):
    page = opened()
    page.set_input_files('.drop input >> nth=1', file_of(data, name))
    page.wait_for_selector(f'[role=alert]:has-text("{said}")', timeout=PATIENCE)
    page.click('button.big')
    page.wait_for_selector('[role=alert]:has-text("first")')  # and nothing starts without it


def test_names_are_text_and_no_paths(opened, served, clips):
    page = opened()
    data = (clips / 'two.png').read_bytes()
    page.set_input_files('.drop input >> nth=0', file_of(data, '../../<img src=x onerror=alert(1)>.png'))
    page.wait_for_selector('.file .poster', timeout=PATIENCE)
    shown = page.inner_text('.file .name')
    assert '<img src=x onerror=alert(1)>.png' in shown and '..' not in shown
    assert page.locator('.file img[src="x"]').count() == 0
    assert page.locator('.people img').count() == 2  # who of them is meant can be clicked
    outside = [path for path in served.folder.parent.rglob('*onerror*')]
    assert not outside


def test_two_pages_see_one_queue_and_either_can_stop_it(opened, served, clips):
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
    assert not list(served.folder.glob('stylize-*.png'))
    first.click('article.card >> text=Take off the list')
    first.wait_for_selector('.empty', timeout=PATIENCE)


@pytest.mark.slow
def test_a_swap_from_upload_to_download(opened, served, clips, tmp_path):
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
    assert (served.folder / 'swap-1.mp4').read_bytes() == (tmp_path / 'out.mp4').read_bytes()
    assert 'agree' in (served.folder / 'swap-1.mp4.run/consent.txt').read_text()
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
    assert (served.folder / 'swap-1.mp4.run').is_dir()
    page.click('article.card >> text=Delete')
    page.click('dialog[open] button.danger')
    page.wait_for_selector('.empty:has-text("No run")', timeout=PATIENCE)
    assert not (served.folder / 'swap-1.mp4.run').exists() and (served.folder / 'swap-1.mp4').exists()

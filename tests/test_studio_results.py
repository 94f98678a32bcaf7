"""Jobs of the studio's page in Chromium, each from its form to its result, by nets that have learnt nothing yet."""

import numpy as np
import pytest
from studio_browser import LONG, MARKS, PATIENCE

pytestmark = MARKS


@pytest.fixture(scope='module')
def runs(served):
    """The studio's folder, with a run of each kind; all agree."""
    from untrained import untrained

    from dfjax.apps.studio.store import HIDDEN, Consent

    for name in ('faceswap', 'gan', 'pix2pix', 'style'):
        untrained(served.folder / name, name)
    untrained(served.folder / 'vae', 'vae', **{'data.source': 'render:people:1:24'})
    Consent(served.folder / HIDDEN).give()
    return served.folder


def given(form, *files) -> None:
    """Gives a file to each of a form's places, and waits until all have been looked at."""
    for n, file in enumerate(files):
        form.locator('input[type=file]').nth(n).set_input_files(file)
    form.locator('.file :is(.poster, audio)').nth(len(files) - 1).wait_for(timeout=PATIENCE)


def done(page, title: str):
    """The card of a job that has ended well."""
    card = page.locator(f'article.card:has(h3:text-is("{title}"))')
    card.locator('.tag:text-matches("^(done|failed)$")').wait_for(timeout=LONG)
    assert card.locator('.tag').inner_text() == 'done', card.inner_text()
    return card


def downloaded(page, card, folder):
    """What a card's Download gives, under the name that it proposes."""
    with page.expect_download() as download:
        card.locator('text=Download').click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_face_says_a_sound(opened, runs, clips, tmp_path):
    import av

    page = opened('lipsync')
    given(page.locator('form'), clips / 'a.mp4', clips / 'voice.wav')
    page.click('button.big')
    card = done(page, 'a.mp4 says voice.wav')
    card.locator('.compare video.after').wait_for()
    with av.open(downloaded(page, card, tmp_path)) as made:
        assert (made.streams.video[0].frames, made.streams.video[0].width) == (12, 192)
        assert made.streams.audio[0].duration


def test_attributes_are_tried_by_sliders_and_given_to_the_file(opened, runs, clips, tmp_path):
    from dfjax.data.media.image import read_image

    page = opened('edit')
    form = page.locator('form:has-text("Change attributes")')
    form.locator('label:text-is("smile")').wait_for(timeout=LONG)
    given(form, clips / 'a.png')
    form.get_by_label('smile').fill('2')
    form.locator('.compare').wait_for(timeout=LONG)  # seen before anything is written
    assert not list(runs.glob('edit-*'))
    form.locator('button.big').click()
    card = done(page, 'a.png: smile')
    assert 'train it longer' in card.inner_text()
    made = read_image(downloaded(page, card, tmp_path))
    assert made.shape == (192, 192, 3) and (made != read_image(clips / 'a.png')).any()


def test_pictures_become_one_another(opened, runs, clips, tmp_path):
    page = opened('edit')
    form = page.locator('form:has-text("Morph")')
    form.wait_for(timeout=LONG)
    form.locator('input[type=file]').set_input_files([clips / 'a.png', clips / 'b.png'])
    form.locator('.file .poster').nth(1).wait_for(timeout=PATIENCE)
    form.locator('text=GIF').click()
    form.locator('button.big').click()
    card = done(page, 'a.png and 1 more')
    assert card.locator('img.single').evaluate('image => image.decode().then(() => image.naturalWidth)') == 256
    assert downloaded(page, card, tmp_path).read_bytes()[:4] == b'GIF8'


def test_pictures_are_translated_and_repainted(opened, runs, clips, tmp_path):
    from dfjax.data.media.image import read_image

    page = opened('translate')
    translate, repaint = page.locator('form:has-text("Translate")'), page.locator('form:has-text("Repaint")')
    translate.wait_for(timeout=LONG)
    given(translate, clips / 'a.png')
    translate.locator('button.big').click()
    assert read_image(downloaded(page, done(page, 'a.png'), tmp_path)).shape == (192, 192, 3)
    repaint.locator('input[type=file]').first.set_input_files(clips / 'b.png')
    repaint.locator('.file .poster').wait_for(timeout=PATIENCE)
    repaint.locator('text="A trained run"').click()
    repaint.locator('button.big').click()
    assert read_image(downloaded(page, done(page, 'b.png'), tmp_path)).shape == (192, 192, 3)


def test_the_face_is_laid_in_as_the_frame_was_tried(opened, runs, clips, tmp_path):
    """The merger's settings: what one frame shows is what the whole video gets."""
    from dfjax.data.media.image import read_image
    from dfjax.data.media.video import read_frames

    page = opened('runs')
    run = page.locator('article.card:has(h3:text-is("faceswap"))')
    run.locator('summary').click()
    given(run, clips / 'a.mp4')

    def tried() -> np.ndarray:
        """The frame as it is shown now."""
        with page.expect_response('**/api/frame', timeout=LONG) as answer:
            run.locator('text=See this frame swapped').click()
        assert answer.value.ok, answer.value.text()
        which = run.locator('.compare img.after').get_attribute('src').split('?')[0].rsplit('/')[-1]
        return read_image(runs / f'.studio/shots/{which}.jpg')

    usual = tried()
    run.locator('summary:has-text("How the face is laid in")').click()
    run.get_by_label('How it is laid in').select_option('raw')
    raw = tried()
    assert (usual != raw).mean() > 0.2
    run.locator('text=Swap all of it like this').click()
    card = done(page, 'faceswap into a.mp4')
    assert '--mode=raw' in card.locator('pre').text_content()
    frames = [rgb for _, _, rgb in read_frames(downloaded(page, card, tmp_path))]
    near = min(np.abs(rgb.astype(int) - raw).mean() for rgb in frames)
    assert len(frames) == 12 and near < np.abs(raw.astype(int) - usual).mean() / 4


def test_a_net_is_exported(opened, runs, tmp_path):
    from dfjax.inference.export import load_exported

    page = opened('runs')
    run = page.locator('article.card:has(h3:text-is("gan"))')
    run.locator('summary').click()
    run.locator('text=Export …').click()
    run.get_by_label('which net').select_option('generator', timeout=LONG)
    run.locator('text=Export this net').click()
    net = load_exported(downloaded(page, done(page, 'gan: generator'), tmp_path))
    assert list(net.outputs.values()) == ['b,32,32,3']

"""Folders as people have them: one odd file, folders in folders, transparency; nothing of it stops the rest."""

import cv2
import numpy as np
import pytest
from PIL import Image

from dfjax.apps.cli import main
from dfjax.apps.extract import extract_faces
from dfjax.apps.stylize import stylize
from dfjax.data.faces.face import Face
from dfjax.data.faces.faceset import load_faceset
from dfjax.data.media.image import over_white, read_image, read_picture, write_image
from dfjax.data.media.inputs import iter_frames, media_files
from dfjax.data.media.video import VideoWriter
from dfjax.errors import InputError, ReadError
from dfjax.inference.frames import FaceJob, Job, run_job
from dfjax.inference.plan import plan_outputs

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def darker(pictures: list[np.ndarray]) -> list[np.ndarray]:
    return [picture // 2 for picture in pictures]


@pytest.fixture
def nested(tmp_path):
    """Two good pictures, one of them in a folder of a folder, an empty one, a hidden one, and notes."""
    folder = tmp_path / 'in'
    write_image(folder / '1.png', PICTURE)
    write_image(folder / 'holiday' / 'day 2' / '1.png', PICTURE[::-1])
    write_image(folder / '.thumbnails' / '1.png', PICTURE)
    (folder / 'holiday' / '0.jpg').touch()
    (folder / 'notes.txt').write_text('no picture')
    return folder


def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path, capsys):
    folder = tmp_path / 'in'
    for n in (1, 3):
        write_image(folder / f'{n}.png', PICTURE)
    (folder / '0.jpg').touch()
    (folder / '2.png').write_bytes((folder / '1.png').read_bytes()[:300])
    with VideoWriter(folder / '4.mp4', 25, (64, 48)) as writer:
        for _ in range(30):
            writer.write(RNG.integers(0, 256, (48, 64, 3), np.uint8))
    (folder / '4.mp4').write_bytes((folder / '4.mp4').read_bytes()[:20_000])
    assert {name for *_, name in iter_frames(folder)} >= {'1.png', '3.png'}
    said = capsys.readouterr().err
    assert all(f'left out: {folder / name}: ' in said for name in ('0.jpg', '2.png', '4.mp4')) and said.count('\n') == 3
    skipped = {}
    assert [name for *_, name in iter_frames(folder, skipped=skipped) if name[1:] == '.png'] == ['1.png', '3.png']
    assert {path.name for path in skipped} == {'0.jpg', '2.png', '4.mp4'} and not capsys.readouterr().err
    with pytest.raises(ReadError, match='the file is empty'):
        list(iter_frames(folder / '0.jpg'))
    for name in ('1.png', '3.png'):
        (folder / name).unlink()
    with pytest.raises(ReadError, match='in: none of its 3 pictures and videos can be read'):
        list(iter_frames(folder))


def test_faces_of_a_folder_with_an_empty_picture(shared_data, tmp_path, capsys):
    pictures = sorted((shared_data / 'faces').glob('*.mp4'))
    from dfjax.data.media.video import read_frames

    _, _, face = next(read_frames(pictures[0]))
    write_image(tmp_path / 'in' / 'anna.jpg', cv2.resize(face, (320, 320)))
    (tmp_path / 'in' / 'empty.jpg').touch()
    report = extract_faces([tmp_path / 'in'], tmp_path / 'out', progress=False, workers=1)
    assert (report['faces'], report['frames'], report['skipped']) == (1, 1, 1)
    assert capsys.readouterr().err == f'left out: {tmp_path / "in" / "empty.jpg"}: the file is empty\n'
    assert load_faceset(tmp_path / 'out').rows[0].face.source == 'anna.jpg'


def test_folders_in_folders(nested, tmp_path, capsys):
    assert [path.name for path in media_files(nested)] == ['1.png']
    deep = [path.relative_to(nested).as_posix() for path in media_files(nested, recursive=True)]
    assert deep == ['1.png', 'holiday/0.jpg', 'holiday/day 2/1.png']
    with pytest.raises(ReadError, match='holds no picture and no video; its folders do: pass --recursive'):
        media_files(nested.parent)
    names = [name for *_, name in iter_frames(nested, recursive=True)]
    assert names == ['1.png', 'holiday/day 2/1.png']
    job = Job('made darker', 'none', darker)
    report = run_job(job, plan_outputs(nested, tmp_path / 'out', recursive=True))
    assert (report['frames'], report['skipped']) == (2, 1)
    np.testing.assert_array_equal(read_image(tmp_path / 'out' / 'holiday' / 'day 2' / '1.png'), PICTURE[::-1] // 2)
    np.testing.assert_array_equal(read_image(tmp_path / 'out' / '1.png'), PICTURE // 2)
    for verb in ('extract', 'convert', 'translate', 'stylize'):
        with pytest.raises(SystemExit):
            main([verb, '--help'])
        assert '--recursive' in capsys.readouterr().out


def test_faces_of_files_of_one_name_are_told_apart(nested, tmp_path):
    """Both pictures are called 1.png."""
    face = Face('holiday/day 2/1.png', 0, 0.0, (0.0, 0.0, 9.0, 9.0), 1.0, np.zeros((68, 2), np.float32))
    seen = []

    def change(pictures, faces):
        seen.extend(map(len, faces))
        return pictures

    job = FaceJob('unchanged', 'none', change, [face], root=nested)
    run_job(job, plan_outputs(nested, tmp_path / 'out', recursive=True))
    assert seen == [0, 1] and job.counts['changed'] == 1


def test_a_video_among_pictures_to_be_painted_is_left_out(tmp_path, capsys):
    write_image(tmp_path / 'in' / '1.png', PICTURE)
    frames = [Image.fromarray(np.roll(PICTURE, n, 1)) for n in range(3)]
    frames[0].save(tmp_path / 'in' / 'dance.gif', save_all=True, append_images=frames[1:])
    report = stylize(tmp_path / 'in', 'pattern:mosaic', tmp_path / 'out', size=32, steps=1, progress=False)
    assert (report['frames'], report['skipped']) == (1, 1)
    assert f'left out: {tmp_path / "in" / "dance.gif"}: is a video; train a run' in capsys.readouterr().err
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['1.png']
    with pytest.raises(InputError, match=r'dance\.gif: is a video'):
        stylize(tmp_path / 'in' / 'dance.gif', 'pattern:mosaic', tmp_path / 'a.gif', progress=False)
    (tmp_path / 'in' / '1.png').unlink()
    with pytest.raises(InputError, match=r'dance\.gif: is a video'):
        stylize(tmp_path / 'in', 'pattern:mosaic', tmp_path / 'other', progress=False)


# Transparency


def shape(height: int = 24, width: int = 32) -> np.ndarray:
    """A disc that fades at its edge, black where nothing is seen: RGBA."""
    y, x = np.mgrid[:height, :width]
    alpha = np.clip(10 - np.hypot(y - height / 2, x - width / 2), 0, 1)
    return np.dstack([np.where(alpha[..., None] > 0, PICTURE[:height, :width], 0), np.uint8(255 * alpha)])


@pytest.mark.parametrize('large', [False, True])
def test_transparency_is_kept(large, tmp_path, capsys):
    clear = shape()
    Image.fromarray(clear).save(tmp_path / 'in.png')
    seen = []

    def change(pictures):
        seen.extend(pictures)
        return [cv2.resize(p, None, fx=2, fy=2) for p in pictures] if large else darker(pictures)

    run_job(Job('changed', 'none', change), plan_outputs(tmp_path / 'in.png', tmp_path / 'out.png'))
    rgb, alpha = read_picture(tmp_path / 'out.png')
    hidden = clear[..., 3] == 0
    assert (seen[0][hidden] == 255).all() and (seen[0][~hidden] == clear[~hidden][:, :3]).all()
    if large:
        assert alpha.shape == (48, 64) and np.abs(alpha[::2, ::2].astype(int) - clear[..., 3]).mean() < 8
    else:
        np.testing.assert_array_equal(alpha, clear[..., 3])
        np.testing.assert_array_equal(rgb[~hidden], clear[~hidden][:, :3] // 2)
    assert not capsys.readouterr().err


def test_transparency_that_the_output_cannot_hold_is_said(tmp_path, capsys):
    clear = shape()
    for n, mode in enumerate(('RGBA', 'LA', 'P')):
        Image.fromarray(clear).convert(mode).save(tmp_path / f'{n}.png')
    plan = plan_outputs(tmp_path / '0.png', tmp_path / 'out.jpg')
    run_job(Job('unchanged', 'none', lambda pictures: pictures), plan)
    assert 'out.jpg: transparency is laid over white; name the output .png to keep it' in capsys.readouterr().err
    flat = over_white(clear[..., :3], clear[..., 3])
    assert np.abs(read_image(tmp_path / 'out.jpg').astype(int) - flat).mean() < 12
    run_job(
        Job('unchanged', 'none', lambda pictures: pictures), plan_outputs(tmp_path / '1.png', tmp_path / 'grey.png')
    )
    np.testing.assert_array_equal(read_picture(tmp_path / 'grey.png')[1], clear[..., 3])

"""Parts of pictures made anew under a mask: by `inference.pictures.Part`, and by `sample` with a run not trained."""

import cv2
import numpy as np
import pytest
from untrained import smooth_picture, untrained

from dfjax.apps.sample import sample
from dfjax.data.media.credentials import read_credentials
from dfjax.data.media.image import read_image, squared, write_image
from dfjax.data.render import random_people, render
from dfjax.errors import InputError
from dfjax.inference.crops import Part

pytestmark = pytest.mark.whole

SIZE = 32


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp('run') / 'diffusion', 'diffusion', **{'data.source': 'render:people:1:24'})


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    """A rendered person to the right of the middle of a wide picture."""
    identity, motion, _ = random_people(11, 1)
    person = render(identity, motion, 256, 192).image[0]
    path = tmp_path_factory.mktemp('photo') / 'photo.png'
    write_image(path, cv2.copyMakeBorder(person, 0, 0, 200, 10, cv2.BORDER_REPLICATE))
    return path


def mask_of(path, shape, *places, value=255):
    """A mask that is white in these slices."""
    mask = np.zeros((*shape[:2], 3), np.uint8)
    for place in places:
        mask[place] = value
    write_image(path, mask)
    return str(path)


def test_a_middle_square_is_seen_and_put_back(tmp_path):
    whole = smooth_picture(96, 128)
    write_image(tmp_path / 'in.png', whole)
    part = Part(tmp_path / 'in.png', SIZE, None)
    np.testing.assert_array_equal(part.seen, squared(whole, SIZE))
    white, seen = part.masked(mask_of(tmp_path / 'mask.png', whole.shape, np.s_[:30, :50]))
    assert white.sum() == 30 * 50 and white[:30, :50].all()
    assert seen[:10, :11].all() and seen.sum() <= 11 * 13  # the 34 columns of it that are in the square, by thirds
    white = np.zeros((96, 128), bool)
    white[:60, :90] = True
    made = part.restored(255 - part.seen, white)
    np.testing.assert_array_equal(made[~white], whole[~white])
    np.testing.assert_array_equal(made[:40, :16], whole[:40, :16])  # outside the square
    assert np.abs(made[2:40, 36:70] - (255.0 - whole[2:40, 36:70])).mean() < 4  # away from the edges


def test_no_edge_shows_where_what_was_made_is_darker(tmp_path):
    whole = smooth_picture(96, 96)
    write_image(tmp_path / 'in.png', whole)
    part = Part(tmp_path / 'in.png', SIZE, None)
    white = np.zeros((96, 96), bool)
    white[24:72, 24:72] = True
    darker = np.clip(part.seen.astype(int) - 30, 0, 255).astype(np.uint8)
    made = part.restored(darker, white).astype(float)
    np.testing.assert_array_equal(made[~white], whole[~white])
    assert np.abs(made - whole)[24:26, 30:66].mean() < 6  # the first rows inside
    assert 24 < (whole - made)[46:50, 46:50].mean() < 32  # as it was made


def test_a_scratch_thinner_than_a_pixel_of_the_run_is_seen(tmp_path):
    write_image(tmp_path / 'in.png', smooth_picture(320, 320))
    part = Part(tmp_path / 'in.png', SIZE, None)
    for row in range(100, 112):
        _, seen = part.masked(mask_of(tmp_path / 'mask.png', (320, 320), np.s_[row, :]))
        assert seen[row // 10].all() and seen.sum() <= 2 * SIZE


def test_a_face_is_made_anew_where_the_mask_lies_on_it_and_the_picture_comes_back_whole(run, photo, tmp_path):
    whole = read_image(photo)
    part = Part(photo, SIZE, 'whole_face')
    x, y = (np.linalg.inv(part.matrix[:, :2]) @ ([15.5, 15.5] - part.matrix[:, 2])).round().astype(int)
    assert x > 0.6 * whole.shape[1]  # nowhere near the middle square's middle
    place = np.s_[y - 12 : y + 12, x - 25 : x + 9]
    mask = mask_of(tmp_path / 'mask.png', whole.shape, place)
    white, seen = part.masked(mask)
    middle = np.argwhere(seen).mean(0)[::-1]
    np.testing.assert_allclose(middle, part.matrix @ [x - 8.5, y - 0.5, 1], atol=1)
    sample(run, None, tmp_path / 'out.png', diffusion={'steps': 2, 'init': str(photo), 'mask': mask}, progress=False)
    made = read_image(tmp_path / 'out.png')
    assert made.shape == whole.shape
    np.testing.assert_array_equal(made[~white], whole[~white])
    assert (made[white] != whole[white]).any(-1).mean() > 0.9
    assert read_credentials(tmp_path / 'out.png')['ai_generated']


def test_several_restorations_are_whole_pictures_each(run, photo, tmp_path):
    whole = read_image(photo)
    mask = mask_of(tmp_path / 'mask.png', whole.shape, np.s_[100:140, 150:300])
    options = {'steps': 2, 'init': str(photo), 'mask': mask}
    sample(run, 2, tmp_path / 'out', diffusion=options, whole=True, progress=False)
    one, two = (read_image(path) for path in sorted((tmp_path / 'out').iterdir()))
    assert one.shape == two.shape == whole.shape and (one != two).any()


def test_a_mask_that_does_not_fit_is_one_line(photo, tmp_path):
    shape = read_image(photo).shape
    for line, face_type, place, size in (
        (r'mask.png: a mask of 90 x 30 pixels, where the picture has 466 x 256', None, np.s_[:], (30, 90)),
        (r'mask.png: nothing is white in the middle square', None, np.s_[:, :50], shape),
        (r'mask.png: nothing is white in the face that the run works on', 'whole_face', np.s_[:, :50], shape),
    ):
        with pytest.raises(InputError, match=line):
            Part(photo, SIZE, face_type).masked(mask_of(tmp_path / 'mask.png', size, place))

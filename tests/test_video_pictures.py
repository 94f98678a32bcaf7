"""Videos as sources of pictures: which frames, how they are cut, and what labels they have."""

import numpy as np
from picture_folders import SIZE, section, values, write

from dfjax.data.kinds import open_streams
from dfjax.data.media.video import VideoWriter
from dfjax.data.sets.open import open_dataset


def film(path, values: list[int], height: int = 64, width: int = 96):
    """A video of grey frames with a white edge, which is cut off."""
    path.parent.mkdir(exist_ok=True)
    with VideoWriter(path, 10, (width, height)) as writer:
        for value in values:
            frame = np.full((height, width, 3), 255, np.uint8)
            frame[:, 8:-8] = value
            writer.write(frame)
    return str(path)


def near(found: list[int], truth: list[int]) -> bool:
    return len(found) == len(truth) and np.abs(np.subtract(found, truth)).max() <= 4


def test_a_video_is_its_frames_cut_as_pictures_are(tmp_path):
    source = open_dataset(film(tmp_path / 'clip.mp4', [20, 90, 160]), SIZE)
    assert near(values(source), [20, 90, 160]) and not source.labels
    assert source[0]['image'].shape == (SIZE, SIZE, 3)
    assert source.paths == [tmp_path / 'clip.mp4' / f'00000{n}.png' for n in range(3)]


def test_frames_are_spread_over_long_videos_and_bounded(tmp_path, monkeypatch):
    truth = list(range(10, 210, 10))
    film(tmp_path / 'set' / 'one.mp4', truth)
    film(tmp_path / 'set' / 'two.mp4', truth[:2])
    write(tmp_path / 'set', {'zoo.png': 250})
    read = lambda: values(open_dataset(str(tmp_path / 'set'), SIZE))
    assert near(read(), [*truth, *truth[:2], 250])
    monkeypatch.setattr('dfjax.data.sets.images.FRAMES', 14)  # 7 a video
    assert near(read(), [*truth[::4], *truth[:2], 250])
    monkeypatch.setattr('dfjax.data.sets.images.KEPT_BYTES', 6 * SIZE * SIZE * 3)  # 3 a video
    assert near(read(), [*truth[::8], *truth[:2], 250])


def test_frames_have_the_labels_of_their_video(tmp_path, capsys):
    film(tmp_path / 'summer' / 'x.mp4', [20, 90])
    write(tmp_path, {'winter/1.png': 30})
    (tmp_path / 'summer' / 'bad.mp4').write_bytes(b'nothing')
    labels = open_dataset(str(tmp_path), SIZE).labels
    assert {k: v.tolist() for k, v in labels.items()} == {'summer': [True, True, False], 'winter': [False, False, True]}
    said = capsys.readouterr().err
    assert '1 of 3 files' in said and 'bad.mp4: not a video' in said
    (tmp_path / 'labels.csv').write_text('file,smile\nbad,0\nx,1\n1,0\n')
    assert open_dataset(str(tmp_path), SIZE).labels['smile'].tolist() == [True, True, False]


def test_streams_of_videos(tmp_path):
    a, b = film(tmp_path / 'a.mp4', [20, 90, 160]), film(tmp_path / 'b.mov', [60, 130, 200])
    streams = open_streams('unpaired', section(a=a, b=b))
    assert near(values(streams['a']), [20, 90, 160]) and near(values(streams['b']), [60, 130, 200])
    pairs = open_streams('aligned', section(a=a, b=b))['']  # a frame and that of the same number
    assert [round(int(pairs[n]['b']['image'].mean()) - int(pairs[n]['a']['image'].mean()), -1) for n in range(3)] == [
        40
    ] * 3
    made = open_streams('aligned', section(source=f'pair:grey:{a}'))['']
    assert len(made) == 3 and near([int(made[1][side]['image'].mean()) for side in 'ab'], [90, 90])
    plain = open_streams('labelled', section(source=f'{a}+{b}', labels=()))['']
    assert near(values(plain), [20, 90, 160, 60, 130, 200])

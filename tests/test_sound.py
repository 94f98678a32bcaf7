"""Sound of videos and sound files in and out: copied or as AAC in step with the pictures, and on its clock."""

from fractions import Fraction

import av
import numpy as np
import pytest
from scipy.io import wavfile
from toy_jobs import same, transform_video
from videos import assert_same_sound, chirp, decoded_sound, make, make_with_sound, scene, sound_packets

from dfjax.data.media.audio import read_sound
from dfjax.data.media.video import VideoWriter, probe


@pytest.mark.parametrize('codec, suffix', [('pcm_s16le', '.mkv'), ('pcm_s24le', '.mov'), ('vorbis', '.mkv')])
def test_sound_that_mp4_cannot_hold_becomes_aac_in_step(tmp_path, codec, suffix):
    rate = 44100
    want = chirp(rate)
    source = make_with_sound(tmp_path / f'in{suffix}', codec, want, rate)
    transform_video(source, tmp_path / 'out.mp4', same)
    with av.open(str(tmp_path / 'out.mp4')) as file:
        assert file.streams.audio[0].codec_context.name == 'aac' and file.streams.audio[0].rate == rate
    start, heard = decoded_sound(source, rate)  # what was there (Vorbis loses a little)
    assert start >= 0
    assert_same_sound(tmp_path / 'out.mp4', np.concatenate([np.zeros(start, np.float32), heard])[: len(want)], rate)


@pytest.mark.parametrize('codec', ['aac', 'libmp3lame', 'mp2', 'ac3', 'eac3', 'alac', 'opus', 'flac'])
def test_every_container_has_the_sound_copied_or_as_aac(tmp_path, codec):
    rate = 48000
    suffix = '.mov' if codec == 'alac' else '.mkv'  # FFmpeg's mkv does not say how long packets of ALAC are
    source = make_with_sound(tmp_path / f'in{suffix}', codec, chirp(rate), rate)
    packets = [data for _, _, data in sound_packets(source)]
    start, heard = decoded_sound(source, rate)
    for suffix in ('.mp4', '.m4v', '.mov', '.MOV'):
        out = tmp_path / f'out{suffix}'
        transform_video(source, out, same)
        if suffix.lower() == '.mov' and codec in ('opus', 'flac'):  # QuickTime has no place for them
            with av.open(str(out)) as file:
                assert file.streams.audio[0].codec_context.name == 'aac'
            want = np.concatenate([np.zeros(max(start, 0), np.float32), heard[max(-start, 0) :]])
            assert_same_sound(out, want[: 2 * rate], rate)
        else:
            assert [data for _, _, data in sound_packets(out)] == packets


@pytest.mark.parametrize('rate', [16000, 44056])
def test_writer_encodes_given_sound(tmp_path, rate):
    with VideoWriter(tmp_path / 'v.mp4', 25, (64, 48), sound=(chirp(rate), rate)) as writer:
        for picture in scene(50):
            writer.write(picture)
    assert_same_sound(tmp_path / 'v.mp4', chirp(rate), rate)


def test_no_sound_stays_silent(tmp_path):
    source = make(tmp_path / 'in.mp4', scene(5), range(0, 200, 40))
    transform_video(source, tmp_path / 'out.mp4', same)
    assert not probe(source).has_audio and not probe(tmp_path / 'out.mp4').has_audio


@pytest.mark.parametrize('codec, suffix', [('aac', '.mp4'), ('libmp3lame', '.mkv'), ('opus', '.mkv'), ('flac', '.mkv')])
@pytest.mark.parametrize('wanted', [(None, False), (16000, True), (44100, False)])
def test_the_sound_of_any_file_is_read_on_its_clock(tmp_path, codec, suffix, wanted):
    source = make_with_sound(tmp_path / f'in{suffix}', codec, chirp(48000), 48000)
    samples, rate = read_sound(source, *wanted)
    assert (rate, samples.shape[1]) == (wanted[0] or 48000, 1 if wanted[1] else 2) and samples.dtype == np.float32
    want = chirp(rate)[: len(samples)]
    assert len(want) > 1.9 * rate and np.corrcoef(samples[: len(want), 0], want)[0, 1] > 0.98


def test_a_track_that_begins_late_is_read_with_its_silence(tmp_path):
    source = tmp_path / 'in.mkv'
    with av.open(str(source), 'w') as out:
        sound = out.add_stream('flac', rate=8000, layout='mono')
        for n, part in enumerate(np.split((chirp(8000) * 32767).astype(np.int16), 4)):
            frame = av.AudioFrame.from_ndarray(part[None], format='s16', layout='mono')
            frame.sample_rate, frame.pts, frame.time_base = 8000, 4000 * (n + 1), Fraction(1, 8000)
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    samples, rate = read_sound(source)
    assert rate == 8000 and np.abs(samples[:4000]).max() == 0
    np.testing.assert_allclose(samples[4000:, 0], chirp(8000), atol=1e-4)


def test_what_a_lower_rate_cannot_hold_is_taken_out(tmp_path):
    t = np.arange(44100) / 44100
    tones = 0.4 * np.sin(2 * np.pi * 1000 * t) + 0.4 * np.sin(2 * np.pi * 11000 * t)
    wavfile.write(tmp_path / 'in.wav', 44100, tones.astype(np.float32))
    samples, rate = read_sound(tmp_path / 'in.wav', 16000)  # 11 kHz would fold to 5 kHz
    spectrum = np.abs(np.fft.rfft(samples[1600:14400, 0])) / 6400
    lines = np.fft.rfftfreq(12800, 1 / rate)
    assert spectrum[lines.searchsorted(1000)] == pytest.approx(0.4, abs=0.01)
    assert spectrum[np.abs(lines - 1000) > 50].max() < 0.002

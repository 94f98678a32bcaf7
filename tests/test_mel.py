"""Mel spectrograms where no golden files are at hand: silence, pure tones, batches, times."""

import jax
import numpy as np

from dfjax.ops import mel


def test_a_tone_is_loudest_in_its_band_and_silence_is_the_floor():
    t = np.arange(8000) / mel.RATE
    tones = [220.0, 1000.0, 4000.0]
    pictures = np.asarray(jax.jit(mel.mel)(np.float32([np.sin(2 * np.pi * f * t) for f in tones] + [0 * t])))
    assert pictures.shape == (4, mel.BANDS, 1 + 8000 // mel.HOP)
    assert (pictures[3] == -mel.PEAK).all()
    frequencies = np.linspace(0, mel.RATE / 2, mel.WINDOW // 2 + 1)
    for tone, picture in zip(tones, pictures):
        centres = (mel.mel_basis() @ frequencies) / mel.mel_basis().sum(1)
        assert abs(centres[picture[:, 20].argmax()] - tone) < max(30, 0.05 * tone)  # a bin is 20 Hz


def test_windows_begin_at_their_times_and_stay_inside():
    picture = np.tile(np.arange(50.0), (mel.BANDS, 1))
    windows = np.asarray(mel.mel_windows(picture, [-1.0, 0.0, 0.04, 0.2, 9.0]))
    assert windows.shape == (5, mel.BANDS, mel.STEPS)
    assert windows[:, 0, 0].tolist() == [0, 0, 3, 16, 34]
    assert windows[3, 7].tolist() == list(range(16, 32))

"""Synthesised speech against acoustics, spoilt sound, and the net that hears lips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dfjax.data.names import parse
from dfjax.data.render.phonemes import PHONEMES, STEP, mouth_track
from dfjax.data.render.speech import RATE, Speech, Voice, speak
from dfjax.data.sets.voices import Voices
from dfjax.errors import InputError
from dfjax.inference.lips import hear, listen
from dfjax.ops import noisy
from dfjax.ops.heard import heard, levelled, moment_times

NAME = 'render:voices:1000001:4:250'
PLAIN = Voice(tract=1.0, pitch=100.0, melody=0.0, pace=1.0, breath=0.0, open_share=0.6, dark=3000.0)


def said(*names: str, each: float = 0.3, voice: Voice = PLAIN) -> Speech:
    """Sounds, one after the other, after and before a silence as long."""
    start = each * (1 + np.arange(len(names)))
    return Speech(list(names), start, start + each, np.ones(len(names)), voice, 0, each * (len(names) + 2))


# the synthesiser


@pytest.mark.parametrize(('vowel', 'tract'), [('A', 1.0), ('i', 1.0), ('u', 1.0), ('A', 1.2)])
def test_vowels_ring_at_their_formants(vowel, tract):
    """The envelope of the spectrum, by linear prediction, has its first two peaks at the formants."""
    sound = said(vowel, each=0.6, voice=Voice(tract, 80.0, 0.0, 1.0, 0.0, 0.6, 5000.0)).sound
    part = sound[int(0.75 * RATE) : int(1.05 * RATE)].astype(np.float64)
    part = np.diff(part) * np.hamming(len(part) - 1)
    order = 18
    r = np.correlate(part, part, 'full')[len(part) - 1 :][: order + 1]
    rows = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    a = np.linalg.solve(r[rows] + 1e-6 * r[0] * np.eye(order), r[1:])
    roots = np.roots(np.concatenate([[1], -a]))
    roots = roots[(roots.imag > 0) & (np.abs(roots) > 0.9)]
    found = np.sort(np.angle(roots) * RATE / (2 * np.pi))
    for formant in np.array(PHONEMES[vowel].formants[:2]) * tract:
        assert np.abs(found - formant).min() < max(45, 0.07 * formant), (found, formant)


def test_the_voice_has_its_pitch_and_noise_lies_where_it_should():
    spectrum = lambda x: np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    sound = said('A', each=0.6).sound
    part = sound[int(0.7 * RATE) : int(1.1 * RATE)]
    lag = np.correlate(part, part, 'full')[len(part) - 1 :]
    assert abs(np.argmax(lag[80:400]) + 80 - RATE / 100) <= 2
    for name, low, high in (('s', 5000, 7600), ('S', 2200, 4300)):
        power = spectrum(said(name, each=0.4).sound[int(0.5 * RATE) : int(0.7 * RATE)])
        hertz = np.fft.rfftfreq(int(0.2 * RATE) + 1, 1 / RATE)[: len(power)]
        assert power[(hertz > low) & (hertz < high)].sum() > 0.6 * power.sum(), name


def test_stops_are_silent_until_they_burst():
    sound = said('A', 'p', 'A').sound
    power = lambda a, b: float((sound[int(a * RATE) : int(b * RATE)] ** 2).mean())
    assert power(0.65, 0.86) < 1e-3 * power(0.4, 0.55)
    assert power(0.885, 0.9) > 10 * power(0.65, 0.86)
    assert power(0.0, 0.25) < 1e-6 * power(0.4, 0.55)


def test_mouths_open_for_vowels_meet_for_m_and_rest_in_pauses():
    speech = said('A', 'm', 'i', 'f', 'u', each=0.2)
    at = lambda *times: speech.mouth(np.array(times))
    opening, width, closed, teeth = at(0.3, 0.5, 0.7, 0.9, 1.1).T
    assert opening[0] > 0.7 and opening[1] < 0.01 and 0.2 < opening[2] < 0.5
    assert width[2] > 0.4 and width[4] < -0.6
    np.testing.assert_allclose(closed, [0, 1, 0, 0, 0], atol=0.01)
    np.testing.assert_allclose(teeth, [0, 0, 0, 1, 0], atol=0.01)
    assert at(0.0, 1.4)[:, 0].max() < 0.02


def test_more_seconds_go_on_from_fewer():
    few, many = speak(5, 2), speak(5, 4)
    time = np.arange(42) / 25
    np.testing.assert_allclose(few.mouth(time), many.mouth(time), atol=1e-9)
    assert len(few.sound) == 2 * RATE and np.abs(few.sound).max() <= 1
    assert (speak(5, 2).sound == few.sound).all() and np.abs(speak(6, 2).sound - few.sound).max() > 0.1


def test_a_track_is_what_is_asked_for_far_from_neighbours():
    track = mouth_track(['A'], np.array([1.0]), np.array([3.0]), np.array([0.5]), 4.0)
    assert track.shape == (round(4 / STEP) + 1, 4)
    np.testing.assert_allclose(track[200], [0.5 * 0.95, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(track[100, 0], 0.5 * 0.95 / 2, atol=0.03)  # half-way at its beginning


# what is heard


def test_what_is_heard_does_not_depend_on_level():
    sound = jnp.asarray(speak(1, 2.0).sound)[None] + 0.03 * jax.random.normal(jax.random.key(0), (1, 2 * RATE))
    one, other = heard(sound), heard(0.3 * sound)
    assert one.shape == (1, 80, 161)
    assert float(jnp.abs(one - other).max()) < 0.05
    loud = levelled(jnp.linspace(-2, 2, 100)[:, None] * jnp.ones(160))
    np.testing.assert_allclose(loud[:, :160].mean(1), (np.linspace(-2, 2, 100) - 0.8) / 2, atol=0.03)


def test_rooms_ring_on_and_noise_is_as_loud_as_it_is_drawn():
    click = jnp.zeros(RATE).at[2000].set(1.0)
    tails = jax.vmap(lambda key: noisy.echoed(key, click))(jax.random.split(jax.random.key(1), 16))
    np.testing.assert_allclose(tails[:, 2000], 1, atol=1e-4)
    assert float(jnp.abs(tails[:, :2000]).max()) < 1e-4
    power = np.array((tails[:, 2001:] ** 2).sum(1))
    assert 3 < (power > 0.05).sum() < 13 and power.max() < 1.6
    a, b = np.random.default_rng(0).standard_normal((2, 3000))
    np.testing.assert_allclose(
        noisy.convolved(jnp.float32(a), jnp.float32(b[:50])), np.convolve(a, b[:50])[:3000], atol=1e-3
    )
    hiss = noisy.coloured_noise(jax.random.key(2), RATE)
    for key in jax.random.split(jax.random.key(3), 8):
        added = noisy._below(key, hiss, jnp.float32(0.01), 1.0, (10.0, 20.0))
        assert 10 - 1e-3 <= -10 * np.log10(float((added**2).mean()) / 0.01) <= 20 + 1e-3


# voices as data


def test_windows_of_voices_are_sound_and_mouth_of_one_time():
    data = Voices(parse('render:voices:1:2:75'), 1.0)
    item = data.read(1, 12345)
    assert item['sound'].shape == (16_000,) and item['mouth'].shape == (40, 4)
    batch = data.take(jax.tree.map(jnp.asarray, data.arrays()), jnp.array([1]), jnp.array([12345], jnp.uint32))
    assert all((np.asarray(batch[k][0]) == v).all() for k, v in item.items())
    with pytest.raises(InputError, match='write render:voices:SEED:COUNT:FRAMES'):
        Voices(parse('render:people:1:4'), 1.0)
    with pytest.raises(InputError, match=r'voices of 3 s, where data.seconds is 4'):
        Voices(parse('render:voices:1:2:75'), 4.0)


# the net of the package


def test_the_net_hears_voices_that_it_has_not_learnt_from():
    voices = Voices(parse(NAME), 1.0).arrays()
    for sound, mouth in zip(voices['sound'], voices['mouth']):
        made = listen(sound / 32768.0)[0]
        assert np.corrcoef(made[:, 0], mouth[:, 0])[0, 1] > 0.85
        said = mouth[:, 0] > 0.05
        assert np.corrcoef(made[said, 1], mouth[said, 1])[0, 1] > 0.7
        assert (made[mouth[:, 2] > 0.95, 2] > 0.5).mean() > 0.4


def test_silence_and_steady_noise_close_the_mouth():
    speech = speak(3, 4.0).sound
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(10 * RATE)
    for noise in (0 * hiss, hiss):
        sound = np.concatenate([speech, np.zeros(2 * RATE), speech]) + noise
        times = np.arange(0, 10, 0.04)
        opening = hear(sound, times)[:, 0]
        assert opening[(times > 4.3) & (times < 5.8)].max() <= 0.02
        assert opening[times < 3.8].max() > 0.4
    assert hear(np.zeros(3 * RATE), times)[:, 0].max() == 0
    assert hear(np.zeros(100), times).shape == (250, 4)


def test_chunks_do_not_show():
    sound = np.concatenate([speak(4, 12.0).sound, speak(4, 12.0).sound])  # more than a chunk of 20 s
    whole, shifted = (listen(x)[0] for x in (sound, sound[4 * 16_000 :]))
    apart = np.abs(whole[160 + 40 : -40] - shifted[40:-40])
    assert apart[:, 0].mean() < 0.02 and len(whole) == len(moment_times(len(whole))) == 24 * 40

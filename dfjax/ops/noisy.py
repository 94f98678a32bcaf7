"""Sound as rooms, microphones and other people's music leave it: one random spoiling for each example, in JAX.

spoilt = jax.vmap(spoil)(keys, sound)       # [B, n] in [-1, 1] at 16 kHz
"""

import jax
import jax.numpy as jnp

RATE = 16_000
GAIN = -20.0, 5.0  # dB
ECHO = 0.5  # probability of a room
TAIL = 0.05, 0.35  # seconds in which its echo falls by 60 dB
LONGEST = 6400  # samples of an echo that are computed
NOISE, NOISES = 0.7, (5.0, 45.0)  # probability of noise, and how far it is below speech, dB
MUSIC, MUSICS = 0.25, (8.0, 30.0)  # likewise of music
NOTES, CHORDS = 4, 8  # at once, and one after the other
COLOUR = 6.0  # dB, standard deviation of a microphone's colour over the octaves
BANDS = 6


def spoil(key: jax.Array, sound: jax.Array) -> jax.Array:
    """Sound [n] through a random room, among random noise, by a random microphone."""
    room, mic, hiss, band, gain = jax.random.split(key, 5)
    power = (sound**2).mean() + 1e-9
    sound = echoed(room, sound)
    sound = sound + _below(hiss, coloured_noise(hiss, len(sound)), power, NOISE, NOISES)
    sound = sound + _below(band, chords(band, len(sound)), power, MUSIC, MUSICS)
    sound = coloured(mic, sound)
    return jnp.clip(sound * 10 ** (jax.random.uniform(gain, (), minval=GAIN[0], maxval=GAIN[1]) / 20), -1, 1)


def _below(key: jax.Array, other: jax.Array, power: jax.Array, chance: float, span: tuple) -> jax.Array:
    """Another sound so many dB below `power`, or silence."""
    there, level = jax.random.split(jax.random.fold_in(key, 1))
    decibels = jax.random.uniform(level, (), minval=span[0], maxval=span[1])
    scale = jnp.sqrt(power / ((other**2).mean() + 1e-9)) * 10 ** (-decibels / 20)
    return jnp.where(jax.random.bernoulli(there, chance), scale, 0.0) * other


def echoed(key: jax.Array, sound: jax.Array) -> jax.Array:
    """Sound [n] in a room: noise that dies away is what an impulse becomes in one (Moorer 1979)."""
    there, tail, noise, share = jax.random.split(key, 4)
    seconds = jax.random.uniform(tail, (), minval=TAIL[0], maxval=TAIL[1])
    time = jnp.arange(LONGEST) / RATE
    decay = jnp.exp(-6.9 * time / seconds) * jax.random.normal(noise, (LONGEST,))
    decay = decay / jnp.sqrt((decay**2).sum()) * jax.random.uniform(share, (), minval=0.3, maxval=1.2)
    wet = convolved(sound, decay.at[0].set(1.0))
    return jnp.where(jax.random.bernoulli(there, ECHO), wet, sound)


def coloured_noise(key: jax.Array, count: int) -> jax.Array:
    """Noise [count] from white to red: its spectrum falls by a random power of the frequency."""
    shape, steep = jax.random.split(key)
    spectrum = jnp.fft.rfft(jax.random.normal(shape, (count,)))
    hertz = jnp.arange(len(spectrum)) * (RATE / count)
    return jnp.fft.irfft(spectrum * (1 + hertz / 100) ** -jax.random.uniform(steep, (), minval=0.0, maxval=1.2), count)


def chords(key: jax.Array, count: int) -> jax.Array:
    """Music of a kind [count]: chords of plucked notes whose harmonics fall by their number's square."""
    pitch, loud = jax.random.split(key)
    each = -(-count // CHORDS)  # samples a chord
    notes = 110 * 2 ** (jax.random.randint(pitch, (CHORDS, NOTES, 1), 0, 36) / 12)  # Hz
    time = jnp.arange(each) / RATE
    tone = (1.5 * (2 * (time * notes % 1) - 1) ** 2 - 0.5) * jax.random.uniform(loud, (CHORDS, NOTES, 1), minval=0.2)
    return (tone.sum(1) * jnp.exp(-2 * time * RATE / each) * jnp.minimum(time * 40, 1)).reshape(-1)[:count]


def coloured(key: jax.Array, sound: jax.Array) -> jax.Array:
    """Sound [n] by a microphone that hears some octaves better than others."""
    spectrum = jnp.fft.rfft(sound)
    octave = jnp.log2(jnp.maximum(jnp.arange(len(spectrum)) * (RATE / len(sound)), 60) / 125)
    decibels = jnp.interp(octave, jnp.arange(BANDS), COLOUR * jax.random.normal(key, (BANDS,)))
    return jnp.fft.irfft(spectrum * 10 ** (decibels / 20), len(sound))


def convolved(sound: jax.Array, response: jax.Array) -> jax.Array:
    """Sound [n] convolved with a response [m], the first n samples."""
    size = len(sound) + len(response)
    size += -size % 1024
    return jnp.fft.irfft(jnp.fft.rfft(sound, size) * jnp.fft.rfft(response, size), size)[: len(sound)]

"""Figures of a net that hears lips, on voices that it has never heard.

opening, width      correlation with the truth over all moments, the mean over voices of other seeds
closed              share of closures of the lips (p, b, m) at which it closes them more than half
noisy_opening       correlation in rooms, noise and music
flite_opening, ...  the same as the first for the voices of flite (Black & Lenzo 2001), recorded people's sounds, where
                    the program is installed: `apt install flite`
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
import numpy as np

from dfjax.data.media.audio import read_sound
from dfjax.data.names import parse
from dfjax.data.render.phonemes import PHONEMES, STEP, mouth_track
from dfjax.data.sets.voices import RATE, Voices
from dfjax.errors import InputError
from dfjax.evaluation.held_out import held_out_name
from dfjax.inference.lips import listen
from dfjax.inference.run import Run
from dfjax.ops.heard import moment_times
from dfjax.ops.noisy import spoil

VOICES = 12  # held out
FLITE = ('kal16', 'awb', 'rms', 'slt')
DIPHTHONGS = {'aw': 'AU', 'ay': 'AI', 'ey': 'Ei', 'ow': 'oU', 'oy': 'OI', 'ch': 'tS', 'jh': 'dZ'}
FLITE_SOUNDS = {
    'aa': 'A', 'ae': '{', 'ah': 'V', 'ao': 'O', 'ax': '@', 'eh': 'E', 'er': '3', 'ih': 'I', 'iy': 'i', 'uh': 'U',
    'uw': 'u', 'hh': 'h', 'ng': 'N', 'sh': 'S', 'zh': 'Z', 'th': 'T', 'dh': 'D', 'y': 'j',
}  # fmt: skip
TEXT = (
    'People who move their mouths a lot make it easy for everybody to follow. Five fat bees flew over the beautiful '
    'blue river before breakfast. She sees the sheep chewing through a wooden fence. How odd, the old boat has blown '
    'away, by the way. My mother and your father both love warm apple pie with vanilla. Papa made a map of the moon. '
    'Who would choose to lose two good shoes in June? We were wondering why the weather was worse than ever. '
    'Thank you, said the third thief thoughtfully. Voices vary, very few of them are vivid.'
)


def figures(run: Run | None, *, data: str | None = None) -> dict:
    """The figures of the module.

    Args:
        run: of the system; None: the net of the package.
        data: held-out voices; by default those of other seeds.

    Raises:
        InputError: `data` is no name of voices.
    """
    name = data or (held_out_name(run.cfg, VOICES) if run else f'render:voices:1000001:{VOICES}:500')
    voices = Voices(parse(name), 1.0).arrays()
    sounds = voices['sound'].astype(np.float32) / 32768
    report = means([compare(sound, mouth, run) for sound, mouth in zip(sounds, voices['mouth'])])
    spoilt = jax.jit(spoil)
    noisy = [np.asarray(spoilt(jax.random.key(n), sound)) for n, sound in enumerate(sounds)]
    report['noisy_opening'] = means([compare(s, m, run) for s, m in zip(noisy, voices['mouth'])])['opening']
    if shutil.which('flite'):
        found = [compare(*flite(voice, TEXT), run) for voice in FLITE]
        report |= {f'flite_{k}': v for k, v in means(found).items()}
        report['flite'] = dict(zip(FLITE, found))
    return report


def compare(sound: np.ndarray, mouth: np.ndarray, run: Run | None = None) -> dict[str, float]:
    """'opening', 'width' and 'closed' of one voice: sound [n], and the truth [M, 4] at every moment."""
    made = listen(sound, run)[0][: len(mouth)]
    mouth = mouth[: len(made)]
    said = np.convolve(mouth[:, 0] > 0.02, np.ones(9), 'same') > 0  # width means nothing in a pause
    r = {
        'opening': np.corrcoef(made[:, 0], mouth[:, 0])[0, 1],
        'width': np.corrcoef(made[said, 1], mouth[said, 1])[0, 1],
    }
    together = mouth[:, 2] > 0.9
    return {k: round(float(v), 4) for k, v in (r | {'closed': (made[together, 2] > 0.5).mean()}).items()}


def means(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each figure over voices."""
    return {key: round(float(np.nanmean([row[key] for row in rows])), 4) for key in rows[0]}


def flite(voice: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    """What a voice of flite says, float32 [n] at 16 kHz, and its mouth [M, 4] by the times that it prints.

    Raises:
        InputError: flite has no such voice.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'said.wav')
        done = subprocess.run(
            ['flite', '-psdur', '-voice', voice, '-t', text, '-o', file], capture_output=True, text=True
        )
        if done.returncode or not file.exists():
            raise InputError(f'flite has no voice {voice}')
        sound = read_sound(file, RATE, mono=True)[0][:, 0]
    rows, before = [], 0.0
    for word in done.stdout.split():
        name, _, end = word.rpartition(':')
        parts = DIPHTHONGS.get(name) or FLITE_SOUNDS.get(name) or name
        if parts in PHONEMES or name in DIPHTHONGS:
            edges = np.linspace(before, float(end), len(parts) + 1)
            rows += [(part, *edges[k : k + 2]) for k, part in enumerate(parts)]
        before = float(end)
    names, start, stop = zip(*rows)
    seconds = len(sound) / RATE
    track = mouth_track(list(names), np.array(start), np.array(stop), np.ones(len(names)), seconds)
    at, grid = moment_times(int(seconds * 40)), STEP * np.arange(len(track))
    return sound, np.stack([np.interp(at, grid, column) for column in track.T], -1)

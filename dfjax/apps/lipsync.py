"""`dfjax lipsync`: a video or a picture says what a sound says. Nothing is trained and nothing downloaded."""

import argparse
import time
from fractions import Fraction
from pathlib import Path

from dfjax.apps.consent import add_consent
from dfjax.errors import InputError

EXAMPLE = 'dfjax lipsync --face anna.mp4 --audio speech.wav -o out.mp4'
RATE = 16_000
SHORTEST = 0.1  # seconds of sound
SPOKEN = 0.15  # opening that is heard at some moment of any speech
FAINT = 1e-3  # loudest sample of a sound that is silence


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        "Mouths come from the person's own video, bent to what is heard; a picture's mouth is drawn. A sound longer\n"
        'than the video plays it forth and back; at the end of a shorter one the output ends.\n'
        'Ask the people shown for their consent.'
    )
    parser.add_argument('--face', required=True, metavar='WHO', help='a video or a picture of the person')
    parser.add_argument('--audio', required=True, metavar='SOUND', help='what is said: a sound, or a video with one')
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='the video to write')
    parser.add_argument('--still', action='store_true', help='a picture neither blinks nor sways')
    parser.add_argument('--gain', type=float, default=1.0, metavar='X', help='how far the mouth moves; default 1')
    parser.add_argument(
        '--sync', default='auto', metavar='WHEN',
        help="auto: learn from the video's own speech how the person's mouth moves, once its sound and lips are "
        'brought together; off: do not; or by how many seconds that sound is late',
    )  # fmt: skip
    parser.add_argument('--person', metavar='PICTURE', help='whom to change, of several people')
    parser.add_argument('--points', metavar='XY7', help='seven points of the face in a picture, see dfjax animate')
    parser.add_argument('--keep', action='store_true', help='go on after a sound that is shorter than the video')
    parser.add_argument('--loop', action='store_true', help='begin a video again for a longer sound')
    parser.add_argument('--run', metavar='RUN', help='a trained or imported run that paints the mouths, as of wav2lip')
    add_consent(parser)
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Makes the video as the arguments say; returns the report."""
    names = ('still', 'gain', 'sync', 'person', 'points', 'keep', 'loop', 'run', 'force')
    return lipsync(args.face, args.audio, args.out, **{name: getattr(args, name) for name in names})


def lipsync(
    face: Path | str,
    audio: Path | str,
    out: Path | str,
    *,
    still: bool = False,
    gain: float = 1.0,
    sync: str | float = 'auto',
    person: Path | str | None = None,
    points: str | None = None,
    keep: bool = False,
    loop: bool = False,
    run: Path | str | None = None,
    analysis=None,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes `face` saying what `audio` says, with content credentials.

    Outside the lower face frames keep their bits, before they are encoded. Frames without the person's face, and those
    turned away by more than 45 degrees, pass through.

        lipsync('anna.mp4', 'speech.wav', 'out.mp4')

    Args:
        face: a video or picture with a face.
        audio: a sound, or a video with one.
        out: a video.
        still: a picture neither blinks nor sways.
        gain: of opening and width of the mouth.
        sync: 'auto', 'off' or seconds, see `--sync`.
        person: a picture of whom to change, where several are in `face`.
        points: 'x,y ...', seven, of a picture, see `inference.clicked`.
        keep: go on after a sound that is shorter than the video.
        loop: begin a video again for a longer sound; else it runs forth and back.
        run: the folder of a run of a system that can `lipsync`, which then paints the mouths.
        analysis: what `analyse` returned for `face`, where that is done already.

    Returns:
        The report of `run_job`, with 'sound_seconds', 'mouths' (from the person's 'video', 'drawn', or by a 'run'), and
        of a video the output's frames 'without_face' and 'profiles', which pass through, and 'delay', by how many
        seconds its own sound is late, where it was found.

    Raises:
        InputError: no face, one too small, no sound, a silent one, an output of another kind.
    """
    from dfjax.data.media.inputs import kind
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import run_job
    from dfjax.inference.plan import plan_outputs

    delay = check_options(gain, sync)
    if run is not None and (gain != 1 or sync != 'auto'):
        raise InputError('--gain and --sync: not with --run, whose net has learnt how mouths move')
    opened = open_lips(run) if run is not None else None
    if (what := kind(face)) not in ('image', 'video'):
        raise InputError(f'{face}: is a {what}; give one video or picture of a face')
    if points is not None and what == 'video':
        raise InputError('--points is for a picture; in a video the face is found')
    plan = plan_outputs(face, out, force, kind='video')
    sound = read_speech(audio)
    start = time.monotonic()
    if what == 'image':
        job, report = still_job(face, sound, audio, points, person, gain, still, opened)
    else:
        job, report = video_job(
            face, sound, audio, person, analysis, progress, run=opened, gain=gain, sync=delay, keep=keep, loop=loop
        )
    report |= {'sound_seconds': round(len(sound) / RATE, 2), 'analysis_seconds': round(time.monotonic() - start, 2)}
    del sound  # it may be long, and has been heard
    with bar(f'writing {Path(out).name}', progress) as tick:
        return run_job(job, plan, tick) | report


def check_options(gain: float, sync: str | float) -> str | float:
    """`sync` as 'auto', 'off' or seconds."""
    if not 0 <= gain <= 3:
        raise InputError(f'--gain {gain:g}: give a number from 0 (a closed mouth) to 3')
    if sync in ('auto', 'off'):
        return sync
    try:
        seconds = float(sync)
    except ValueError:
        seconds = float('inf')
    if not abs(seconds) <= 5:
        raise InputError(f'--sync {sync}: give auto, off, or seconds from -5 to 5')
    return seconds


def read_speech(audio: Path | str):
    """The sound float32 [n] at 16 kHz, mono."""

    from dfjax.data.media.audio import read_sound

    sound = read_sound(audio, RATE, mono=True)[0][:, 0]
    if len(sound) < SHORTEST * RATE:
        raise InputError(f'{audio}: its sound lasts {len(sound) / RATE:.2f} s; at least {SHORTEST} s are needed')
    if max(sound.max(), -sound.min()) < FAINT:
        raise InputError(f'{audio}: its sound is silent; give one in which somebody speaks')
    return sound


def open_lips(path):
    """The run that paints mouths."""
    from dfjax.inference.run import load_run

    opened = load_run(path, can='lipsync')
    if 'g' not in opened.params:
        raise InputError(f'{path}: has no generator g; import that too')
    return opened


def still_job(face, sound, audio, points, person, gain: float, still: bool, run):
    """The job for a picture, and what to report."""
    import numpy as np

    from dfjax.apps.animate import find_source
    from dfjax.inference.lips import hear
    from dfjax.inference.lipsync import FPS, StillJob, speaker
    from dfjax.inference.reenact import Animator

    picture, landmarks = find_source(face, points, person, None)
    heard = hear(sound, np.arange(max(1, round(len(sound) / RATE * FPS))) / FPS)
    driver = speaker(landmarks, heard, gain, still)
    animator = Animator(picture, landmarks, driver, mouth='drawn', frame=len(heard))
    if run is not None:
        from dfjax.inference.lipnet import Mouths, MouthsJob

        count, points = len(heard), animator.points[:, :68]
        rows, alike = np.arange(count), np.zeros(count + 1, int)
        mouths = Mouths(run, points, np.ones(count + 1, bool), alike, rows, rows / FPS, sound)
        mouths.references[0] = count
        mouths.show(0, picture)
        return MouthsJob(mouths, audio, still=(animator(n) for n in range(count))), {'mouths': 'run'}
    warn_of_music(audio, heard)
    return StillJob(animator, audio), {'mouths': 'drawn'}


def video_job(face, sound, audio, person, analysis, progress: bool, *, run, gain: float, sync, keep: bool, loop: bool):
    """The job for a video, and what to report."""
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.media.progress import bar, say
    from dfjax.data.media.video import probe
    from dfjax.inference.driving import driver_of
    from dfjax.inference.length import fit_length
    from dfjax.inference.lips import hear
    from dfjax.inference.lipsync import FPS, Dubbing, DubJob, gather_pool
    from dfjax.inference.mouthshape import shape_of

    if analysis is None:
        with bar(f'face of {Path(face).name}', progress) as tick:
            analysis = analyse(face, person=person, progress=tick)
    driver, info = driver_of(analysis), probe(face)
    length = fit_length(driver.times, info.fps or Fraction(FPS), len(sound) / RATE, keep, loop)
    if len(sound) / RATE > driver.times[-1] - driver.times[0] + 1 and length.fps:
        say(f'{face}: is shorter than the sound, and {"begins again" if loop else "runs forth and back"}')
    if run is not None:
        from dfjax.inference.lipnet import MouthsJob, VideoMouths

        mouths = VideoMouths(run, face, driver, length, sound)
        return MouthsJob(mouths, audio, length), {'mouths': 'run', **mouths.counts}
    pool = gather_pool(face, driver, analysis)
    shape = shape_of(driver.motion[driver.known])
    own, learnt = (None, {}) if sync == 'off' or not info.has_audio else own_speech(face, driver, shape, sync)
    if not pool.opens:
        say(f'{face}: never shows an open mouth; it is drawn')
    heard = hear(sound, length.times, own=own)
    warn_of_music(audio, heard)
    dubbing = Dubbing(driver, pool, shape, heard, length.rows, gain)
    return DubJob(dubbing, length, audio), {'mouths': 'video' if pool.opens else 'drawn', **dubbing.counts, **learnt}


def warn_of_music(audio, heard) -> None:
    """Says so where nothing that is heard moves a mouth."""
    from dfjax.data.media.progress import say

    if heard[:, 0].max() < SPOKEN:
        say(f'{audio}: nobody seems to speak in it; the mouth hardly moves')


def own_speech(face, driver, shape, sync):
    """What the video's own speech says of the person's mouth (None where sound and lips do not go together), and what
    to report."""
    import numpy as np

    from dfjax.data.media.audio import read_sound
    from dfjax.data.media.progress import say
    from dfjax.inference.lips import listen
    from dfjax.inference.ownspeech import learn
    from dfjax.inference.sync import find_delay

    sound = read_sound(face, RATE, mono=True)[0][:, 0]
    seen = np.where(driver.known[:, None], shape.seen(driver.motion), np.nan)
    if sync == 'auto':
        delay = find_delay(sound, seen, driver.times)
        if not delay.found:
            say(f'{face}: its own sound and lips do not go together, so nothing is learnt from them')
            return None, {}
        sync = delay.seconds
    return learn(listen(sound)[2], seen, driver.times + sync), {'delay': sync}

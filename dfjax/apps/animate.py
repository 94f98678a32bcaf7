"""`dfjax animate`: a picture that moves like the face of a video, with nothing trained and nothing downloaded; or, with
`--run`, as a trained run has learnt, whatever that shows."""

import argparse
import contextlib
import math
import tempfile
import time
from pathlib import Path

from dfjax.apps.consent import add_consent
from dfjax.errors import InputError

EXAMPLE = 'dfjax animate --image mona.jpg --driving anna.mp4 -o out.mp4'
PARTS = ('pose', 'eyes', 'brows', 'mouth')
LONGEST = 1920  # pixels of an output's longer side, where nothing else is asked for
LEAST_EYES = 24  # pixels between the eyes of the picture, below which there is nothing to move


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        f'Example: {EXAMPLE}\n\n'
        'The seven points of a face that no detector finds, as "x,y x,y ..." in pixels, left and right as you see\n'
        'them: left eye, right eye, tip of the nose, left and right corner of the mouth, middle of the mouth, chin.\n'
        'Ask the people shown for their consent.'
    )
    parser.add_argument('--image', required=True, metavar='PICTURE', help='whom to move: any photograph or painting')
    parser.add_argument(
        '--driving', required=True, metavar='WHO', help='a video, a picture, a MOTION.npz, or talk[:SEED[:SECONDS]]'
    )
    parser.add_argument('-o', '--out', required=True, metavar='OUT', help='a video; of a driving picture a picture')
    parser.add_argument('--drive', default=','.join(PARTS), metavar='PARTS', help='what moves; default %(default)s')
    parser.add_argument('--gain', type=float, default=1.0, metavar='X', help='of the expression; default 1')
    parser.add_argument(
        '--absolute', action='store_true', help="take the driver's very pose and expression, not their changes"
    )
    parser.add_argument('--points', metavar='XY7', help='seven points of the face in the picture, for animals')
    parser.add_argument('--mouth', choices=('driver', 'drawn'), help="default: the driver's own, drawn without a video")
    parser.add_argument(
        '--frame', default='auto', metavar='N', help='of the driver, that the picture corresponds to; default auto'
    )
    parser.add_argument('--person', metavar='PICTURE', help='whom to move, of several in the picture')
    parser.add_argument('--save-motion', metavar='NPZ', help='keep the motion, as --driving for other pictures')
    parser.add_argument('--size', type=int, metavar='PX', help=f"longer side; default the picture's, {LONGEST} at most")
    parser.add_argument('--run', metavar='RUN', help='a trained or imported run that does it, as of fomm')
    parser.add_argument('--any', action='store_true', help='with --run: whole pictures, whatever they show; no faces')
    add_consent(parser)
    parser.add_argument('--force', action='store_true', help='replace an output that exists')


def run(args: argparse.Namespace) -> dict:
    """Animates as the arguments say; returns the report."""
    if args.run:
        return animate_by_run(args)
    if args.any:
        raise InputError('--any: give --run too; without one it is faces that move')
    names = ('drive', 'gain', 'absolute', 'points', 'mouth', 'frame', 'person', 'save_motion', 'size', 'force')
    return animate(args.image, args.driving, args.out, **{name: getattr(args, name) for name in names})


def animate(
    image: Path | str,
    driving: Path | str,
    out: Path | str,
    *,
    drive: str = ','.join(PARTS),
    gain: float = 1.0,
    absolute: bool = False,
    points: str | None = None,
    mouth: str | None = None,
    frame: str | int = 'auto',
    person: Path | str | None = None,
    save_motion: Path | str | None = None,
    size: int | None = None,
    analysis=None,
    force: bool = False,
    progress: bool = True,
) -> dict:
    """Writes `image` moving like the face of `driving`, with content credentials.

    What lies outside a ring round the head keeps its bits. Frames, times and sound are those of the driving video.

        animate('mona.jpg', 'anna.mp4', 'out.mp4')

    Args:
        image: a picture; of a video or moving picture its first frame.
        driving: a video or picture with a face, a file of `save_motion`, or 'talk:SEED:SECONDS', a rendered head that
            talks.
        out: a video; a picture where `driving` is one.
        drive: which of pose, eyes, brows, mouth move.
        gain: of the changes of expression.
        absolute: take over pose and expression themselves, not what changes from the frame most like the picture.
        points: 'x,y x,y ...', seven, see `inference.clicked`.
        mouth: 'driver' or 'drawn'.
        frame: number of the driver's frame that the picture corresponds to, or 'auto'.
        person: a picture of whom to move, where several are in `image`.
        save_motion: where to keep the motion.
        size: pixels of the longer side.
        analysis: what `analyse` returned for `driving`, where that is done already.

    Returns:
        The report of `run_job`, with 'best_frame', and of frames those 'without_face' (they keep the motion of their
        neighbours in time), 'held_back' (turned further than a picture can be bent) and 'unfolded'.

    Raises:
        InputError: no face in either, a face too small, points that are none, a driver that does not move, an output of
            another kind.
    """
    from dfjax.data.media.progress import bar, say
    from dfjax.inference.frames import run_job
    from dfjax.inference.reenact import AnimateJob, Animator

    options = _options(drive, gain, mouth, frame, size, save_motion, force)
    plan, what = _plan(image, driving, out, options, force)
    picture, landmarks = find_source(image, points, person, size)
    start = time.monotonic()
    driver = _driver(driving, what, analysis, progress)
    searched = round(time.monotonic() - start, 2)
    if options['frame'] is not None and options['frame'] >= len(driver):
        raise InputError(f'--frame {frame}: {driving} has {len(driver)} frames, from 0')
    if what in ('video', 'motion') and driver.still and not absolute:
        raise InputError(f'{driving}: the face in it does not move, and no more would the picture; give another driver')
    if save_motion:
        from dfjax.inference.driving import save_motion as save

        save(driver, save_motion, force)
    if what == 'image' and not absolute:
        say(f'{driving}: is one picture; its pose and expression are taken over (--absolute)')
        absolute = True
    animator = Animator(
        picture, landmarks, driver, drive=options['drive'], gain=gain, absolute=absolute, mouth=options['mouth'],
        frame=options['frame'],
    )  # fmt: skip
    job = AnimateJob(animator, follows=what in ('video', 'image'))
    lost = int((~driver.known).sum())
    del driver  # as long as the video: the animator has what is left of it
    if animator.limited:
        say(f'{driving}: in {animator.limited} of {len(animator)} frames it turns further than the picture can be bent')
    with bar(f'writing {Path(out).name}', progress) as tick:
        report = run_job(job, plan, tick)
    report |= {'best_frame': animator.best[0] if len(animator.best) == 1 else animator.best, 'without_face': lost}
    report |= {'held_back': animator.limited, 'unfolded': animator.bend.folds, 'mouth': options['mouth']}
    return report | {'analysis_seconds': searched}


def animate_by_run(args: argparse.Namespace) -> dict:
    """Writes the picture moving as a trained run makes it; see `dfjax.inference.moving`."""
    from dfjax.data.media.progress import bar
    from dfjax.inference.frames import run_job
    from dfjax.inference.moving import MovingJob, open_animator
    from dfjax.inference.run import load_run

    given = {'--drive': args.drive != ','.join(PARTS), '--gain': args.gain != 1, '--points': args.points}
    given |= {'--mouth': args.mouth, '--person': args.person, '--save-motion': args.save_motion}
    if wrong := [option for option, value in given.items() if value]:
        raise InputError(f'{wrong[0]}: not with --run, whose net moves the picture as a whole')
    options = _options(args.drive, args.gain, None, args.frame, args.size, None, args.force)
    plan, what = _plan(args.image, args.driving, args.out, options, args.force)
    if what not in ('image', 'video'):
        raise InputError(f'{args.driving}: has no pictures; with --run give a video or a picture')
    opened = load_run(args.run, can=('keypoints', 'animate'))
    absolute = args.absolute or what == 'image'
    animator = open_animator(
        opened, args.image, args.driving, absolute=absolute, frame=options['frame'], whole=args.any, size=args.size
    )
    with bar(f'writing {Path(args.out).name}', True) as tick:
        report = run_job(MovingJob(animator), plan, tick)
    return report | {'best_frame': animator.best, 'absolute': absolute}


def _options(drive: str, gain: float, mouth: str | None, frame: str | int, size: int | None, save, force: bool) -> dict:
    """The options, checked before any work."""
    from dfjax.data.media.output import check_output

    parts = [part.strip() for part in drive.split(',') if part.strip()]
    if not parts or set(parts) - set(PARTS):
        raise InputError(f'--drive {drive}: give some of {", ".join(PARTS)}, with commas')
    if not 0 <= gain <= 4:
        raise InputError(f'--gain {gain:g}: give a number from 0 (no expression) to 4')
    if size is not None and size < 64:
        raise InputError(f'--size {size}: give 64 pixels or more')
    if frame != 'auto' and not str(frame).isdecimal():
        raise InputError(f'--frame {frame}: give the number of a frame of the driver, from 0, or auto')
    if save is not None:
        if Path(save).suffix.lower() != '.npz':
            raise InputError(f'{save}: a motion is kept as .npz; change the name')
        check_output(save, force)
    return {'drive': parts, 'mouth': mouth, 'frame': None if frame == 'auto' else int(frame)}


def _plan(image: Path | str, driving: Path | str, out: Path | str, options: dict, force: bool):
    """What is written, and what drives: 'talk', 'motion', 'video' or 'image'."""
    from dfjax.data.media.inputs import kind
    from dfjax.inference.driving import parse_talk
    from dfjax.inference.plan import plan_outputs

    if (what := kind(image)) not in ('image', 'video'):
        raise InputError(f'{image}: is a {what}; give one picture')
    if str(driving).split(':')[0] == 'talk' and not Path(driving).exists():
        parse_talk(str(driving))
        what = 'talk'
    elif Path(driving).suffix.lower() == '.npz':
        what = 'motion'
    elif (what := kind(driving)) not in ('image', 'video'):
        raise InputError(f'{driving}: is a {what}; give one video or picture of a face')
    follows = what in ('image', 'video')
    if options['mouth'] == 'driver' and not follows:
        raise InputError(f'--mouth driver: {driving} has no pictures; leave it out, or say drawn')
    options['mouth'] = options['mouth'] or ('driver' if follows else 'drawn')
    plan = plan_outputs(driving, out, force) if follows else plan_outputs(image, out, force, kind='video')
    return plan, what


def find_source(image: Path | str, points: str | None, person: Path | str | None, size: int | None):
    """The picture uint8 [H, W, 3] and the landmarks [68, 2] of the face to move."""
    import cv2
    import numpy as np

    from dfjax.data.faces.analyse import analyse
    from dfjax.data.media.image import write_image
    from dfjax.data.media.inputs import iter_frames
    from dfjax.data.media.progress import say
    from dfjax.inference.clicked import HELP, clicked_landmarks, parse_points

    clicked = None if points is None else parse_points(points)
    with contextlib.closing(iter_frames(image)) as frames:
        picture = next(frames)[2]
    if clicked is not None:
        landmarks = clicked_landmarks(clicked, picture.shape[1::-1])
    else:
        with tempfile.TemporaryDirectory() as folder:  # the first frame alone of a moving picture is searched
            write_image(still := Path(folder, 'first.png'), picture)
            found = analyse(still, person=person, every_face=person is None, allow_none=True, workers=1).faces
        if not found and person is None:
            raise InputError(f'{image}: no face found; show where it is by {HELP}')
        if not found:
            raise InputError(f'{image}: nobody in it looks like {person}; leave --person out, or give --points')
        largest = max(found, key=lambda face: math.dist(face.box[:2], face.box[2:]))
        if len(found) > 1 and person is None:
            say(f'{image}: {len(found)} faces; the largest is moved, --person or --points name another')
        landmarks = largest.landmarks
    share = (size or min(LONGEST, max(picture.shape[:2]))) / max(picture.shape[:2])
    landmarks = (np.asarray(landmarks, np.float64) + 0.5) * share - 0.5
    if share != 1:
        how = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, None, fx=share, fy=share, interpolation=how)
    eyes = float(np.linalg.norm(landmarks[36:42].mean(0) - landmarks[42:48].mean(0)))
    if eyes < LEAST_EYES:
        raise InputError(
            f'{image}: {eyes:.0f} pixels between the eyes are too few, {LEAST_EYES} are needed; give a larger picture'
        )
    return picture, landmarks


def _driver(driving: Path | str, what: str, analysis, progress: bool):
    """The motion."""
    from dfjax.data.faces.analyse import analyse
    from dfjax.data.media.progress import bar
    from dfjax.inference import driving as drivers

    if what == 'talk':
        return drivers.talk(str(driving))
    if what == 'motion':
        return drivers.steady(drivers.load_motion(driving))
    if analysis is None:
        with bar(f'face of {Path(driving).name}', progress) as tick:
            analysis = analyse(driving, progress=tick)
    return drivers.driver_of(analysis)

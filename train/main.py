"""Trains a system.

    python -m train.main --config configs/faceswap.py:gpu --workdir W --config.data.a=FACES_A --config.data.b=FACES_B

The same command goes on with a run that was stopped. Several machines: see `multihost.py` and the launch scripts here.
"""

import argparse
import os
import sys

from dfjax.errors import InputError


def parser() -> argparse.ArgumentParser:
    """The command line; `--config.key=value` words are left over for `load_config`."""
    made = argparse.ArgumentParser('python -m train.main', description=__doc__, allow_abbrev=False)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument('--config', required=True, metavar='FILE.py[:VARIANT]', help='configs/faceswap.py:laptop')
    made.add_argument('--workdir', required=True, metavar='W', help='the folder of the run, or gs://bucket/W')
    made.add_argument('--start-from', metavar='RUN', help='another run, whose parameters a new one begins with')
    made.add_argument('--profile', metavar='FOLDER', help='trace steps 10 to 20, for TensorBoard with xprof')
    made.add_argument('--coordinator', metavar='HOST:PORT', help='where process 0 listens')
    made.add_argument('--processes', type=int, metavar='N', help='how many processes there are')
    made.add_argument('--process', type=int, metavar='I', help='which one this is')
    return made


def run(words: list[str]) -> None:
    """Trains as the command line says.

    Raises:
        InputError: as `load_config`, `initialize` and `train`.
    """
    args, rest = parser().parse_known_args(words)
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # XLA's warnings for its developers
    from dfjax.config import load_config
    from dfjax.training.loop import train
    from train.multihost import initialize

    initialize(args.coordinator, args.processes, args.process)
    train(load_config(args.config, rest), args.workdir, start_from=args.start_from, profile=args.profile)


def main() -> None:
    """Runs the command line and exits: 0, 2 for what the user can fix, 130 and 143 after Ctrl-C and SIGTERM."""
    try:
        run(sys.argv[1:])
    except InputError as error:
        print(error, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    else:
        return
    sys.stderr.flush()
    os._exit(status) if _others() else sys.exit(status)


def _others() -> bool:
    """Whether there are other processes: leaving in order would wait for them."""
    import jax

    return jax.process_count() > 1


if __name__ == '__main__':
    main()

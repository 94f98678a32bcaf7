"""The process of one job: runs its command lines one after the other, as a person would.

    python -m dfjax.apps.studio.runner DIR/.studio/jobs/ID

What they say goes to `log`, their reports to `out`, and the exit status of the last to `status`: a studio that is
started again finds there how a job ended. SIGINT stops it as Ctrl-C does.
"""

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path

from dfjax import interrupts
from dfjax.apps import cli
from dfjax.apps.studio.store import read_json, write_json

FAILED = 70  # exit status of what should not happen


def main(folder: Path) -> int:
    """Runs the job in `folder`; returns the exit status."""
    job, status = read_json(folder / 'job.json'), FAILED
    with contextlib.suppress(OSError):
        os.set_inheritable(int(os.environ.get('DFJAX_STUDIO_LOCK', '-1')), False)  # the lock is this process's alone
    # What a script starts in the background ignores Ctrl-C, as the studio, and so would its jobs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupts.watch()
        for number, words in enumerate(job['commands']):
            write_json(folder / 'at.json', {'command': number})
            if status := cli.main([*words, '--json']):
                break
    except KeyboardInterrupt:
        status = 130
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else FAILED
    except MemoryError:
        print('dfjax: there was not enough memory', file=sys.stderr)
    except Exception:
        traceback.print_exc()
    write_json(folder / 'status', {'status': status})
    return status


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1])))

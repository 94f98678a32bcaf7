"""Runs the quick tests with the oldest set of libraries that setup.py allows, and with the newest. It is not a test.

    python tests/bounds.py oldest newest [-- PYTEST WORDS]

Each set gets a virtual environment of its own, which is deleted afterwards. Exit status 1 if a set cannot be installed
or a test fails.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUICK = ['-m', 'not slow and not whole']
SETS = {'oldest': 'lowest-direct', 'newest': 'highest'}  # uv's words: of what setup.py names, and what that needs


def tried(which: str, words: list[str]) -> bool:
    """Installs a set and runs the tests with it; whether they pass."""
    with tempfile.TemporaryDirectory(prefix='dfjax-bounds-') as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder, 'bin', 'python'))
        uv = [python, '-m', 'uv', 'pip']
        commands = [[python, '-m', 'pip', 'install', '-q', 'uv']]
        commands += [[*uv, 'install', '-q', '--python', python, '--resolution', SETS[which], f'{ROOT}[test]']]
        commands += [[*uv, 'freeze', '--python', python]]
        commands += [[python, '-m', 'pytest', '-p', 'no:cacheprovider', *(words or QUICK)]]
        for command in commands:
            print(f'{which}: {" ".join(command)}', flush=True)
            if subprocess.run(command, cwd=ROOT).returncode:
                return False
    return True


def main(words: list[str]) -> int:
    sets, more = (words[: words.index('--')], words[words.index('--') + 1 :]) if '--' in words else (words, [])
    results = {which: tried(which, more) for which in sets or SETS}
    for which, good in results.items():
        print(f'{which}: {"passes" if good else "FAILS"}')
    return int(not all(results.values()))


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))

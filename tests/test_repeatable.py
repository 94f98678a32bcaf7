"""The same pictures make the same file, whatever the memory held that an encoder was given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRITE = """
import hashlib, sys
import numpy as np
from dfjax.data.media.video import VideoWriter

noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
with VideoWriter(sys.argv[1], 25, (192, 192), codec=sys.argv[2]) as writer:
    for n in range(20):
        writer.write(np.roll(noise, (2 * n, -3 * n), (0, 1))[:192, :192])
print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())
"""


@pytest.mark.parametrize('codec', ['h264', 'hevc'])
def test_no_byte_of_a_video_follows_from_memory_that_nobody_wrote(tmp_path, codec):
    made = set()
    for fill in ('1', '90', '200'):  # what the C library of Linux lays into memory that it hands out; others ignore it
        command = [sys.executable, '-c', WRITE, tmp_path / f'{fill}.mp4', codec]
        environment = os.environ | {'MALLOC_PERTURB_': fill, 'PYTHONPATH': str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        made.add(done.stdout)
    assert len(made) == 1

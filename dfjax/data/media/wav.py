"""Sound as float32 samples, from and to RIFF WAVE files."""

import struct
from pathlib import Path

import numpy as np

from dfjax.data.media.output import atomic_path
from dfjax.errors import InputError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def read_wav(path) -> tuple[np.ndarray, int]:
    """Samples float32 [T, C] in [-1, 1] and their rate in Hz, from PCM of 8, 16, 24 or 32 bits or IEEE float.

    An integer sample is divided by 2**(bits-1). Raises InputError for a file that is missing, empty, cut short, not
    WAVE, or compressed.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: {"is a folder, not a sound" if path.is_dir() else "no such file"}')
    data = path.read_bytes()
    if not data:
        raise InputError(f'{path}: the file is empty')
    if data[:4] != b'RIFF' or data[8:12] != b'WAVE':
        raise InputError(f'{path}: not a WAVE file; convert the sound to .wav')
    chunks = _chunks(path, data)
    if len(chunks.get(b'fmt ', b'')) < 16 or b'data' not in chunks:
        raise InputError(f'{path}: cut short or damaged: its format or its samples are missing')
    form = chunks[b'fmt ']
    coding, channels, rate, _, _, bits = struct.unpack('<HHIIHH', form[:16])
    if coding == EXTENSIBLE and len(form) >= 26:
        coding = struct.unpack('<H', form[24:26])[0]
    samples = _decode(chunks[b'data'], coding, bits)
    if samples is None or not channels or not rate:
        raise InputError(f'{path}: sound of coding {coding} with {bits} bits is not read; convert it to 16-bit PCM')
    samples = samples[: len(samples) // channels * channels].reshape(-1, channels)  # [T, C]
    if not len(samples):
        raise InputError(f'{path}: holds no sound')
    return samples, rate


def write_wav(path, samples: np.ndarray, rate: int) -> None:
    """Writes [T] or [T, C] float samples in [-1, 1] as 16-bit PCM, clipped; whole or not at all."""
    samples = np.atleast_2d(np.asarray(samples, np.float32).T).T  # [T, C]
    body = np.clip(np.round(samples * 32768), -32768, 32767).astype('<i2').tobytes()
    channels = samples.shape[1]
    form = struct.pack('<HHIIHH', PCM, channels, rate, rate * channels * 2, channels * 2, 16)
    chunks = b'WAVE' + _chunk(b'fmt ', form) + _chunk(b'data', body)
    with atomic_path(path, force=True) as temporary:
        temporary.write_bytes(_chunk(b'RIFF', chunks))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack('<I', len(body)) + body + b'\0' * (len(body) % 2)


def _chunks(path: Path, data: bytes) -> dict[bytes, bytes]:
    chunks, at = {}, 12
    while at + 8 <= len(data) and b'data' not in chunks:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], 'little')
        # A recorder that writes into a pipe cannot know the size and states the largest one, or none: read to the end.
        piped = name == b'data' and size in (0, 0xFFFFFFFF, 0x7FFFFFFF)
        chunks[name] = data[at + 8 :] if piped else data[at + 8 : at + 8 + size]
        if not piped and len(chunks[name]) < size:
            raise InputError(f'{path}: cut short: {len(chunks[name])} of {size} bytes of sound are there')
        at += 8 + size + size % 2
    return chunks


def _decode(body: bytes, coding: int, bits: int) -> np.ndarray | None:
    size = bits // 8
    body = body[: len(body) // size * size] if size else b''
    if coding == FLOAT and bits in (32, 64):
        return np.frombuffer(body, f'<f{size}').astype(np.float32)
    if coding != PCM or bits not in (8, 16, 24, 32):
        return None
    if bits == 8:  # the one unsigned format
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / 128
    if bits == 24:  # as the upper three bytes of 32
        wide = np.zeros((len(body) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
        return (wide.view('<i4')[:, 0] / 2**31).astype(np.float32)
    return (np.frombuffer(body, f'<i{size}') / 2 ** (bits - 1)).astype(np.float32)

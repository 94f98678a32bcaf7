"""Wrong bytes: what disks, editors, cut transfers and attackers make of a good file. A function of (seed, number)."""

import json
import random
import struct

NUMBERS = [0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
VALUES = [None, [], {}, [[]], '', 'x' * 3000, '\ud800', '\0', True, -1, 0, 0.5, 1e308, -1e308, 10**25, 2**63, [1] * 300]
VALUES += [float('nan'), float('inf'), [[1, 2], [3]], {'a': {'b': {}}}, '../../x', '²', 'render:1:9']
TOKENS = [
    b'\0' * 8,
    b'\xff' * 8,
    b'[' * 5000,
    b'{"a":' * 500,
    b'null',
    b'NaN',
    b'1e999',
    b'-',
    b'"',
    b'\xff\xfe',
    b'\r\n',
]
TOKENS += [
    b'PK\x03\x04',
    b'\x80\x02',
    b'.',
    b'(',
    b'2\x86' * 40,
    b'\x85' * 2000,
    b'}',
    b'R',
    b'h\x00',
    b'moov',
    b'IHDR',
]


def mutated(good: bytes, other: bytes, chance: random.Random) -> bytes:
    """A variant of a good file; `other` is one that pieces may come from."""
    if chance.random() < 0.4 and (made := _other_values(good, chance)) is not None:
        return made
    made = bytearray(good)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        chance.choice(CHANGES)(made, other, chance)
    return bytes(made)


def _flip(made: bytearray, other: bytes, chance: random.Random) -> None:
    if made:
        made[_place(made, chance)] ^= 1 << chance.randrange(8)


def _byte(made: bytearray, other: bytes, chance: random.Random) -> None:
    if made:
        made[_place(made, chance)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _number(made: bytearray, other: bytes, chance: random.Random) -> None:
    kind = chance.choice('BHIQ')
    packed = struct.pack(chance.choice('<>') + kind, chance.choice(NUMBERS) % 2 ** (8 * struct.calcsize(kind)))
    at = _place(made, chance)
    made[at : at + len(packed)] = packed


def _cut(made: bytearray, other: bytes, chance: random.Random) -> None:
    del made[_place(made, chance) :]


def _remove(made: bytearray, other: bytes, chance: random.Random) -> None:
    at = _place(made, chance)
    del made[at : at + chance.choice((1, 2, 4, 16, 256))]


def _repeat(made: bytearray, other: bytes, chance: random.Random) -> None:
    at, size = _place(made, chance), chance.choice((1, 4, 16, 256))
    made[at:at] = made[at : at + size] * chance.choice((1, 2, 50))


def _splice(made: bytearray, other: bytes, chance: random.Random) -> None:
    size = chance.choice((4, 32, 512))
    there = chance.randrange(max(len(other), 1))
    at = _place(made, chance)
    made[at : at + size] = other[there : there + size]


def _token(made: bytearray, other: bytes, chance: random.Random) -> None:
    at, token = _place(made, chance), chance.choice(TOKENS)
    made[at : at + chance.choice((0, len(token)))] = token


CHANGES = (_flip, _flip, _byte, _byte, _number, _number, _cut, _remove, _repeat, _splice, _token)


def _place(made: bytearray, chance: random.Random) -> int:
    """More often near the beginning, where headers are, or the end, where indices are."""
    near = min(len(made), 512)
    kind = chance.random()
    at = chance.randrange(max(near if kind < 0.6 else len(made), 1))
    return max(len(made) - 1 - at, 0) if 0.5 < kind < 0.6 else at


def _other_values(good: bytes, chance: random.Random) -> bytes | None:
    """JSON, or a line of it, with a value replaced; None if it is none."""
    lines = good.splitlines() or [b'']
    at = chance.randrange(len(lines))
    whole = good[:1] == b'{' and len(lines) > 1 and lines[0].strip() == b'{'
    try:
        value = json.loads(good if whole else lines[at])
    except ValueError:
        return None
    holder = [value]
    part, key = holder, 0
    while isinstance(part[key], dict | list) and part[key] and chance.random() < 0.85:
        part = part[key]
        key = chance.choice(list(part) if isinstance(part, dict) else range(len(part)))
    if isinstance(part, dict) and chance.random() < 0.15:
        part[chance.choice(('', 'x' * 2000, '\ud800', 'steps', 'size'))] = part.pop(key)
    else:
        part[key] = chance.choice(VALUES)
    text = json.dumps(holder[0]).encode()
    return text if whole else b'\n'.join([*lines[:at], text, *lines[at + 1 :]])

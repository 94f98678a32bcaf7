"""A second reader of content credentials, from the specification alone: JUMBF, CBOR, COSE and X.509. It is not a test.

C2PA 2.2, sections 11.1 (JUMBF in files), 13 (hashed URIs), 14 (signatures), 18 (data hash); RFC 8949 and 9052 (CBOR,
COSE).
"""

import hashlib
import struct
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

UUID = bytes.fromhex('d8fec3d61b0e483c92975828877ec481')  # of C2PA's box in an mp4


def store(path: Path) -> bytes:
    """The manifest store of a PNG, JPEG or MP4."""
    data = path.read_bytes()
    if data[:4] == b'\x89PNG':
        at = 8
        while at < len(data):
            size, kind = struct.unpack('>I4s', data[at : at + 8])
            if kind == b'caBX':
                return data[at + 8 : at + 8 + size]
            at += 12 + size
    if data[:2] == b'\xff\xd8':
        at, found = 2, b''
        while data[at + 1] not in (0xDA, 0xD9):
            size = struct.unpack('>H', data[at + 2 : at + 4])[0]
            if data[at + 1] == 0xEB and data[at + 4 : at + 6] == b'JP':
                number = struct.unpack('>I', data[at + 8 : at + 12])[0]
                found += data[at + 12 + (8 if number > 1 else 0) : at + 2 + size]  # each repeats the box's header
            at += 2 + size
        return found
    for kind, body in boxes(data):
        if kind == b'uuid' and body[:16] == UUID:
            return body[body.index(b'manifest\0') + 9 + 8 :]  # version and flags, purpose, and a place
    raise AssertionError(f'{path}: no manifest store')


def boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """ISO boxes one after another: type and content."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack('>I4s', data[at : at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack('>Q', data[at + 8 : at + 16])[0], 16
        found.append((kind, data[at + head : at + (size or len(data))]))
        at += size or len(data)
    return found


def tree(content: bytes) -> tuple[str, dict, bytes]:
    """A JUMBF superbox: its label, the superboxes in it by label (with their own content), and its first content."""
    inside = boxes(content)
    described = inside[0][1]
    label = described[17:].split(b'\0')[0].decode()
    supers = {tree(body)[0]: body for kind, body in inside[1:] if kind == b'jumb'}
    plain = next((body for kind, body in inside[1:] if kind != b'jumb'), b'')
    return label, supers, plain


def cbor(data: bytes, at: int = 0) -> tuple[object, int]:
    """A value and where it ends."""
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if low in (24, 25, 26, 27):
        size = 1 << (low - 24)
        number, at = int.from_bytes(data[at : at + size], 'big'), at + size
    else:
        number = low
    if major in (0, 1):
        return (number if major == 0 else -1 - number), at
    if major in (2, 3):
        text = data[at : at + number]
        return (text if major == 2 else text.decode()), at + number
    if major == 4:
        values = []
        for _ in range(number):
            value, at = cbor(data, at)
            values.append(value)
        return values, at
    if major == 5:
        pairs = {}
        for _ in range(number):
            key, at = cbor(data, at)
            pairs[key], at = cbor(data, at)
        return pairs, at
    if major == 6:
        return cbor(data, at)
    return {20: False, 21: True, 22: None}[low], at


def written(value: bytes | str | list) -> bytes:
    """CBOR of byte strings, texts and lists of them."""
    if isinstance(value, list):
        return bytes([0x80 + len(value)]) + b''.join(map(written, value))
    raw, major = (value, 0x40) if isinstance(value, bytes) else (value.encode(), 0x60)
    if len(raw) < 24:
        return bytes([major + len(raw)]) + raw
    return bytes([major + 25]) + struct.pack('>H', len(raw)) + raw


def verified(path: Path) -> dict:
    """What the credentials of a file say, each by the label of its assertion, once all of it is found to hold."""
    (_, body) = boxes(store(path))[0]
    _, manifests, _ = tree(body)
    _, parts, _ = tree(list(manifests.values())[-1])
    claim_bytes = tree(parts['c2pa.claim.v2'])[2]
    claim = cbor(claim_bytes)[0]
    protected, unprotected, _, signature = cbor(tree(parts['c2pa.signature'])[2])[0]
    head = cbor(protected)[0]
    chain = head.get(33) or unprotected.get(33)
    leaf, root = (x509.load_der_x509_certificate(one) for one in chain)
    assert head[1] == -7  # ES256
    half = len(signature) // 2
    der = utils.encode_dss_signature(*(int.from_bytes(part, 'big') for part in (signature[:half], signature[half:])))
    signed = written(['Signature1', protected, b'', claim_bytes])
    leaf.public_key().verify(der, signed, ec.ECDSA(hashes.SHA256()))
    leaf.verify_directly_issued_by(root)
    said, known = {}, tree(parts['c2pa.assertions'])[1]
    for assertion in claim['created_assertions'] + claim.get('gathered_assertions', []):
        label = assertion['url'].rpartition('/')[2]
        assert hashlib.sha256(known[label]).digest() == assertion['hash'], label
        said[label] = cbor(tree(known[label])[2])[0]
    if 'c2pa.hash.data' in said:
        hashed, data = said['c2pa.hash.data'], bytearray(path.read_bytes())
        for gap in sorted(hashed['exclusions'], key=lambda gap: -gap['start']):
            del data[gap['start'] : gap['start'] + gap['length']]
        assert hashlib.sha256(data).digest() == hashed['hash'], 'the content was changed'
    return said

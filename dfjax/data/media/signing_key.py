"""The user's own signing key and certificates for content credentials, made on first use."""

import contextlib
import datetime
import functools
import os
from pathlib import Path

from dfjax.data.media.output import hidden_name
from dfjax.errors import InputError

DAYS = 3650  # without a time-stamping authority a signature is good for as long as its certificate
ORGANISATION = 'dfjax, key of an unknown user'
CERTIFICATE = b'-----BEGIN CERTIFICATE-----'


def signer_file() -> Path:
    """$XDG_CONFIG_HOME/dfjax/signer.pem, else ~/.config/dfjax/signer.pem: the private key, readable by the user alone,
    then the certificates."""
    return Path(os.environ.get('XDG_CONFIG_HOME') or Path.home() / '.config') / 'dfjax' / 'signer.pem'


@functools.cache
def identity(file: Path) -> tuple[bytes, bytes]:
    """(certificates, private key) as PEM from `file`, made where it does not exist or has run out.

    Where the folder cannot be written (a container, a read-only home) they live in memory for this process. Raises
    InputError where the file is damaged.
    """
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        try:
            key, begin, rest = file.read_bytes().partition(CERTIFICATE)
            chain = begin + rest
            if x509.load_pem_x509_certificate(chain).not_valid_after_utc > now:
                return chain, key
        except (ValueError, PermissionError) as error:
            raise InputError(f'{file}: the signing key cannot be read; delete it and a new one is made') from error
    chain, key = _new_identity(now)
    with contextlib.suppress(OSError):
        _store(file, key + chain)
    return chain, key


def _store(file: Path, text: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = hidden_name(file)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as out:
            out.write(text)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def _new_identity(now: datetime.datetime) -> tuple[bytes, bytes]:
    """A root and, signed by it, a leaf with the key usages that C2PA asks of a signer. The root's key is dropped at
    once, so that nothing else can ever be signed with it. (C2PA 2.2, section 14.5: certificate profile)"""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate('dfjax local root', root_key.public_key(), root_key, now, is_root=True)
    leaf = _certificate('dfjax', leaf_key.public_key(), root_key, now, is_root=False)
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return leaf + root, key


def _certificate(name: str, public_key, root_key, now: datetime.datetime, *, is_root: bool) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def called(common: str) -> x509.Name:
        names = (NameOID.ORGANIZATION_NAME, ORGANISATION), (NameOID.COMMON_NAME, common)
        return x509.Name([x509.NameAttribute(*pair) for pair in names])

    day = datetime.timedelta(days=1)
    usage = dict.fromkeys(
        (
            'content_commitment',
            'key_encipherment',
            'data_encipherment',
            'key_agreement',
            'encipher_only',
            'decipher_only',
        ),
        False,
    )
    usage |= {'digital_signature': not is_root, 'key_cert_sign': is_root, 'crl_sign': is_root}
    builder = (
        x509.CertificateBuilder()
        .subject_name(called(name))
        .issuer_name(called('dfjax local root'))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)  # clocks differ
        .not_valid_after(now + DAYS * day)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=0 if is_root else None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
    )
    if not is_root:
        document_signing = x509.ObjectIdentifier('1.3.6.1.5.5.7.3.36')  # RFC 9336
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, document_signing])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

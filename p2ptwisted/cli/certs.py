"""`p2p certs`: a private certificate authority, and a certificate for each host of a group."""

import datetime
import os
import re
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from p2ptwisted.cli.exits import Exit, Problem
from p2ptwisted.cli.output import say, tell
from p2ptwisted.errors import InvalidInput

#: What the files of the authority are called.
CERTIFICATE, KEY = "ca.pem", "ca-key.pem"

#: For how long the authority's own certificate is good, and a host's.
AUTHORITY_LIFE, HOST_LIFE = datetime.timedelta(days=3650), datetime.timedelta(days=825)

#: Certificates are good from so long before, for clocks that are behind.
EARLIER = datetime.timedelta(days=1)

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?", re.ASCII)


def print_certificates(folder: Path, hosts: Sequence[str]) -> Exit:
    """Make them, and say where they are and how they are used."""
    try:
        made = make_certificates(folder, hosts, datetime.datetime.now(datetime.UTC))
    except InvalidInput as error:
        raise Problem(str(error), Exit.USAGE) from None
    except OSError as error:
        raise Problem(f"{folder} can't be written to: {error.strerror}") from None
    say(*(str(path) for path in made))
    tell(
        f"{folder / CERTIFICATE} goes to every member (--ca-file), each host's file only to that "
        "host (--port ssl:PORT:privateKey=FILE:certKey=FILE), "
        f"and {folder / KEY} nowhere: keep it safe"
    )
    return Exit.OK


class Authority:
    """Who signs the certificates of a group."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    def certify(self, host: str, now: datetime.datetime) -> bytes:
        """A new key and a certificate for a host (name or IPv4 address), both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [_general_name(host)]
        certificate = (
            _begun(host, key, now, HOST_LIFE)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, SHA256())
        )
        return _key_pem(key) + certificate.public_bytes(Encoding.PEM)


def make_certificates(folder: Path, hosts: Sequence[str], now: datetime.datetime) -> list[Path]:
    """
    A file with key and certificate for each of these hosts, signed by the authority in the folder.

    The authority is made where there is none. Raises InvalidInput, and OSError.
    """
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise InvalidInput(f"{host!r} is neither a host's name nor its IPv4 address")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _open_authority(folder, now)
    made = []
    for host in hosts:
        path = folder / f"{host}.pem"
        _write(path, authority.certify(host, now))
        made.append(path)
    return made


def _open_authority(folder: Path, now: datetime.datetime) -> Authority:
    certificate_path, key_path = folder / CERTIFICATE, folder / KEY
    if not key_path.exists() and not certificate_path.exists():
        return _make_authority(certificate_path, key_path, now)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = load_pem_private_key(key_path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"the authority in {folder} can't be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput(f"{key_path} is not a key that this command has made")
    if certificate.public_key() != key.public_key():
        raise InvalidInput(f"{certificate_path} and {key_path} don't belong together")
    return Authority(certificate, key)


def _make_authority(certificate_path: Path, key_path: Path, now: datetime.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begun("p2ptwisted private authority", key, now, AUTHORITY_LIFE)
    certificate = (
        builder.issuer_name(_name("p2ptwisted private authority"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_AUTHORITY_USAGE, critical=True)
        .sign(key, SHA256())
    )
    _write(key_path, _key_pem(key))
    _write(certificate_path, certificate.public_bytes(Encoding.PEM), mode=0o644)
    return Authority(certificate, key)


def _begun(
    name: str, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, life: datetime.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + life)
    )


def _name(name: str) -> x509.Name:
    # 64 characters are what X.509 allows here; what counts is the alternative name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(IPv4Address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """A file that is whole or not there, and never readable by others for a moment."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(file, content)
    finally:
        os.close(file)
    os.replace(new, path)


_AUTHORITY_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)

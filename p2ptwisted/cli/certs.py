"""`p2p certs`: a private certificate authority, and a certificate for each host of a group."""

import datetime
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
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

from p2ptwisted.addresses import parse_host
from p2ptwisted.cli.exits import Exit, Problem
from p2ptwisted.cli.output import say, tell
from p2ptwisted.errors import InvalidInput

#: What the files of the authority are called.
CERTIFICATE, KEY = "ca.pem", "ca-key.pem"

#: For how long the authority's own certificate is good, and a host's.
AUTHORITY_LIFE, HOST_LIFE = datetime.timedelta(days=3650), datetime.timedelta(days=825)

#: Certificates are good from so long before, for clocks that are behind.
EARLIER = datetime.timedelta(days=1)

#: A host's name: its last part has a letter, for else it would pass for an address.
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)(?=[0-9-]*[a-z])[a-z0-9-]{1,63}(?<!-)",
    re.ASCII | re.IGNORECASE,
)


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

    def certify(self, host: "Host", now: datetime.datetime) -> bytes:
        """A new key and a certificate for a host, both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Nobody believes it for longer than the authority.
        end = min(now + HOST_LIFE, self._certificate.not_valid_after_utc)
        certificate = (
            _begun(str(host.address), key, now, end)
            .issuer_name(self._certificate.subject)
            .add_extension(host.alternative_names(), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, SHA256())
        )
        return _key_pem(key) + certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class Host:
    """One whose certificate is for all of these."""

    address: IPv4Address
    #: By which else it is called: a browser perhaps goes by them; members never do.
    others: Sequence[IPv4Address | str] = ()

    def alternative_names(self) -> x509.SubjectAlternativeName:
        names = dict.fromkeys([self.address, *self.others])
        return x509.SubjectAlternativeName(
            [x509.DNSName(one) if isinstance(one, str) else x509.IPAddress(one) for one in names]
        )


def parse_hosts(texts: Sequence[str]) -> list[Host]:
    """Read `ADDRESS` or `ADDRESS,NAME,...`, each for one host. Raises InvalidInput."""
    hosts = []
    for text in texts:
        address, *others = map(_address_or_name, text.split(","))
        if isinstance(address, str):
            raise InvalidInput(
                f"{text[:80]!r} has no address: members call each other by IPv4 address, "
                f"so write ADDRESS,{address[:80]}"
            )
        hosts.append(Host(address, others))
    if len({host.address for host in hosts}) < len(hosts):
        raise InvalidInput("an address is there twice: write all names of a host in one, by commas")
    return hosts


def _address_or_name(text: str) -> IPv4Address | str:
    try:
        return parse_host(text)
    except InvalidInput:
        if _NAME.fullmatch(text):
            return text
        raise InvalidInput(
            f"{text[:80]!r} is neither the IPv4 address of a host nor its name"
        ) from None


def make_certificates(folder: Path, hosts: Sequence[str], now: datetime.datetime) -> list[Path]:
    """
    A file with key and certificate for each of these hosts, signed by the authority in the folder.

    Each is `ADDRESS` or `ADDRESS,NAME,...`. The authority is made where there
    is none. Raises InvalidInput, and OSError.
    """
    parsed = parse_hosts(hosts)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = _open_authority(folder, now)
    made = []
    for host in parsed:
        path = folder / f"{host.address}.pem"
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
    if certificate.not_valid_after_utc <= now:
        raise InvalidInput(
            f"the authority in {folder} was good until {certificate.not_valid_after_utc:%Y-%m-%d}: "
            "make another, in another folder"
        )
    return Authority(certificate, key)


def _make_authority(certificate_path: Path, key_path: Path, now: datetime.datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begun("p2ptwisted private authority", key, now, now + AUTHORITY_LIFE)
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
    name: str, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, end: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


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

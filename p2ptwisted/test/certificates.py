"""Certificates as no honest authority makes them, and as it does."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Whom the tests call.
ADDRESS = "10.0.0.1"

FOR_SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
FOR_ADDRESS = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(ADDRESS))])

_DAY = datetime.timedelta(days=1)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, path: Path, mode: int = 0o600) -> Path:
        """Key and certificate in one file."""
        path.write_bytes(self.key_pem + self.pem)
        path.chmod(mode)
        return path

    def write_apart(self, certificate: Path, key: Path) -> None:
        """In two files, the key readable by its owner only."""
        certificate.write_bytes(self.pem)
        key.touch(0o600)
        key.write_bytes(self.key_pem)


def issue(
    *extensions: x509.ExtensionType,
    by: Issued | None = None,
    name: str = "a host",
    days: Sequence[int] = (-1, 1),
) -> Issued:
    """A certificate with these extensions, signed by itself or somebody else."""
    key, now = _key(), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if by is None else by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * _DAY)
        .not_valid_after(now + days[1] * _DAY)
    )
    if by is not None:
        # As everybody does, and strict readers ask for.
        extensions += (x509.AuthorityKeyIdentifier.from_issuer_public_key(by.key.public_key()),)
    for extension in extensions:
        critical = isinstance(extension, x509.BasicConstraints | x509.NameConstraints)
        builder = builder.add_extension(extension, critical=critical)
    return Issued(builder.sign(key if by is None else by.key, SHA256()), key)


def issue_authority(name: str = "an authority", by: Issued | None = None) -> Issued:
    return issue(x509.BasicConstraints(ca=True, path_length=None), name=name, by=by)

"""`p2p certs`: a private certificate authority, and a certificate for each host of a group."""

import datetime
import os
import re
import stat
import tempfile
from collections.abc import Callable, Sequence
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

from p2ptwisted.cli.end_signals import END_SIGNALS
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.host_file import FILE_MAX, fault_of
from p2ptwisted.cli.name_constraints import PermittedNames
from p2ptwisted.cli.output import print_lines, print_message
from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.private_files import ReadFile, read_file
from p2ptwisted.support.locations import parse_host, parse_network
from p2ptwisted.transfer.target_folder import is_replaceable

#: What the files of the authority are called.
CERTIFICATE, KEY = "ca.pem", "ca-key.pem"

#: For how long the authority's own certificate is good, and a host's.
AUTHORITY_LIFE, HOST_LIFE = datetime.timedelta(days=3650), datetime.timedelta(days=825)

#: Certificates are valid from this long before they are made, for clocks that are behind.
CLOCK_SKEW = datetime.timedelta(days=1)

#: A host's name: its last part has a letter, for else it would pass for an address.
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)(?=[0-9-]*[a-z])[a-z0-9-]{1,63}(?<!-)",
    re.ASCII | re.IGNORECASE,
)


def print_certificates(
    folder: Path,
    hosts: Sequence[str],
    networks: Sequence[str],
    domains: Sequence[str],
    replace: bool = False,
) -> ExitStatus:
    """Make certificates, and print where they are and how they are used."""
    now = datetime.datetime.now(datetime.UTC)
    status = ExitStatus.OK

    def keep(path: Path, fault: str | None) -> None:
        nonlocal status
        if fault is None:
            print_message(f"{path} is there, and kept: --replace makes a new key and certificate")
        else:
            status = ExitStatus.FAILED
            print_message(
                f"{path} is there, and kept, but {fault}: --replace makes a new key and certificate"
            )

    try:
        made = make_certificates(folder, hosts, now, networks, domains, None if replace else keep)
    except InvalidInput as error:
        raise CommandError(str(error), ExitStatus.USAGE) from None
    except OSError as error:
        raise CommandError(f"{folder} can't be written to: {error.strerror}") from None
    print_lines(*(str(path) for path in made))
    if made or not hosts:
        print_message(
            f"{folder / CERTIFICATE} goes to every member (--ca-file), each host's file only to "
            "that host (--port ssl:PORT:privateKey=FILE:certKey=FILE), "
            f"and {folder / KEY} nowhere: keep it safe"
        )
    return status


class CertificateAuthority:
    """The private authority that signs the certificates of a group."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key
        #: The names that it may sign for.
        self.bounds = PermittedNames.of(certificate)

    def certify(self, host: "CertifiedHost", now: datetime.datetime) -> bytes:
        """A new key and a certificate for a host, both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        # Nobody believes it for longer than the authority.
        end = min(now + HOST_LIFE, self.certificate.not_valid_after_utc)
        certificate = (
            _certificate_builder(host.subject, key, now, end)
            .issuer_name(self.certificate.subject)
            .add_extension(host.alternative_names(), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(_FOR_SERVERS, critical=False)
            .sign(self._key, SHA256())
        )
        return _key_pem(key) + certificate.public_bytes(Encoding.PEM)


@dataclass(frozen=True)
class CertifiedHost:
    """A host whose certificate is for all of these names."""

    address: IPv4Address
    #: Further names, which a browser may call it by; members never do.
    others: Sequence[IPv4Address | str] = ()

    @property
    def subject(self) -> x509.Name:
        """
        What the certificate calls it, for people.

        It is no common name: where there is no DNS name, GnuTLS (aria2 and wget2) takes that for
        one, whatever is in it, and finds that the authority may not sign for it.
        """
        called = f"p2ptwisted host {self.address}"
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, called)])

    @property
    def names(self) -> list[IPv4Address | str]:
        return list(dict.fromkeys([self.address, *self.others]))

    def alternative_names(self) -> x509.SubjectAlternativeName:
        return x509.SubjectAlternativeName(
            [
                x509.DNSName(one) if isinstance(one, str) else x509.IPAddress(one)
                for one in self.names
            ]
        )


def parse_hosts(texts: Sequence[str]) -> list[CertifiedHost]:
    """Read `ADDRESS` or `ADDRESS,NAME,...`, each for one host. Raises InvalidInput."""
    hosts = []
    for text in texts:
        address, *others = map(_address_or_name, text.split(","))
        if isinstance(address, str):
            raise InvalidInput(
                f"{text[:80]!r} has no address: members call each other by IPv4 address, "
                f"so write ADDRESS,{address[:80]}"
            )
        hosts.append(CertifiedHost(address, others))
    if len({host.address for host in hosts}) < len(hosts):
        raise InvalidInput(
            "an address is given twice: write all names of a host together, separated by commas"
        )
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


def make_certificates(
    folder: Path,
    hosts: Sequence[str],
    now: datetime.datetime,
    networks: Sequence[str] = (),
    domains: Sequence[str] = (),
    keep: Callable[[Path, str | None], None] | None = None,
) -> list[Path]:
    """
    A file with key and certificate for each of these hosts, signed by the authority in the folder.

    Each is `ADDRESS` or `ADDRESS,NAME,...`. The authority is made where there
    is none; then it may sign for what is private, for these hosts, and for
    what is in `networks` and `domains`. `keep` is called with each host's file
    that is there already, and with what is wrong with it; None: it is replaced.
    Raises InvalidInput, and OSError.
    """
    parsed = parse_hosts(hosts)
    more = PermittedNames(
        [parse_network(text, "203.0.113.0/24") for text in networks],
        [_domain(text) for text in domains],
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_folder(folder)
    authority = _open_authority(folder, now, parsed, more)
    made = []
    for host in parsed:
        path = folder / f"{host.address}.pem"
        if keep is not None and os.path.lexists(path):
            keep(path, fault_of(path, host.names, now, authority.certificate))
            continue
        _write(path, authority.certify(host, now))
        made.append(path)
    return made


def _domain(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{text[:80]!r} is not a domain such as example.org")
    return text.lower()


def _check_folder(folder: Path) -> None:
    """Raises InvalidInput where others could put files of their own in place of what is made."""
    status = folder.stat()
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidInput(f"others can write to {folder}: chmod go-w it, or name another folder")
    if status.st_uid != os.geteuid():
        raise InvalidInput(f"{folder} is another user's: name a folder of your own")


def _open_authority(
    folder: Path, now: datetime.datetime, hosts: Sequence[CertifiedHost], more: PermittedNames
) -> CertificateAuthority:
    certificate_path, key_path = folder / CERTIFICATE, folder / KEY
    if not os.path.lexists(key_path) and not os.path.lexists(certificate_path):
        names = [name for host in hosts for name in host.names]
        return _make_authority(certificate_path, key_path, now, PermittedNames.around(names, more))
    authority = _load_authority(certificate_path, key_path, now)
    for host in hosts:
        for name in host.names:
            if not authority.bounds.permit(name):
                raise InvalidInput(
                    f"the authority in {folder} may not sign for {name}: create another "
                    "in another folder, with a --network or --domain that all future hosts are in. "
                    "Members trust both authorities if both ca.pem are in one file"
                )
    if not authority.bounds.include(more):
        raise InvalidInput(
            f"there is an authority in {folder} already, and what it may sign for can't be "
            "changed: use --network and --domain to create another, in another folder"
        )
    return authority


def _load_authority(
    certificate_path: Path, key_path: Path, now: datetime.datetime
) -> CertificateAuthority:
    folder = key_path.parent
    certificate_pem = _read(certificate_path).content
    key_file = _read(key_path)
    key_file.check_private(str(key_path))
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = load_pem_private_key(key_file.content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"the authority in {folder} can't be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput(f"{key_path} is not a key that this command has made")
    if certificate.public_key() != key.public_key():
        raise InvalidInput(f"{certificate_path} and {key_path} don't belong together")
    if certificate.not_valid_after_utc <= now:
        raise InvalidInput(
            f"the authority in {folder} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: "
            "create another, in another folder"
        )
    return CertificateAuthority(certificate, key)


def _read(path: Path) -> ReadFile:
    try:
        return read_file(path, FILE_MAX)
    except InvalidInput as error:
        raise InvalidInput(f"can't read {path}: {error}") from None


def _make_authority(
    certificate_path: Path, key_path: Path, now: datetime.datetime, bounds: PermittedNames
) -> CertificateAuthority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2ptwisted private authority")])
    certificate = (
        _certificate_builder(name, key, now, now + AUTHORITY_LIFE)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        # What it signs is for nothing else either: no mail, no programs.
        .add_extension(_FOR_SERVERS, critical=False)
        .add_extension(bounds.extension(), critical=True)
        .sign(key, SHA256())
    )
    _write(key_path, _key_pem(key))
    _write(certificate_path, certificate.public_bytes(Encoding.PEM), mode=0o644)
    return CertificateAuthority(certificate, key)


def _certificate_builder(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@END_SIGNALS.held()
def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is complete or absent, and at no moment readable by others."""
    if not is_replaceable(path):
        raise InvalidInput(f"{path} is not a regular file: remove it, or name another folder")
    # Made by us alone, under a name that nobody knew.
    descriptor, new = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        os.replace(new, path)
    except BaseException:
        Path(new).unlink()
        raise


def _usage(
    digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


_FOR_SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])

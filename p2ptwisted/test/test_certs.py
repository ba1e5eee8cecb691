"""Tests of `p2ptwisted.cli.certs` and `p2ptwisted.tls`."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import PrivateCertificate
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2ptwisted.cli.certs import HOST_LIFE, make_certificates
from p2ptwisted.errors import InvalidInput
from p2ptwisted.tls import load_authority

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class CertificatesTests(SynchronousTestCase):
    """What is made for a group that has no certificates."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def make(self, *hosts: str) -> list[Path]:
        return make_certificates(self.folder, list(hosts), NOW)

    def certificate(self, path: Path) -> x509.Certificate:
        return x509.load_pem_x509_certificate(path.read_bytes())

    def test_hosts(self) -> None:
        """Each host gets a file with a key and a certificate for its address or name."""
        by_address, by_name = self.make("10.0.0.1", "node-7.example")
        names = self.certificate(by_address).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        self.assertEqual(names.value.get_values_for_type(x509.IPAddress), [IPv4Address("10.0.0.1")])
        names = self.certificate(by_name).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        self.assertEqual(names.value.get_values_for_type(x509.DNSName), ["node-7.example"])
        self.assertTrue(PrivateCertificate.loadPEM(by_name.read_bytes()).privateKey)

    def test_signed(self) -> None:
        """The authority has signed them, also those that are made later."""
        (one,) = self.make("10.0.0.1")
        (two,) = self.make("10.0.0.2")
        authority = self.certificate(self.folder / "ca.pem")
        for path in (one, two):
            self.certificate(path).verify_directly_issued_by(authority)

    def test_life(self) -> None:
        """They are good from the day before, for clocks that are behind, and not for ever."""
        (one,) = self.make("10.0.0.1")
        certificate = self.certificate(one)
        self.assertEqual(certificate.not_valid_before_utc, NOW - timedelta(days=1))
        self.assertEqual(certificate.not_valid_after_utc, NOW + HOST_LIFE)

    def test_secret(self) -> None:
        """Keys are for their owner only."""
        (one,) = self.make("10.0.0.1")
        for path in (one, self.folder / "ca-key.pem"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_bad_hosts(self) -> None:
        """What is no host is refused before anything is made."""
        for host in ("", "../x", "a/b", "a b", "-x", "x" * 300):
            self.assertRaises(InvalidInput, self.make, host)
        self.assertFalse(self.folder.exists())

    def test_bad_authority(self) -> None:
        """An authority that can't be read is left as it is, and nothing is signed."""
        self.make()
        (self.folder / "ca-key.pem").write_text("nonsense")
        self.assertRaises(InvalidInput, self.make, "10.0.0.1")
        self.assertEqual((self.folder / "ca-key.pem").read_text(), "nonsense")

    def test_another_key(self) -> None:
        """A certificate and a key that don't belong together are noticed."""
        self.make()
        other = Path(self.mktemp())
        make_certificates(other, [], NOW)
        (self.folder / "ca.pem").write_bytes((other / "ca.pem").read_bytes())
        self.assertRaises(InvalidInput, self.make, "10.0.0.1")


class AuthorityTests(SynchronousTestCase):
    """Whom to trust."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        make_certificates(self.folder, [], NOW)
        self.path = self.folder / "ca.pem"

    def test_secured(self) -> None:
        """It makes endpoints that speak TLS of plain ones."""
        authority = load_authority(self.path)
        plain = TCP4ClientEndpoint(MemoryReactorClock(), "10.0.0.1", 5000)
        verifyObject(IStreamClientEndpoint, authority.secured("10.0.0.1", plain))

    def test_several(self) -> None:
        """A file may have several, with text in between."""
        self.path.write_bytes(self.path.read_bytes() + b"\nthe other:\n" + self.path.read_bytes())
        load_authority(self.path)

    def test_none(self) -> None:
        """A file without a certificate, a broken one and none at all are told apart."""
        for content, told in (
            (b"nothing", "no certificate"),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
                "can't be read",
            ),
        ):
            self.path.write_bytes(content)
            error = self.assertRaises(InvalidInput, load_authority, self.path)
            self.assertIn(told, str(error))
        self.path.unlink()
        self.assertIn("No such", str(self.assertRaises(InvalidInput, load_authority, self.path)))

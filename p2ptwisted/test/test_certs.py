"""Tests of `p2ptwisted.cli.certs`."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from twisted.internet.ssl import PrivateCertificate
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.certs import AUTHORITY_LIFE, HOST_LIFE, make_certificates
from p2ptwisted.errors import InvalidInput

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Open a connection in memory to who is called so. Raises SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


class CertificatesTests(SynchronousTestCase):
    """What is made for a group that has no certificates."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def make(self, *hosts: str) -> list[Path]:
        return make_certificates(self.folder, list(hosts), NOW)

    def certificate(self, path: Path) -> x509.Certificate:
        return x509.load_pem_x509_certificate(path.read_bytes())

    def names(self, path: Path) -> tuple[list[str], list[str]]:
        """The addresses and the names that a certificate is for."""
        names = self.certificate(path).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        return (
            [str(address) for address in names.value.get_values_for_type(x509.IPAddress)],
            names.value.get_values_for_type(x509.DNSName),
        )

    def test_hosts(self) -> None:
        """Each host gets a file with a key and a certificate for its address and its names."""
        one, several = self.make("10.0.0.1", "10.0.0.2,node-7.example,10.1.0.2,node-7")
        self.assertEqual((one.name, several.name), ("10.0.0.1.pem", "10.0.0.2.pem"))
        self.assertEqual(self.names(one), (["10.0.0.1"], []))
        self.assertEqual(
            self.names(several), (["10.0.0.2", "10.1.0.2"], ["node-7.example", "node-7"])
        )
        self.assertTrue(PrivateCertificate.loadPEM(several.read_bytes()).privateKey)

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

    def test_life_of_the_authority(self) -> None:
        """None outlives the authority, and after its time nothing is signed."""
        self.make()
        end = self.certificate(self.folder / "ca.pem").not_valid_after_utc
        self.assertEqual(end, NOW + AUTHORITY_LIFE)
        last_day = end - timedelta(days=1)
        (one,) = make_certificates(self.folder, ["10.0.0.1"], last_day)
        self.assertEqual(self.certificate(one).not_valid_after_utc, end)
        error = self.assertRaises(
            InvalidInput, make_certificates, self.folder, ["10.0.0.2"], end + timedelta(seconds=1)
        )
        self.assertIn("good until 2036-11-20", str(error))
        self.assertFalse((self.folder / "10.0.0.2.pem").exists())

    def test_strict(self) -> None:
        """A strict reader of the standard takes them, by the address and by every name."""
        (path,) = make_certificates(self.folder, ["10.0.0.1,node-7.example"], datetime.now(UTC))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(path)
        client = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        for name in ("10.0.0.1", "node-7.example"):
            shake_hands(client, server, name)
        self.assertRaises(ssl.SSLCertVerificationError, shake_hands, client, server, "10.0.0.2")

    def test_secret(self) -> None:
        """Keys are for their owner only."""
        (one,) = self.make("10.0.0.1")
        for path in (one, self.folder / "ca-key.pem"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_bad_hosts(self) -> None:
        """What is no host is refused before anything is made."""
        for host in ("", "../x", "a/b", "a b", "-x", "x" * 300, "a..b", "x-.a"):
            self.assertRaises(InvalidInput, self.make, "10.0.0.1", host)
            self.assertRaises(InvalidInput, self.make, f"10.0.0.1,{host}")
        for host in ("256.1.1.1", "10.0.0", "1", "a.1", "10.0.0.1.", "230.0.0.1", "0.0.0.0"):
            for written in (host, f"10.0.0.1,{host}"):
                error = self.assertRaises(InvalidInput, self.make, written)
                self.assertIn("neither the IPv4 address", str(error))
        self.assertFalse(self.folder.exists())

    def test_no_address(self) -> None:
        """A host without an address is refused: members would never accept its certificate."""
        for host in ("node-7.example", "ca", "ca-key", "node-7,10.0.0.1"):
            error = self.assertRaises(InvalidInput, self.make, host)
            self.assertIn("write ADDRESS," + host.partition(",")[0], str(error))
        self.assertFalse(self.folder.exists())

    def test_twice(self) -> None:
        """One file can't be for two."""
        error = self.assertRaises(InvalidInput, self.make, "10.0.0.1", "10.0.0.1,a")
        self.assertIn("twice", str(error))
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

"""Tests of `p2ptwisted.cli.certs`."""

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from twisted.internet.ssl import PrivateCertificate
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli.certs import AUTHORITY_LIFE, HOST_LIFE, make_certificates
from p2ptwisted.cli.name_constraints import PermittedNames
from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.tls import load_authority, load_identity
from p2ptwisted.test import handshakes
from p2ptwisted.test.certificates import FOR_SERVERS, Issued, issue, issue_authority

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

    def test_no_common_name(self) -> None:
        """No host has a common name, which GnuTLS takes for a DNS name that is out of bounds."""
        for host in ("10.0.0.1", "10.0.0.2,node2.internal"):
            *_, path = self.make(host)
            subject = self.certificate(path).subject
            self.assertEqual(subject.get_attributes_for_oid(NameOID.COMMON_NAME), [])
            self.assertIn(host.partition(",")[0], subject.rfc4514_string())

    def test_kept(self) -> None:
        """A host's file that is there is kept, and it is told what is wrong with it."""
        self.make("10.0.0.1,name", "10.0.0.2")
        before = (self.folder / "10.0.0.1.pem").read_bytes()
        (self.folder / "10.0.0.3.pem").write_text("something else")
        told: list[tuple[str, str | None]] = []

        def keep(path: Path, fault: str | None) -> None:
            told.append((path.name, fault))

        for now, host, fault in (
            (NOW, "10.0.0.1,name", None),
            (NOW, "10.0.0.1", "it is for 10.0.0.1, name"),
            (NOW + HOST_LIFE, "10.0.0.1,name", "it was good until 2029-02-25"),
            (NOW, "10.0.0.3", "it has no certificate that this authority has signed"),
        ):
            made = make_certificates(self.folder, [host, "10.0.0.4"], now, keep=keep)
            self.assertEqual(told.pop(0), (f"10.0.0.{host[7]}.pem", fault))
            told.clear()
            self.assertLessEqual({path.name for path in made}, {"10.0.0.4.pem"})
        self.assertEqual((self.folder / "10.0.0.1.pem").read_bytes(), before)
        self.make("10.0.0.1")
        self.assertNotEqual((self.folder / "10.0.0.1.pem").read_bytes(), before)

    def test_kept_of_another_authority(self) -> None:
        """One that another authority has signed is kept too, and said to be that."""
        faults: list[str | None] = []
        self.make("10.0.0.1")
        for name in ("ca.pem", "ca-key.pem"):
            (self.folder / name).unlink()
        make_certificates(
            self.folder, ["10.0.0.1"], NOW, keep=lambda path, fault: faults.append(fault)
        )
        self.assertEqual(faults, ["it has no certificate that this authority has signed"])

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
        self.assertIn("expired on 2036-11-20", str(error))
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

    def test_readable_authority(self) -> None:
        """An authority whose key others can read signs nothing; nor is a pipe waited for."""
        self.make()
        key = self.folder / "ca-key.pem"
        for mode in (0o640, 0o604, 0o644):
            key.chmod(mode)
            error = self.assertRaises(InvalidInput, self.make, "10.0.0.1")
            self.assertIn("chmod 600", str(error))
        for name in ("ca-key.pem", "ca.pem"):
            (self.folder / name).unlink()
            os.mkfifo(self.folder / name, 0o600)
            error = self.assertRaises(InvalidInput, self.make, "10.0.0.1")
            self.assertIn("not a regular file", str(error))

    def test_folder_of_others(self) -> None:
        """Nothing is put where others could put something else in its place."""
        self.folder.mkdir()
        for mode in (0o777, 0o770, 0o1777):
            self.folder.chmod(mode)
            self.assertIn("others", str(self.assertRaises(InvalidInput, self.make, "10.0.0.1")))
        self.folder.chmod(0o755)
        as_others = self.patch(os, "geteuid", lambda: self.folder.stat().st_uid + 1)
        error = self.assertRaises(InvalidInput, self.make, "10.0.0.1")
        self.assertIn("another user's", str(error))
        as_others.restore()
        self.assertEqual(list(self.folder.iterdir()), [])
        self.make("10.0.0.1")

    def test_links(self) -> None:
        """What stands under a file's name is replaced, and no link is followed."""
        target = Path(self.mktemp())
        target.write_text("somebody's")
        self.folder.mkdir(mode=0o700)
        for name in ("10.0.0.1.pem", ".10.0.0.1.pem.new"):
            (self.folder / name).symlink_to(target.absolute())
        (path,) = self.make("10.0.0.1")
        self.assertEqual(target.read_text(), "somebody's")
        self.assertFalse(path.is_symlink())
        (self.folder / "ca.pem").unlink()
        (self.folder / "ca-key.pem").unlink()
        (self.folder / "ca-key.pem").symlink_to(target.with_name("nothing"))
        self.assertRaises(InvalidInput, self.make, "10.0.0.1")

    def test_no_file(self) -> None:
        """A pipe under a file's name is left as it is, and so are links that lead to no file."""
        self.make()
        os.mkfifo(self.folder / "10.0.0.1.pem")
        self.assertRaises(InvalidInput, self.make, "10.0.0.1")
        self.assertTrue((self.folder / "10.0.0.1.pem").is_fifo())
        path = self.folder / "10.0.0.2.pem"
        for target in (path.name, "nothing", "."):
            path.symlink_to(target)
            error = self.assertRaises(InvalidInput, self.make, "10.0.0.2")
            self.assertIn("not a regular file", str(error))
            self.assertEqual(str(path.readlink()), target)
            path.unlink()

    def test_full_disk(self) -> None:
        """What can't be written is not left behind."""
        self.make()
        before = sorted(self.folder.iterdir())

        def full(*_: object) -> None:
            raise OSError("stand-in")

        self.patch(os, "fsync", full)
        self.assertRaises(OSError, self.make, "10.0.0.1")
        self.assertEqual(sorted(self.folder.iterdir()), before)


class BoundsTests(SynchronousTestCase):
    """For whom an authority may sign, and whom members and others believe it for."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def make(
        self, *hosts: str, networks: tuple[str, ...] = (), domains: tuple[str, ...] = ()
    ) -> list[Path]:
        return make_certificates(self.folder, hosts, datetime.now(UTC), networks, domains)

    def refused(self, *hosts: str, **options: tuple[str, ...]) -> str:
        return str(self.assertRaises(InvalidInput, self.make, *hosts, **options))

    def signed(self, *names: x509.GeneralName, name: str = "a host") -> Path:
        """What a thief of the key makes with it."""
        certificate = x509.load_pem_x509_certificate((self.folder / "ca.pem").read_bytes())
        key = load_pem_private_key((self.folder / "ca-key.pem").read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        alternative = [x509.SubjectAlternativeName(names)] if names else []
        shown = issue(*alternative, FOR_SERVERS, by=Issued(certificate, key), name=name)
        return shown.write(self.folder / "signed.pem")

    def is_believed(self, host: Path, name: str) -> bool:
        """By Python's own TLS, for this name, as strict as it is since 3.13."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(host)
        client = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        try:
            shake_hands(client, server, name)
        except ssl.SSLCertVerificationError:
            return False
        return True

    def is_spoken_with(self, host: Path, address: str, authority: Path | None = None) -> bool:
        """By a member."""
        trusting = load_authority(authority or self.folder / "ca.pem")
        client, _ = handshakes.shake_hands(trusting, load_identity(host), address)
        return client.heard == handshakes.SAID

    def test_within(self) -> None:
        """Private hosts and names are good at any time, and those that it was made with."""
        made = self.make("10.0.0.1", "203.0.113.5,a.example.org,box")
        made += self.make("192.168.7.1,n.internal", "172.16.0.9,x.a.example.org", "127.0.0.1")
        for host in made:
            address = host.name.removesuffix(".pem")
            self.assertTrue(self.is_believed(host, address), msg=address)
            self.assertTrue(self.is_spoken_with(host, address), msg=address)
        self.assertTrue(self.is_believed(made[2], "n.internal"))
        self.assertTrue(self.is_believed(made[1], "box"))

    def test_beyond(self) -> None:
        """For others it doesn't sign, and it is told what to do; nothing is made."""
        self.make("203.0.113.5,a.example.org")
        before = sorted(self.folder.iterdir())
        for host in ("203.0.113.6", "10.0.0.1,b.example.org", "10.0.0.1,203.0.113.6", "10.0.0.1,a"):
            told = self.refused("10.0.0.9", host)
            self.assertIn(f"may not sign for {host.rpartition(',')[2]}: create another", told)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_stolen(self) -> None:
        """What somebody else signs with its key is believed by nobody beyond the bounds."""
        self.make("10.0.0.1")
        inside = self.signed(x509.IPAddress(IPv4Address("10.0.0.2")))
        self.assertTrue(self.is_believed(inside, "10.0.0.2"))
        self.assertTrue(self.is_spoken_with(inside, "10.0.0.2"))
        for names, called in (
            ([x509.IPAddress(IPv4Address("203.0.113.6"))], "203.0.113.6"),
            ([x509.IPAddress(IPv6Address("2001:db8::1"))], "2001:db8::1"),
            ([x509.DNSName("www.example.com")], "www.example.com"),
            ([x509.DNSName("*.example.com")], "www.example.com"),
        ):
            outside = self.signed(*names)
            self.assertFalse(self.is_believed(outside, called), msg=called)
        outside = self.signed(
            x509.IPAddress(IPv4Address("10.0.0.2")), x509.DNSName("www.example.com")
        )
        self.assertFalse(self.is_believed(outside, "10.0.0.2"))
        self.assertFalse(self.is_spoken_with(outside, "10.0.0.2"))
        outside = self.signed(x509.IPAddress(IPv4Address("203.0.113.6")))
        self.assertFalse(self.is_spoken_with(outside, "203.0.113.6"))

    def test_wider(self) -> None:
        """More can be let in when it is made, and not afterwards."""
        more = {"networks": ("203.0.113.0/24",), "domains": ("Example.org",)}
        self.make(**more)
        (host,) = self.make("203.0.113.77,www.example.org", **more)
        self.assertTrue(self.is_believed(host, "www.example.org"))
        self.assertTrue(self.is_spoken_with(host, "203.0.113.77"))
        self.make(networks=("203.0.113.128/25",), domains=("www.example.org",))
        self.assertIn("can't be changed", self.refused(networks=("198.51.100.0/24",)))
        self.assertIn("can't be changed", self.refused(domains=("example.com",)))

    def test_bad_options(self) -> None:
        """What is no network and no domain is refused before anything is made."""
        for network in ("", "10.0.0.1/8", "x", "::/0", "10.0.0.0/33"):
            self.assertIn("not a network", self.refused(networks=(network,)))
        for domain in ("", "*.example.org", ".example.org", "a b", "10.0.0.1"):
            self.assertIn("not a domain", self.refused(domains=(domain,)))
        self.assertFalse(self.folder.exists())

    def test_earlier_authority(self) -> None:
        """An authority that was made without bounds goes on as it was."""
        self.folder.mkdir()
        issue_authority().write_apart(self.folder / "ca.pem", self.folder / "ca-key.pem")
        (host,) = self.make("203.0.113.6,www.example.org")
        self.assertTrue(self.is_spoken_with(host, "203.0.113.6"))
        self.assertIn("can't be changed", self.refused(domains=("example.org",)))

    def test_two_authorities(self) -> None:
        """Members who know two take the hosts of both."""
        (one,) = self.make("10.0.0.1")
        first, self.folder = self.folder, Path(self.mktemp())
        (two,) = self.make("203.0.113.6")
        both = self.folder / "both.pem"
        both.write_bytes(b"".join((of / "ca.pem").read_bytes() for of in (first, self.folder)))
        self.assertTrue(self.is_spoken_with(one, "10.0.0.1", both))
        self.assertTrue(self.is_spoken_with(two, "203.0.113.6", both))
        self.assertFalse(self.is_spoken_with(two, "203.0.113.6", first / "ca.pem"))

    def test_names(self) -> None:
        """A domain holds itself and what is below it, in any case, and nothing that ends alike."""
        bounds = PermittedNames(domains=("example.org",))
        for name in ("example.org", "A.Example.ORG", "a.b.example.org"):
            self.assertTrue(bounds.permit(name))
        for name in ("notexample.org", "org", "example.org.com"):
            self.assertFalse(bounds.permit(name))

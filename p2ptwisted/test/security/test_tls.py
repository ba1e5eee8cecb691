"""Tests of `p2ptwisted.security.tls`, by handshakes in memory."""

import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security import tls
from p2ptwisted.security.tls import (
    PEM_FILE_MAX,
    NotProved,
    TrustedAuthority,
    check_certificate,
    load_authority,
    load_identity,
)
from p2ptwisted.test.certificates import (
    ADDRESS,
    FOR_ADDRESS,
    FOR_SERVERS,
    Issued,
    issue,
    issue_authority,
)
from p2ptwisted.test.handshakes import SAID, InMemory, Talker, shake_hands


@implementer(IOpenSSLServerConnectionCreator)
class Anything:
    """A server that does TLS as it likes."""

    def __init__(self, context: SSL.Context) -> None:
        self.context = context

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self.context)


class TlsTestCase(SynchronousTestCase):
    """A group's authority, and a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = issue_authority()

    def write(self, content: bytes, name: str = "file.pem", mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def identity(self, shown: Issued, chain: bytes = b"") -> IOpenSSLServerConnectionCreator:
        chain_path = self.write(chain, "chain.pem") if chain else None
        return load_identity(shown.write(self.folder / "host.pem"), None, chain_path)

    def call(
        self, server: IOpenSSLServerConnectionCreator, address: str = ADDRESS
    ) -> tuple[Talker, Talker]:
        """What becomes of a call there: the client, and the server."""
        return shake_hands(TrustedAuthority([self.authority.certificate]), server, address)

    def assertSpoken(self, shown: Issued, chain: bytes = b"", address: str = ADDRESS) -> None:
        client, server = self.call(self.identity(shown, chain), address)
        self.assertEqual((client.heard, server.heard, client.lost), (SAID, SAID, None))

    def assertRefused(self, shown: Issued, chain: bytes = b"", address: str = ADDRESS) -> str:
        """Nothing is said to it, nor heard of it; why."""
        client, server = self.call(self.identity(shown, chain), address)
        self.assertEqual((client.heard, server.heard), (b"", b""))
        self.assertIsNotNone(server.lost)
        self.assertIsInstance(client.lost, SSL.Error)
        return str(client.lost)

    def host(self, *extensions: x509.ExtensionType, **changes: Any) -> Issued:
        return issue(*extensions, **{"by": self.authority, **changes})


class IdentityOfHostsTests(TlsTestCase):
    """Whom a client speaks with."""

    def test_host(self) -> None:
        """A host whose certificate names its address, among others perhaps, and its purpose."""
        also = x509.SubjectAlternativeName(
            [
                x509.DNSName("node.example"),
                x509.IPAddress(IPv4Address("10.0.0.9")),
                x509.IPAddress(IPv4Address(ADDRESS)),
            ]
        )
        not_an_authority = x509.BasicConstraints(ca=False, path_length=None)
        purposes = x509.ExtendedKeyUsage(
            [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
        )
        self.assertSpoken(self.host(FOR_ADDRESS, FOR_SERVERS))
        self.assertSpoken(self.host(also, purposes, not_an_authority))
        self.assertSpoken(self.host(also, FOR_SERVERS), address="10.0.0.9")

    def test_address(self) -> None:
        """No other address's certificate is taken, and no name that looks like the address."""
        names: list[list[x509.GeneralName]] = [
            [x509.IPAddress(IPv4Address("10.0.0.2"))],
            [x509.DNSName(ADDRESS)],
            [x509.DNSName("*")],
            [x509.DNSName("1.0.0.10.in-addr.arpa")],
            [x509.UniformResourceIdentifier(f"https://{ADDRESS}/")],
            [x509.IPAddress(IPv6Address(f"::ffff:{ADDRESS}"))],
        ]
        for some in names:
            shown = self.host(x509.SubjectAlternativeName(some), FOR_SERVERS, name=ADDRESS)
            self.assertIn(f"not for {ADDRESS}", self.assertRefused(shown), msg=str(some))

    def test_own_addresses(self) -> None:
        """This machine is one host: a certificate for one of its addresses is for each of them."""
        own = {"127.0.0.1", "10.0.0.5", ADDRESS}
        self.patch(tls, "is_own", own.__contains__)
        shown = self.host(FOR_ADDRESS, FOR_SERVERS)
        for address in own:
            self.assertSpoken(shown, address=address)
        self.assertRefused(shown, address="10.0.0.6")
        # What is for loopback alone may be on any machine, and what is for another isn't ours.
        for other in ("127.0.0.1", "10.0.0.6"):
            names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(other))])
            self.assertRefused(self.host(names, FOR_SERVERS), address="10.0.0.5")

    def test_common_name(self) -> None:
        """The subject's name is no address, though no other name be there."""
        told = self.assertRefused(self.host(FOR_SERVERS, name=ADDRESS))
        self.assertIn("no subjectAltName", told)

    def test_purpose(self) -> None:
        """A certificate that is not for servers, or doesn't say what it is for, is refused."""
        self.assertIn("no extendedKeyUsage", self.assertRefused(self.host(FOR_ADDRESS)))
        for purpose in (
            ExtendedKeyUsageOID.CLIENT_AUTH,
            ExtendedKeyUsageOID.EMAIL_PROTECTION,
            ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
        ):
            shown = self.host(FOR_ADDRESS, x509.ExtendedKeyUsage([purpose]))
            self.assertRefused(shown)
            # Whatever OpenSSL makes of it.
            address = IPv4Address(ADDRESS)
            self.assertRaises(NotProved, check_certificate, shown.certificate, 0, True, address)

    def test_authority_as_host(self) -> None:
        """An authority's own certificate is none of a host, whatever it names."""
        shown = self.host(
            FOR_ADDRESS, FOR_SERVERS, x509.BasicConstraints(ca=True, path_length=None)
        )
        self.assertIn("authority's", self.assertRefused(shown))

    def test_time(self) -> None:
        """One that is over, or not yet good, is refused."""
        for days in ((-3, -2), (2, 3)):
            shown = self.host(FOR_ADDRESS, FOR_SERVERS, days=days)
            self.assertIn("not good now", self.assertRefused(shown))

    def test_signature(self) -> None:
        """One of another authority, of one with the same name, or of its own, is refused."""
        for by in (issue_authority("another"), issue_authority(), None):
            shown = issue(FOR_ADDRESS, FOR_SERVERS, by=by)
            self.assertIn("authority", self.assertRefused(shown))

    def test_chain(self) -> None:
        """An authority between is taken where it is shown; a host's certificate is none."""
        between = issue_authority("between", by=self.authority)
        shown = issue(FOR_ADDRESS, FOR_SERVERS, by=between)
        self.assertSpoken(shown, between.pem)
        self.assertRefused(shown)
        host = self.host(FOR_ADDRESS, FOR_SERVERS, name="between")
        self.assertRefused(issue(FOR_ADDRESS, FOR_SERVERS, by=host), host.pem)

    def test_system(self) -> None:
        """Those whom the system trusts are strangers here."""
        others = issue_authority("known to the system")
        # Where OpenSSL looks for them.
        environment = patch.dict(os.environ, {"SSL_CERT_FILE": str(self.write(others.pem))})
        environment.start()
        self.addCleanup(environment.stop)
        self.assertRefused(issue(FOR_ADDRESS, FOR_SERVERS, by=others))

    def test_address_called(self) -> None:
        """What is called by something else than an IPv4 address isn't called at all."""
        authority = TrustedAuthority([self.authority.certificate])
        clock = Clock()
        plain = InMemory(self.identity(self.host(FOR_ADDRESS, FOR_SERVERS)), clock)
        for host in ("localhost", "::1", "", "10.0.0", "10.0.0.01"):
            self.assertRaises(InvalidInput, authority.secured, host, plain, clock)
        verifyObject(IStreamClientEndpoint, authority.secured(ADDRESS, plain, clock))


class UnforeseenTests(TlsTestCase):
    """Whatever goes wrong in the check, nobody is spoken with."""

    def setUp(self) -> None:
        super().setUp()
        self.shown = self.host(FOR_ADDRESS, FOR_SERVERS)

    def test_raises(self) -> None:
        """Any exception in it, of whatever kind, ends the connection."""
        for problem in (
            ValueError("stand-in"),
            RuntimeError(),
            x509.ExtensionNotFound("stand-in", x509.SubjectAlternativeName.oid),
            UnicodeDecodeError("utf-8", b"", 0, 1, "stand-in"),
            AttributeError(),
            RecursionError(),
            MemoryError(),
            SSL.WantReadError(),
            SSL.Error(),
            SystemExit(),
            KeyboardInterrupt(),
            GeneratorExit(),
            BaseException(),
        ):

            def check(*_: object, problem: BaseException = problem) -> None:
                raise problem

            with self.subTest(problem=problem):
                self.patch(tls, "check_certificate", check)
                told = self.assertRefused(self.shown)
                self.assertIn(f"can't be read ({type(problem).__name__})", told)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_certificate_that_raises(self) -> None:
        """So does one whose parts can't be read."""

        class Odd:
            @property
            def extensions(self) -> x509.Extensions:
                raise ValueError("stand-in")

        self.patch(X509, "to_cryptography", lambda _: Odd())
        self.assertIn("ValueError", self.assertRefused(self.shown))

    def test_never_asked(self) -> None:
        """A handshake in which the check was left out is none, though OpenSSL be content."""
        self.patch(SSL.Context, "set_verify", lambda *_: None)
        self.assertIn("no certificate was looked at", self.assertRefused(self.shown))

    def test_not_trusted(self) -> None:
        """Only a plain yes of OpenSSL's counts, at every depth."""
        check: Callable[..., None] = check_certificate
        address = IPv4Address(ADDRESS)
        check(self.shown.certificate, 0, True, address)
        check(self.authority.certificate, 1, True, address)
        for trusted in (False, 0, None, 2, "yes"):
            for depth in (0, 1):
                self.assertRaises(NotProved, check, self.shown.certificate, depth, trusted, address)


class SuitesTests(TlsTestCase):
    """How TLS is spoken, by clients and by servers."""

    def setUp(self) -> None:
        super().setUp()
        self.shown = self.host(FOR_ADDRESS, FOR_SERVERS)

    def offering(self, method: int, suites: bytes, version: int) -> SSL.Context:
        context = SSL.Context(method)
        context.set_cipher_list(suites + b":@SECLEVEL=0")
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        return context

    def serve(self, suites: bytes, version: int = SSL.TLS1_2_VERSION) -> bool:
        """Whether our client speaks with a server that knows only these."""
        context = self.offering(SSL.TLS_SERVER_METHOD, suites, version)
        context.use_privatekey(self.shown.key)
        context.use_certificate(self.shown.certificate)
        client, server = self.call(Anything(context))
        self.assertEqual(client.heard, server.heard)
        return client.heard == SAID

    def ask(self, suites: bytes, version: int = SSL.TLS1_2_VERSION) -> bool:
        """Whether our server speaks with a client that knows only these."""
        context = self.offering(SSL.TLS_CLIENT_METHOD, suites, version)
        client = SSL.Connection(context)
        client.set_connect_state()
        server = self.identity(self.shown).serverConnectionForTLS(cast(Any, None))
        server.set_accept_state()
        pending, ends = [client, server], {client: server, server: client}
        for _ in range(10):
            for end in list(pending):
                try:
                    end.do_handshake()
                    pending.remove(end)
                except SSL.WantReadError:
                    pass
                except SSL.Error:
                    return False
                try:
                    ends[end].bio_write(end.bio_read(2**16))
                except SSL.WantReadError:
                    pass
        return not pending

    def test_suites(self) -> None:
        """In TLS 1.2 keys don't outlast a connection, and encryption authenticates."""
        for speaks in (self.serve, self.ask):
            for suite in (
                b"ECDHE-ECDSA-AES256-GCM-SHA384",
                b"ECDHE-ECDSA-AES128-GCM-SHA256",
                b"ECDHE-ECDSA-CHACHA20-POLY1305",
            ):
                self.assertTrue(speaks(suite), msg=f"{speaks} {suite!r}")
            for suite in (
                b"ECDHE-ECDSA-AES256-SHA384",
                b"ECDHE-ECDSA-AES128-SHA256",
                b"ECDHE-ECDSA-AES256-SHA",
                b"ECDHE-ECDSA-AES128-SHA",
                b"ECDHE-ECDSA-AES256-CCM8",
            ):
                self.assertFalse(speaks(suite), msg=f"{speaks} {suite!r}")

    def test_versions(self) -> None:
        """TLS 1.3 and 1.2 are spoken, and no older one."""
        for speaks in (self.serve, self.ask):
            self.assertTrue(speaks(b"ALL", SSL.TLS1_3_VERSION))
            self.assertTrue(speaks(b"ALL", SSL.TLS1_2_VERSION))
            for version in (SSL.TLS1_VERSION, SSL.TLS1_1_VERSION):
                self.assertFalse(speaks(b"ALL", version))


class AuthorityFileTests(TlsTestCase):
    """Which files tell whom to trust."""

    def test_several(self) -> None:
        """A file may have several, with text in between."""
        pem = self.authority.pem
        load_authority(self.write(b"one:\n" + pem + b"\nthe other:\n" + pem))

    def test_none(self) -> None:
        """A file without a certificate, a broken one and none at all are told apart."""
        broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
        for content, told in ((b"nothing", "no certificate"), (broken, "can't be read")):
            path = self.write(content)
            self.assertIn(told, str(self.assertRaises(InvalidInput, load_authority, path)))
        path.unlink()
        self.assertIn("No such", str(self.assertRaises(InvalidInput, load_authority, path)))

    def test_changeable(self) -> None:
        """One that everybody can change is refused; all may read it."""
        load_authority(self.write(self.authority.pem, mode=0o664))
        path = self.write(self.authority.pem, mode=0o646)
        self.assertIn("o-w", str(self.assertRaises(InvalidInput, load_authority, path)))

    def test_key(self) -> None:
        """One with a key in it is a secret too."""
        content = self.authority.pem + self.authority.key_pem
        load_authority(self.write(content))
        path = self.write(content, mode=0o644)
        self.assertIn("chmod 600", str(self.assertRaises(InvalidInput, load_authority, path)))

    def test_not_a_file(self) -> None:
        """A pipe is not waited for, and no folder, device or large file is read."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for path in (pipe, self.folder, Path("/dev/zero"), Path("a\0b")):
            self.assertRaises(InvalidInput, load_authority, path)
        large = self.write(self.authority.pem + b"\n" * PEM_FILE_MAX)
        self.assertIn("more than", str(self.assertRaises(InvalidInput, load_authority, large)))


class IdentityFilesTests(TlsTestCase):
    """Which files a server's key and certificate are in."""

    def setUp(self) -> None:
        super().setUp()
        self.shown = self.host(FOR_ADDRESS, FOR_SERVERS)
        self.key = self.write(self.shown.key_pem, "key.pem")
        self.certificate = self.write(self.shown.pem, "cert.pem", 0o644)

    def refused(self, *paths: Path) -> str:
        return str(self.assertRaises(InvalidInput, load_identity, *paths))

    def test_taken(self) -> None:
        """Both in one file, in either order, or in two."""
        both = self.shown.pem + b"some text\n" + self.shown.key_pem
        verifyObject(IOpenSSLServerConnectionCreator, load_identity(self.write(both)))
        load_identity(self.key, self.certificate)
        load_identity(self.key, self.certificate, self.write(self.authority.pem, "ca.pem", 0o644))
        load_identity(self.shown.write(self.folder / "host.pem", 0o400))

    def test_readable(self) -> None:
        """A key that others can read is refused, wherever it stands."""
        for mode in (0o640, 0o660, 0o604, 0o644, 0o610, 0o601):
            self.key.chmod(mode)
            self.assertIn("chmod 600", self.refused(self.key, self.certificate))
            self.key.chmod(0o600)
            with_key = self.write(self.shown.pem + self.shown.key_pem, "with key.pem", mode)
            self.assertIn("chmod 600", self.refused(with_key))
            self.assertIn("chmod 600", self.refused(self.key, with_key))
            self.assertIn("chmod 600", self.refused(self.key, self.certificate, with_key))

    def test_not_a_file(self) -> None:
        """A pipe is not waited for, and what isn't there is told of."""
        pipe = self.folder / "pipe"
        os.mkfifo(pipe, 0o600)
        for paths in (
            (pipe, self.certificate),
            (self.key, pipe),
            (self.key, self.certificate, pipe),
        ):
            self.assertIn("regular", self.refused(*paths))
        self.assertIn("No such file", self.refused(self.folder / "nothing"))

    def test_unfit(self) -> None:
        """What can't be used is refused in one line."""
        other = self.write(self.host(FOR_ADDRESS).pem, "other.pem")
        encrypted = self.shown.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
        for paths, told in (
            ((self.certificate,), "chmod 600"),
            ((other,), "no private key"),
            ((self.key,), "no certificate"),
            ((self.key, other), "key values mismatch"),
            ((self.write(encrypted), self.certificate), "can't be used"),
            (
                (
                    self.write(b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"),
                    self.certificate,
                ),
                "can't be used",
            ),
        ):
            message = self.refused(*paths)
            self.assertIn(told, message)
            self.assertNotIn("\n", message)

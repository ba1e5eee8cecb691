"""Tests of `p2ptwisted.web.server.endpoints`."""

from pathlib import Path

from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.security.tls import ServerIdentity
from p2ptwisted.test.certificates import FOR_ADDRESS, FOR_SERVERS, issue
from p2ptwisted.web.server.endpoints import check_endpoint, make_endpoint, parse_endpoint


def refusal(case: SynchronousTestCase, endpoint: str) -> str:
    """The one line about what isn't taken."""
    message = str(case.assertRaises(InvalidInput, check_endpoint, endpoint))
    case.assertNotIn("\n", message)
    return message


class PlainTests(SynchronousTestCase):
    """Endpoints without TLS."""

    def test_tcp(self) -> None:
        """A port, an interface and a backlog, with their names or in order."""
        for endpoint, port, interface, backlog in (
            ("tcp:8000", 8000, "", 50),
            ("TCP:8000", 8000, "", 50),
            ("tcp:port=8000", 8000, "", 50),
            ("tcp:8000:interface=127.0.0.1", 8000, "127.0.0.1", 50),
            ("tcp:interface=127.0.0.1:8000", 8000, "127.0.0.1", 50),
            ("tcp:8000:127.0.0.1:7", 8000, "127.0.0.1", 7),
            ("tcp:0:backlog=7", 0, "", 7),
            (r"tcp:8000:interface=\127\.0.0.1", 8000, "127.0.0.1", 50),
        ):
            reactor = MemoryReactor()
            listening = make_endpoint(reactor, endpoint).listen(Factory())
            self.successResultOf(listening)
            ((to, _, in_line, at),) = reactor.tcpServers
            self.assertEqual((to, at, in_line), (port, interface, backlog), msg=endpoint)

    def test_systemd(self) -> None:
        """A socket that systemd has opened: Twisted looks for it."""
        for endpoint in ("systemd:domain=INET:index=0", "systemd:INET:0", "SYSTEMD:INET:index=0"):
            check_endpoint(endpoint)
            self.assertRaises(IndexError, make_endpoint, MemoryReactor(), endpoint)
        self.assertRaises(KeyError, make_endpoint, MemoryReactor(), r"systemd:INET:name=a\:b")

    def test_others(self) -> None:
        """
        No other kind is taken, however it is written, whether Twisted has it or a plugin:
        neither those that believe what is said of where a caller is, nor TLS of another kind.
        """
        for endpoint in (
            "haproxy:tcp:8000",
            "haproxy:tcp\\:8000",
            "haproxy:ssl:8000:privateKey=key.pem",
            "haproxy:haproxy:tcp:8000",
            "HAPROXY:tcp:8000",
            "hAproxy:tcp:8000",
            "\\haproxy:tcp:8000",
            " haproxy:tcp:8000",
            "haproxy :tcp:8000",
            "haproxy=tcp:8000",
            "tcp\\:haproxy:8000",
            "tls:.:8000",
            "tls:path=.:port=8000",
            "tcp6:8000",
            "unix:socket",
            "stdio:",
            "fd:0",
            "",
            ":",
            "8000",
            "tcp=8000",
            "nonsense",
        ):
            message = refusal(self, endpoint)
            self.assertIn("is not accepted: give a number, tcp:PORT", message, msg=endpoint)
            self.assertIn("IPv4", message)

    def test_mistakes(self) -> None:
        """What is wrong in one that is taken is told."""
        for endpoint, told in (
            ("tcp", "needs a port"),
            ("tcp:", "'' is not a number"),
            ("tcp:http", "'http' is not a number"),
            ("tcp:8000:backlog=x", "'x' is not a number"),
            ("tcp:8000:nonsense=1", "no 'nonsense'"),
            ("tcp:8000:privateKey=x", "no 'privateKey'"),
            ("tcp:8000:a:1:2", "no '2'"),
            ("tcp:8000:port=8001", "port is given twice"),
            ("tcp:8000:interface=a:interface=b", "interface is given twice"),
            ("tcp:8000\\", "backslash"),
            ("ssl:privateKey=key.pem", "needs a port"),
        ):
            self.assertIn(told, refusal(self, endpoint), msg=endpoint)


class SecuredTests(SynchronousTestCase):
    """Endpoints with TLS."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.shown = issue(FOR_ADDRESS, FOR_SERVERS)
        self.both = self.shown.write(self.folder / "a key:with=a colon")
        self.key = self.folder / "key.pem"
        self.key.write_bytes(self.shown.key_pem)
        self.key.chmod(0o600)
        self.certificate = self.folder / "cert.pem"
        self.certificate.write_bytes(self.shown.pem)

    def spellings(self) -> list[str]:
        """Each way to say which key it is."""
        both, key, certificate = (
            quoteStringArgument(str(path)) for path in (self.both, self.key, self.certificate)
        )
        return [
            f"ssl:8000:privateKey={both}",
            f"ssl:8000:privateKey={both}:certKey={both}",
            f"ssl:certKey={certificate}:interface=127.0.0.1:privateKey={key}:port=8000",
            f"ssl:port=8000:privateKey={key}:certKey={certificate}:extraCertChain={certificate}",
            f"ssl:8000:{key}:{certificate}",
            f"ssl:8000:{key}:certKey={certificate}",
            f"SSL:8000:privateKey={key}:certKey={certificate}:backlog=50",
            f"ssl:8000:privateKey={key}:certKey={both}",
            f"ssl:8000:privateKey={key}:certKey={certificate}:extraCertChain={both}",
        ]

    def test_taken(self) -> None:
        """Each of them listens with TLS, at the interface that is named."""
        for endpoint in self.spellings():
            check_endpoint(endpoint)
            reactor = MemoryReactor()
            self.successResultOf(make_endpoint(reactor, endpoint).listen(Factory()))
            ((port, _, identity, backlog, interface),) = reactor.sslServers
            named = "127.0.0.1" if "interface" in endpoint else ""
            self.assertEqual((port, backlog, interface), (8000, 50, named))
            self.assertIsInstance(identity, ServerIdentity)

    def test_readable(self) -> None:
        """None is taken where others can read the key, neither when it is checked nor later."""
        for mode in (0o640, 0o604, 0o660, 0o644):
            self.both.chmod(mode)
            self.key.chmod(mode)
            for endpoint in self.spellings():
                self.assertIn("chmod 600", refusal(self, endpoint), msg=endpoint)
                self.assertRaises(InvalidInput, make_endpoint, MemoryReactor(), endpoint)

    def test_default(self) -> None:
        """Without its name it is `server.pem` of the current folder, and looked at likewise."""
        for endpoint in ("ssl:8000", "ssl:port=8000", "ssl:8000:interface=127.0.0.1"):
            self.assertIn("the key file server.pem: No such file", refusal(self, endpoint))
        path = self.shown.write(Path("server.pem"))
        self.addCleanup(path.unlink)
        check_endpoint("ssl:8000")
        path.chmod(0o644)
        self.assertIn("others can read the key file server.pem", refusal(self, "ssl:8000"))

    def test_chosen(self) -> None:
        """Which TLS is spoken is not for an endpoint to say."""
        for more in ("sslmethod=TLSv1_METHOD", "dhParameters=dh.pem"):
            message = refusal(self, f"ssl:8000:privateKey={self.key}:{more}")
            self.assertIn("leave it out, TLS 1.2 and 1.3", message)

    def test_values(self) -> None:
        """Backslashes take colons and themselves as they are, and equals signs may come."""
        endpoint = parse_endpoint(r"ssl:8000:privateKey=C\:\\a=b\=c:certKey=d")
        self.assertEqual(
            endpoint.arguments, {"port": "8000", "privateKey": r"C:\a=b=c", "certKey": "d"}
        )

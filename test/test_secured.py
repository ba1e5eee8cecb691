"""A group that speaks TLS, with certificates that `p2p certs` has made."""

import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from p2ptwisted.test.certificates import Issued, issue

from . import answers
from .answers import Answer
from .cases import SystemTestCase
from .daemons import Daemon, Machine, at, environment, eventually, free_port, id_of
from .hosts import Host, Switch
from .serving import QuietServer, serve

CONTENT = b"content of a group that speaks TLS\n" * 100_000
ID = id_of(CONTENT)

#: Seconds after which those are gone that fail every check, at one check a second.
GONE_WITHIN = 10.0


def make_certificates(folder: Path, *hosts: str) -> Path:
    """An authority and a certificate for each of these, by `p2p certs`; its folder."""
    subprocess.run(
        [sys.executable, "-m", "p2ptwisted.cli", "certs", *hosts, "--folder", str(folder)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return folder


class SecuredHost(Host):
    """A host whose curl speaks TLS, with whom an authority knows."""

    authority: Path

    def curl(self, *arguments: str, body: bytes | None = None) -> bytes:
        secured = [re.sub("^http:", "https:", one) for one in arguments]
        return super().curl("--cacert", str(self.authority), *secured, body=body)


class SecuredMachine(Machine):
    """This machine, speaking TLS."""

    def __init__(self, authority: Path) -> None:
        self.context = ssl.create_default_context(cafile=str(authority))

    def request(
        self,
        method: str,
        url: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        return answers.request(method, url, body, headers, self.context)


class SecuredTests(SystemTestCase):
    """Two hosts, each with a certificate of its own, and a supernode and a node on each."""

    def setUp(self) -> None:
        super().setUp()
        switch = Switch(self)
        addresses = ("10.9.5.1", "10.9.5.2")
        self.certificates = make_certificates(self.folder / "certs", *addresses)
        self.hosts = [switch.host(address, SecuredHost) for address in addresses]
        for host in self.hosts:
            host.authority = self.certificates / "ca.pem"

    def secured(self, host: SecuredHost, role: str, port: int, *options: str) -> Daemon:
        own = self.certificates / f"{host.address}.pem"
        endpoint = f"ssl:{port}:privateKey={own}:certKey={own}"
        trusting = ("--ca-file", str(host.authority))
        group = ("--multicast-group", self.group)
        return self.start(role, port, "--port", endpoint, *trusting, *group, *options, machine=host)

    def p2p(self, host: SecuredHost, *arguments: str, trusting: bool = True) -> int:
        """The exit status of the command, on that host, in a folder `got` there."""
        return self.ran(host, *arguments, trusting=trusting).returncode

    def ran(
        self, host: SecuredHost, *arguments: str, trusting: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """The same, with what it prints."""
        folder = self.folder / "got"
        folder.mkdir(exist_ok=True)
        options = ("--ca-file", str(host.authority)) if trusting else ()
        return subprocess.run(
            [*host.prefix, sys.executable, "-m", "p2ptwisted.cli", *arguments, *options],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
        )

    def test_all_the_way(self) -> None:
        """Registering, multicast search, redirects, fetching and `p2p`, all of it by TLS."""
        one, two = self.hosts
        (self.shared("holder") / "file").write_bytes(CONTENT)
        first, second = (self.secured(host, "p2p-supernode", 5000) for host in self.hosts)
        for host, name, supernode in ((one, "holder", first), (two, "other", second)):
            sharing = ("--name", name, "--resources", str(self.shared(name)))
            ordered_from = ("--trusted-network", f"{host.address}/32")
            node = self.secured(host, "p2p-node", 8000, *sharing, *at(supernode), *ordered_from)
        self.wait_until_held(first, "holder", ID)
        found = node.get(f"/api/node/resources/{ID}/content")
        self.assertEqual(found.status, 302)
        holder = f"https://10.9.5.1:8000/api/node/resources/{ID}/content"
        self.assertEqual(found.headers["location"], holder)
        path = f"{node.url}/api/node/resources/{ID}/content"
        self.assertEqual(two.curl("--location", path), CONTENT)

        settings = ("--supernode", second.url, "--multicast-group", self.group)
        self.assertEqual(self.p2p(two, "get", ID, *settings), 0)
        self.assertEqual((self.folder / "got" / "file").read_bytes(), CONTENT)
        self.assertEqual(self.p2p(two, "pull", ID, "--node", node.url, *settings), 0)
        self.assertEqual((self.shared("other") / "file").read_bytes(), CONTENT)
        self.assertEqual(self.p2p(two, "nodes", *settings), 0)
        for command in (["nodes"], ["find", "x"], ["pull", ID, "--all"], ["status"]):
            untrusting = self.ran(two, *command, *settings, trusting=False)
            self.assertEqual(untrusting.returncode, 4)
            self.assertIn("speaks TLS: give the ca.pem", untrusting.stderr)
        self.share(two, node.url, settings)
        with self.assertRaises(OSError):
            Host.curl(two, "--insecure", f"{node.url}/api/node/health")

    def test_other_clients(self) -> None:
        """Clients that speak TLS by GnuTLS take the certificates too, with the authority's."""
        one, two = self.hosts
        (self.shared("holder") / "file").write_bytes(CONTENT)
        supernode = self.secured(one, "p2p-supernode", 5000)
        resources = ("--name", "holder", "--resources", str(self.shared("holder")))
        node = self.secured(one, "p2p-node", 8000, *resources, *at(supernode))
        self.wait_until_held(supernode, "holder", ID)
        url = f"https://{node.location}/api/node/resources/{ID}/content"
        for program, *to in (("aria2c", "--out"), ("wget2", "--output-document")):
            trusting = f"--ca-certificate={two.authority}"
            ran = subprocess.run(
                [*two.prefix, program, trusting, url, *to, program],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=30,
            )
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.assertEqual((self.folder / program).read_bytes(), CONTENT)

    def share(self, host: SecuredHost, url: str, settings: tuple[str, ...]) -> None:
        """A node takes files from its own machine by any of its addresses, and tells its folder."""
        for number, named in enumerate(((), ("--node", url))):
            file = self.folder / f"given{number}"
            file.write_text(file.name)
            shared = self.ran(host, "share", str(file), *named, *settings)
            self.assertEqual(shared.returncode, 0, shared.stderr)
            self.assertTrue((self.shared("other") / file.name).is_file())


class StandIn:
    """What a node is to a sweep: it answers by TLS, with the certificate in a file."""

    def __init__(self, case: SystemTestCase, certificate: Path) -> None:
        stand_in = self
        #: How often it was asked how it is.
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stand_in.asked += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = QuietServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.location = serve(case, server)


class TrustTests(SystemTestCase):
    """Whom a member speaks with."""

    def certify_client(self, folder: Path) -> Path:
        """A certificate of the authority in that folder, for this address but not for servers."""
        key = load_pem_private_key((folder / "ca-key.pem").read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        authority = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        return issue(address, purpose, by=Issued(authority, key)).write(self.folder / "client.pem")

    def test_sweep(self) -> None:
        """
        The sweep goes over TLS, and believes no other certificate, none for another host, and none
        for another purpose.
        """
        own = make_certificates(self.folder / "own", "127.0.0.1", "127.0.0.2")
        others = make_certificates(self.folder / "others", "127.0.0.1")
        good = StandIn(self, own / "127.0.0.1.pem")
        for_another_host = StandIn(self, own / "127.0.0.2.pem")
        of_others = StandIn(self, others / "127.0.0.1.pem")
        for_clients = StandIn(self, self.certify_client(own))
        certificate = own / "127.0.0.1.pem"
        port = free_port()
        endpoint = f"ssl:{port}:privateKey={certificate}:certKey={certificate}"
        supernode = self.start(
            "p2p-supernode",
            port,
            *("--port", endpoint, "--ca-file", str(own / "ca.pem"), "--sweep-interval", "1"),
            *self._group(),
            machine=SecuredMachine(own / "ca.pem"),
        )
        for node in (good, for_another_host, of_others, for_clients):
            body = {"location": node.location, "resources": []}
            self.assertEqual(supernode.post("/api/supernode/register", body).status, 204)

        def alive() -> list[str]:
            return [node["location"] for node in supernode.get("/api/supernode/alive").data]

        eventually(GONE_WITHIN, "the others are gone", lambda: alive() == [good.location])
        asked = good.asked
        time.sleep(3)
        self.assertEqual(alive(), [good.location])
        self.assertGreater(good.asked, asked)
        others_asked = [one.asked for one in (for_another_host, of_others, for_clients)]
        self.assertEqual(others_asked, [0, 0, 0])

    def test_no_tls(self) -> None:
        """Nobody is heard who speaks no TLS, and it stays up for the others."""
        own = make_certificates(self.folder / "own", "127.0.0.1")
        certificate, port = own / "127.0.0.1.pem", free_port()
        endpoint = f"ssl:{port}:privateKey={certificate}:certKey={certificate}"
        trusting = ("--ca-file", str(own / "ca.pem"))
        machine = SecuredMachine(own / "ca.pem")
        node = self.start(
            "p2p-node",
            port,
            *("--port", endpoint, *trusting, "--resources", str(self.shared("node"))),
            *self._group(),
            machine=machine,
        )
        with self.assertRaises(OSError):
            answers.request("GET", f"{node.url}/api/node/health")
        plain = self.start_supernode()
        time.sleep(2)
        self.assertEqual(plain.get("/api/supernode/alive").data, [])
        self.assertEqual(node.get("/api/node/health").status, 200)

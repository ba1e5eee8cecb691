"""Tests of `p2ptwisted.web.origin_check`, through a site's routes."""

import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.test.node_fakes import Connection
from p2ptwisted.test.web.test_authentication import Api
from p2ptwisted.web.api_root import ApiRoot
from p2ptwisted.web.server.request_body import LimitedRequest
from p2ptwisted.web.server.site import LimitedSite

HERE = "127.0.0.1:8000"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
POWERSHELL = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1"
ADDRESSES = (HERE, "localhost:8000", "10.0.0.1", "LOCALHOST")

#: A call that reads, those that give orders, and one that looks like reading.
READ, WRITES, DO = ("GET", "/thing"), (("POST", "/thing"), ("DELETE", "/thing")), ("GET", "/do")


class PagesTests(SynchronousTestCase):
    """What a browser may be made to do by a page, on a member's machine or beside it."""

    def call(self, call: tuple[str, str], host: str = HERE, **headers: str | None) -> int:
        """The status of the answer, which is the same wherever the browser is."""
        method, path = call
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        for name, value in headers.items():
            if value is not None:
                lines.append(f"{name.replace('_', '-')}: {value}")
        statuses = []
        for caller in ("127.0.0.1", "10.0.0.9"):
            clock = Clock()
            connection = Connection(LimitedSite(ApiRoot(Api().app), 1_000, clock), clock, caller)
            connection.send("\r\n".join([*lines, "", ""]).encode())
            statuses.append(connection.take(method).status)
            connection.vanish()
        self.assertEqual(statuses[0], statuses[1])
        return statuses[0]

    def test_other_site(self) -> None:
        """A page of another site's changes nothing here, nor does one that has no site."""
        for origin in ("http://example.org", "http://127.0.0.1:8001", "null", f"http://{HERE}.x"):
            for call in (*WRITES, DO):
                for agent in (None, FIREFOX):
                    self.assertEqual(self.call(call, origin=origin, user_agent=agent), 403, origin)

    def test_own_page(self) -> None:
        """A page of the daemon's own may, by its address or as localhost, with TLS or without."""
        for host in ADDRESSES:
            for scheme in ("http", "https"):
                for call in (*WRITES, DO):
                    status = self.call(call, host, origin=f"{scheme}://{host}", user_agent=FIREFOX)
                    self.assertEqual(status, 204, host)

    def test_rebound(self) -> None:
        """A site whose name leads to this machine is no page of the daemon's."""
        for host in ("example.org", "example.org:8000", "node1", "1.2.3.4.example.org"):
            for call in (*WRITES, DO):
                for site in (None, "same-origin"):
                    status = self.call(
                        call, host, origin=f"http://{host}", sec_fetch_site=site, user_agent=FIREFOX
                    )
                    self.assertEqual(status, 403, host)

    def test_fetch_metadata(self) -> None:
        """A browser that says where a call comes from is taken at its word, without an Origin."""
        for call in (*WRITES, DO):
            for site, status in (
                ("cross-site", 403),
                ("same-site", 403),
                ("new-word", 403),
                ("same-origin", 204),
                ("none", 204),
            ):
                self.assertEqual(self.call(call, sec_fetch_site=site), status, site)
            # Where the two disagree, nothing is taken.
            status = self.call(call, origin=f"http://{HERE}", sec_fetch_site="cross-site")
            self.assertEqual(status, 403)
            self.assertEqual(self.call(call, "node1", sec_fetch_site="same-origin"), 403)

    def test_neither(self) -> None:
        """An old browser's form comes without either; so does what is typed, which only reads."""
        for host in (*ADDRESSES, "node1"):
            for call in WRITES:
                self.assertEqual(self.call(call, host, user_agent=FIREFOX), 403)
        for host in ADDRESSES:
            self.assertEqual(self.call(DO, host, user_agent=FIREFOX), 204)
        self.assertEqual(self.call(DO, "node1", user_agent=FIREFOX), 403)

    def test_reading(self) -> None:
        """A page of another site's may have a browser read, of which it is shown nothing."""
        for host in (*ADDRESSES, "node1", "node1:8000", "node1.local", "a.home.arpa", "a.internal"):
            for origin, site in (
                (None, None),
                ("http://example.org", "cross-site"),
                (None, "none"),
            ):
                status = self.call(
                    READ, host, origin=origin, sec_fetch_site=site, user_agent=FIREFOX
                )
                self.assertEqual(status, 204, host)

    def test_rebound_reading(self) -> None:
        """A page may read what it has called its own, so no name is that anybody can own."""
        for host in ("example.org", "example.org:8000", "com.", "a.local.example.org", "local.com"):
            for origin, site, agent in (
                (None, None, FIREFOX),
                (None, "same-origin", None),
                (f"http://{host}", None, None),
            ):
                status = self.call(READ, host, origin=origin, sec_fetch_site=site, user_agent=agent)
                self.assertEqual(status, 403, host)

    def test_own_name(self) -> None:
        """The name of the daemon's own machine is no stranger's, but gives no orders."""
        self.patch(socket, "gethostname", lambda: "Node1.Example.org")
        self.assertEqual(self.call(READ, "node1.example.org:8000", user_agent=FIREFOX), 204)
        self.assertEqual(self.call(READ, "node2.example.org:8000", user_agent=FIREFOX), 403)
        self.assertEqual(self.call(DO, "node1.example.org:8000", user_agent=FIREFOX), 403)

    def test_tls(self) -> None:
        """A stranger's name is not in the certificate, so over TLS reading is by any name."""
        self.patch(LimitedRequest, "isSecure", lambda request: True)
        self.assertEqual(self.call(READ, "node1.example.org", user_agent=FIREFOX), 204)
        self.assertEqual(self.call(DO, "node1.example.org", user_agent=FIREFOX), 403)

    def test_no_browser(self) -> None:
        """Who isn't a browser needs to say nothing, by whatever name it calls."""
        for host in (HERE, "node1", "node1.example.org"):
            for agent in (None, "curl/8.5.0", "python-requests/2.32", POWERSHELL):
                for call in (READ, *WRITES, DO):
                    self.assertEqual(self.call(call, host, user_agent=agent), 204, agent)

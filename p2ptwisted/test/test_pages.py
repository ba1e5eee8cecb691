"""Tests of `p2ptwisted.web.pages`, through a site's routes."""

from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.test.test_guard import Api
from p2ptwisted.web.envelope import ApiRoot

HOST = "http://127.0.0.1:8000"


class PagesTests(SynchronousTestCase):
    """What a browser on a member's own machine may be made to do by a page."""

    def call(self, method: str, origin: str | None, host: str = HOST) -> int:
        """The status of the answer; to a call from loopback."""
        treq: Any = StubTreq(ApiRoot(Api().app))

        async def answered() -> int:
            headers = {} if origin is None else {"origin": origin}
            response = await treq.request(method, f"{host}/thing", headers=headers)
            await response.content()
            return int(response.code)

        result = Deferred.fromCoroutine(answered())
        treq.flush()
        return self.successResultOf(result)

    def test_other_site(self) -> None:
        """A page of another site's changes nothing here, nor does one that has no site."""
        for origin in ("http://example.org", "http://127.0.0.1:8001", "null", HOST + ".example"):
            for method in ("POST", "DELETE"):
                self.assertEqual(self.call(method, origin), 403, (method, origin))

    def test_own_page(self) -> None:
        """A page of the daemon's own may, by its address or as localhost, with TLS or without."""
        for host in (HOST, "http://localhost:8000", "http://10.0.0.1"):
            for origin in (host, host.replace("http:", "https:")):
                self.assertEqual(self.call("POST", origin, host), 204, origin)

    def test_name_of_a_strangers(self) -> None:
        """A site whose name leads to this machine is no page of the daemon's."""
        self.assertEqual(self.call("POST", "http://example.org", "http://example.org"), 403)

    def test_reading(self) -> None:
        """Reading is left to the browser, which shows a page nothing of other sites."""
        self.assertEqual(self.call("GET", "http://example.org"), 204)

    def test_no_browser(self) -> None:
        """Who isn't a browser doesn't say for whom it asks."""
        for host in (HOST, "http://node1"):
            self.assertEqual(self.call("POST", None, host), 204)

"""Tests of `p2ptwisted.client.call_errors`."""

import errno

from OpenSSL import SSL
from twisted.internet.error import (
    ConnectError,
    ConnectionDone,
    ConnectionRefusedError,
    NoRouteError,
    TCPTimedOutError,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from p2ptwisted.client.call_errors import call_name, unreached
from p2ptwisted.errors import Trouble
from p2ptwisted.security.tls import NotProvedInTls
from p2ptwisted.support.twisted_internals.http_client import ParseError


class CallErrorTests(SynchronousTestCase):
    """How failed calls are told."""

    def test_troubles(self) -> None:
        """What Twisted and OpenSSL raise is one of a few troubles."""
        for error, trouble in (
            (ConnectionRefusedError(), Trouble.REFUSED),
            (TCPTimedOutError(), Trouble.SILENT),
            (NoRouteError(), Trouble.NO_ROUTE),
            (ConnectError(errno.EHOSTUNREACH), Trouble.NO_ROUTE),
            (ResponseFailed([Failure(ConnectionDone())]), Trouble.BROKEN),
            (ResponseFailed([Failure(ParseError("wrong", b"SSH-2.0"))]), Trouble.NOT_HTTP),
            (NotProvedInTls("it is old"), Trouble.NOT_PROVED),
            (SSL.Error([("SSL routines", "", "wrong version number")]), Trouble.NO_TLS),
            (SSL.Error([("SSL routines", "", "no shared cipher")]), Trouble.OTHER),
            (RuntimeError("what"), Trouble.OTHER),
        ):
            found = unreached("GET x", error)
            self.assertIs(found.trouble, trouble, error)
            self.assertTrue(str(found).startswith("GET x: "))
            self.assertNotIn("Error", str(found))

    def test_nameless(self) -> None:
        """One without any words is told without the name of a class."""
        self.assertEqual(str(unreached("GET x", RuntimeError())), "GET x: it can't be asked")

    def test_unnamed(self) -> None:
        """Where the call has no name only the trouble is told, as beside a holder's location."""
        self.assertEqual(str(unreached("", ConnectionRefusedError())), "connection refused")

    def test_ids(self) -> None:
        """A call is named with the first digits of the ids in it."""
        ids = ",".join(["ab" * 32] * 200)
        self.assertEqual(
            call_name("GET", f"http://a:1/search?hash_ids={ids}"),
            "GET http://a:1/search?hash_ids=abababab...",
        )

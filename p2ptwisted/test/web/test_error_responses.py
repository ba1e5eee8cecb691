"""Tests of `p2ptwisted.web.error_responses`."""

from http import HTTPStatus

import msgspec
from twisted.internet.defer import CancelledError
from twisted.web.resource import IResource
from zope.interface.verify import verifyObject

from p2ptwisted.errors import (
    InvalidInput,
    NotAllowed,
    Unavailable,
    UnknownNode,
    UnknownResource,
)
from p2ptwisted.test.web.cases import Answer, ApiTestCase
from p2ptwisted.web.error_responses import ErrorPage


class ErrorTests(ApiTestCase):
    """What each exception becomes."""

    def bad(self, error: Exception) -> Answer:
        self.api.raised = error
        return self.get("/bad")

    def test_table(self) -> None:
        """Each has its status and keeps its message."""
        for error, code, name in [
            (InvalidInput("why"), 400, "Bad Request"),
            (msgspec.ValidationError("why"), 400, "Bad Request"),
            (msgspec.DecodeError("why"), 400, "Bad Request"),
            (NotAllowed("why"), 403, "Forbidden"),
            (UnknownNode("why"), 404, "Not Found"),
            (UnknownResource("why"), 404, "Not Found"),
            (Unavailable("why"), 503, "Service Unavailable"),
        ]:
            self.assert_error(self.bad(error), code, name, "why")

    def test_retry_after(self) -> None:
        """What may go well in a moment says when."""
        self.assertEqual(self.bad(Unavailable("busy")).header("retry-after"), "1")
        self.assertIsNone(self.bad(InvalidInput("bad")).header("retry-after"))

    def test_own_mistake(self) -> None:
        """Anything else is ours: the log has all of it, and the client not one detail."""
        for error in [KeyError("secret"), ValueError("secret"), OSError("secret")]:
            self.assert_error(
                self.bad(error),
                500,
                "Internal Server Error",
                "a bug in the daemon, not in the request: its log has the details",
            )
            self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)

    def test_client_gone(self) -> None:
        """A handler that is cancelled, as its client has gone, says nothing and logs nothing."""
        self.assertEqual(self.bad(CancelledError()).body, b"")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_page(self) -> None:
        """An error can also stand where a resource does."""
        page = ErrorPage(HTTPStatus.GONE, "gone for good")
        verifyObject(IResource, page)
        self.use(page)
        for path in ["/", "/any/path"]:
            self.assert_error(self.get(path), 410, "Gone", "gone for good")

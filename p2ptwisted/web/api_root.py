"""The root of a daemon's site: what is checked of every call before its route runs."""

from typing import Any

from klein import Klein
from twisted.web.resource import Resource
from twisted.web.server import Request

from p2ptwisted.web.authentication import Authenticator
from p2ptwisted.web.error_responses import EXPECTED_ERRORS, expected_error
from p2ptwisted.web.orders import is_order
from p2ptwisted.web.origin_check import check_origin, is_from_browser
from p2ptwisted.web.request_target import parse_target


class ApiRoot(Resource):
    """The root of a site: the same routes under /api and without it."""

    isLeaf = True

    def __init__(self, app: Klein, authenticator: Authenticator | None = None) -> None:
        """`authenticator` checks every call before its route runs; None lets every caller in."""
        super().__init__()
        self._app = app
        self._routes = app.resource()
        self._authenticator = authenticator

    def render(self, request: Request) -> Any:
        try:
            _take_target(request)
            self._check(request)
        except EXPECTED_ERRORS as refusal:
            return expected_error(request, refusal)
        return self._routes.render(request)

    def _check(self, request: Request) -> None:
        """Raise one of EXPECTED_ERRORS where the call may not be made."""
        of_browser = is_from_browser(request)
        if not of_browser and self._authenticator is None:
            return  # Most calls: which route it is Klein finds out anyway.
        changes = is_order(self._app, request)
        if of_browser:
            check_origin(request, changes)
        if self._authenticator is not None:
            self._authenticator.check(request, changes)


def _take_target(request: Request) -> None:
    """Set the request's target, so that all who look at it see the same. Raises InvalidInput."""
    hosts = request.requestHeaders.getRawHeaders(b"host") or []
    target = parse_target(request.uri, hosts)
    request.uri, request.path = target.sent, target.path
    if target.host != hosts[0]:
        # The target names the host itself, as for a proxy.
        request.requestHeaders.setRawHeaders(b"host", [target.host])
    parts = target.path[1:].split(b"/")
    under = 1 if parts[0] == b"api" else 0
    request.prepath, request.postpath = parts[:under], parts[under:]

"""
Answers that are errors, and the one table of the exceptions that become them.

    {"code": 404, "name": "Not Found", "description": "..."}

The body is made in `server.early_errors`, for what is no request yet is
answered with the same.
"""

from http import HTTPStatus

import msgspec
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException

from p2ptwisted.errors import (
    Busy,
    InvalidInput,
    NotAllowed,
    NotReadable,
    NotSigned,
    TooMuch,
    Unavailable,
    UnknownNode,
    UnknownResource,
)
from p2ptwisted.support.escaping import shown
from p2ptwisted.web.server.early_errors import RETRY_AFTER, error_body

_STATUS: dict[type[Exception], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    msgspec.ValidationError: HTTPStatus.BAD_REQUEST,
    msgspec.DecodeError: HTTPStatus.BAD_REQUEST,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotReadable: HTTPStatus.NOT_ACCEPTABLE,
    NotSigned: HTTPStatus.UNAUTHORIZED,
    TooMuch: HTTPStatus.TOO_MANY_REQUESTS,
    UnknownNode: HTTPStatus.NOT_FOUND,
    UnknownResource: HTTPStatus.NOT_FOUND,
    Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

#: What a caller can do something about. Any other exception is a mistake of our own.
EXPECTED_ERRORS = tuple(_STATUS)

_log = Logger()


def error(request: Request, status: HTTPStatus, description: str) -> bytes:
    """Make the answer this error; returns its body."""
    request.setResponseCode(status.value)
    request.setHeader(b"content-type", b"application/json")
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        request.setHeader(b"retry-after", b"%d" % RETRY_AFTER)
    elif status is HTTPStatus.UNAUTHORIZED:
        request.setHeader(b"www-authenticate", b'Signature realm="p2ptwisted"')
    body = error_body(status, description)
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def not_sent(request: Request, unmet: HTTPStatus) -> bytes:
    """Make the answer what a client's condition calls for; returns its body, empty in a 304."""
    if unmet is HTTPStatus.NOT_MODIFIED:
        request.setResponseCode(unmet.value)
        return b""
    return error(
        request, unmet, "the If-Match of the request names other versions than the one that is here"
    )


def status_of(exception: BaseException | None) -> HTTPStatus | None:
    """Return the status of one of EXPECTED_ERRORS; None for any other exception."""
    for kind, status in _STATUS.items():
        if isinstance(exception, kind):
            return status
    return None


def expected_error(request: Request, exception: Exception) -> bytes:
    """Make the answer the error that one of EXPECTED_ERRORS stands for."""
    return error(request, _STATUS[type(exception)], str(exception))


def error_of(request: Request, failure: Failure) -> bytes:
    """Make the answer the error that an exception stands for. Klein's error handler."""
    exception = failure.value
    if isinstance(exception, CancelledError):
        return b""  # The client has gone; there is nobody to answer.
    if isinstance(exception, HTTPException):
        return _routing_error(request, exception)
    status = status_of(exception)
    if status is not None:
        return error(request, status, str(exception))
    _log.failure("{path} failed", failure=failure, path=_shown(request.path))
    return error(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "a bug in the daemon, not in the request: its log has the details",
    )


def _routing_error(request: Request, exception: HTTPException) -> bytes:
    """Make the answer what Klein's router says of a path that has no route."""
    path = _shown(request.path)
    status = HTTPStatus(exception.code or 404)
    if status < HTTPStatus.BAD_REQUEST:
        status = HTTPStatus.NOT_FOUND
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        for name, value in exception.get_headers():
            if name == "Allow":
                request.setHeader(b"allow", ", ".join(sorted(value.split(", "))).encode())
        return error(request, status, f"{path} has no method {_shown(request.method)[:20]}")
    if status is HTTPStatus.NOT_FOUND:
        return error(request, status, f"there is no route {path}; docs/http-api.md lists them all")
    return error(request, status, exception.description or status.description)


def _shown(text: bytes) -> str:
    """Return the beginning of what a client sent, fit for a log or a message."""
    return shown(text.decode("utf-8", "replace"))


class ErrorPage(Resource):
    """A resource that answers every request with one error."""

    isLeaf = True

    def __init__(self, status: HTTPStatus, description: str) -> None:
        super().__init__()
        self._status = status
        self._description = description

    def render(self, request: Request) -> bytes:
        return error(request, self._status, self._description)

"""
The envelope of every answer, the one table of errors, and the decoding of requests.

    {"data": ..., "entity": "..."}                         success
    {"code": 404, "name": "Not Found", "description": "..."} error
"""

import re
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from klein import Klein
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException

from p2ptwisted.errors import (
    InvalidInput,
    NotAllowed,
    NotSigned,
    TooMuch,
    Unavailable,
    UnknownNode,
    UnknownResource,
)
from p2ptwisted.model import UNREADABLE, parse_id
from p2ptwisted.support.escaping import shown
from p2ptwisted.web.authentication import Authenticator
from p2ptwisted.web.orders import is_order
from p2ptwisted.web.origin_check import check_page, is_from_browser
from p2ptwisted.web.request_target import parse_target

#: Ids in one request; 200 of 64 digits fit the 16 KiB that Twisted allows for a request line.
HASH_IDS_MAX = 200

#: The usual case, canonical as it is: checked at once in a third of the time.
_SHA256_LIST = re.compile(r"[0-9a-f]{64}(?:,[0-9a-f]{64})*", re.ASCII)

#: Seconds after which a client may try again.
RETRY_AFTER = 1

_STATUS: dict[type[Exception], HTTPStatus] = {
    InvalidInput: HTTPStatus.BAD_REQUEST,
    msgspec.ValidationError: HTTPStatus.BAD_REQUEST,
    msgspec.DecodeError: HTTPStatus.BAD_REQUEST,
    NotAllowed: HTTPStatus.FORBIDDEN,
    NotSigned: HTTPStatus.UNAUTHORIZED,
    TooMuch: HTTPStatus.TOO_MANY_REQUESTS,
    UnknownNode: HTTPStatus.NOT_FOUND,
    UnknownResource: HTTPStatus.NOT_FOUND,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

_T = TypeVar("_T")
_log = Logger()
_encoder = msgspec.json.Encoder()


def success(request: Request, data: object, entity: str) -> bytes:
    """The body of an answer; the status is 200 where the caller has set none."""
    request.setHeader(b"content-type", b"application/json")
    body = _encoder.encode({"data": data, "entity": entity})
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def no_content(request: Request) -> bytes:
    """The answer to what was done and needs no more words."""
    request.setResponseCode(HTTPStatus.NO_CONTENT)
    return b""


def error_body(status: HTTPStatus, description: str) -> bytes:
    return _encoder.encode(
        {"code": status.value, "name": status.phrase, "description": description}
    )


def error(request: Request, status: HTTPStatus, description: str) -> bytes:
    """Make the answer this error."""
    request.setResponseCode(status.value)
    request.setHeader(b"content-type", b"application/json")
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        request.setHeader(b"retry-after", b"%d" % RETRY_AFTER)
    elif status is HTTPStatus.UNAUTHORIZED:
        request.setHeader(b"www-authenticate", b'Signature realm="p2ptwisted"')
    body = error_body(status, description)
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def status_of(exception: BaseException | None) -> HTTPStatus | None:
    """The status of what a caller can do something about; None for a mistake of our own."""
    for kind, status in _STATUS.items():
        if isinstance(exception, kind):
            return status
    return None


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
        "a mistake of the daemon's own, not of the request; its log has the details",
    )


def _routing_error(request: Request, exception: HTTPException) -> bytes:
    """What Klein's router says of a path that leads nowhere."""
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
    """The beginning of what a client sent, fit for a log or a message."""
    return shown(text.decode("utf-8", "replace"))


class ApiRoot(Resource):
    """The root of a site: the same routes under /api and without it."""

    isLeaf = True

    def __init__(self, app: Klein, guard: Authenticator | None = None) -> None:
        """`guard` checks every call before its route does; none lets all in."""
        super().__init__()
        self._app = app
        self._routes = app.resource()
        self._guard = guard

    def render(self, request: Request) -> Any:
        try:
            _take_target(request)
            self._check(request)
        except tuple(_STATUS) as refusal:
            return error(request, _STATUS[type(refusal)], str(refusal))
        return self._routes.render(request)

    def _check(self, request: Request) -> None:
        """Raises what stands in _STATUS where the call may not be made."""
        of_browser = is_from_browser(request)
        if not of_browser and self._guard is None:
            return  # Most calls: which route it is Klein finds out anyway.
        changes = is_order(self._app, request)
        if of_browser:
            check_page(request, changes)
        if self._guard is not None:
            self._guard.check(request, changes)


def _take_target(request: Request) -> None:
    """Have all that look at a request's target see the same. Raises InvalidInput."""
    hosts = request.requestHeaders.getRawHeaders(b"host") or []
    target = parse_target(request.uri, hosts)
    request.uri, request.path = target.sent, target.path
    request.requestHeaders.setRawHeaders(b"host", [target.host])
    parts = target.path[1:].split(b"/")
    under = 1 if parts[0] == b"api" else 0
    request.prepath, request.postpath = parts[:under], parts[under:]


class ErrorPage(Resource):
    """A resource that is an error."""

    isLeaf = True

    def __init__(self, status: HTTPStatus, description: str) -> None:
        super().__init__()
        self._status = status
        self._description = description

    def render(self, request: Request) -> bytes:
        return error(request, self._status, self._description)


# -- requests


def caller(request: Request) -> str:
    """The address that the request came from."""
    return str(request.getClientAddress().host)


def decode_body(request: Request, decoder: msgspec.json.Decoder[_T]) -> _T:
    """The body as the struct it must be; msgspec's errors name the field."""
    assert request.content is not None
    try:
        return decoder.decode(request.content.read())
    except msgspec.ValidationError:
        raise
    except UNREADABLE as problem:
        raise InvalidInput(f"the body is not JSON: {problem}") from None


def query(request: Request, name: str) -> str | None:
    """The value of a query parameter, where it is given. Raises InvalidInput."""
    values = request.args.get(name.encode())
    if values is None:
        return None
    if len(values) > 1:
        raise InvalidInput(f"{name} is given {len(values)} times: give it once")
    try:
        return str(values[0].decode())
    except UnicodeDecodeError:
        raise InvalidInput(f"{name} is not UTF-8") from None


def query_ids(request: Request) -> list[str] | None:
    """The ids in `hash_ids`, canonical, each once. Raises InvalidInput."""
    text = query(request, "hash_ids")
    if text is None:
        return None
    if not text:
        raise InvalidInput("hash_ids is empty: give ids separated by commas")
    ids = text.split(",")
    if len(ids) > HASH_IDS_MAX:
        raise InvalidInput(f"hash_ids has {len(ids)} ids: ask for {HASH_IDS_MAX} at a time")
    if _SHA256_LIST.fullmatch(text):
        return list(dict.fromkeys(ids))
    return list(dict.fromkeys(map(parse_id, ids)))

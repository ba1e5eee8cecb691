"""
Orders: the calls that change something, where others only read.

The handler that will run says which it is, by a mark or by its method.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from klein import Klein
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException

#: Methods that only read, where their route doesn't say otherwise.
READING = (b"GET", b"HEAD")

_MARK = "is_order"

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def order(handler: _Handler) -> _Handler:
    """Mark a handler, below its `app.route`: it changes something, whatever its method."""
    setattr(handler, _MARK, True)
    return handler


def reading(handler: _Handler) -> _Handler:
    """Mark a handler, below its `app.route`: it only reads, whatever its method."""
    setattr(handler, _MARK, False)
    return handler


def is_order(app: Klein, request: Request) -> bool:
    """Whether the handler of a request changes something. The request's target must be set."""
    assert request.postpath is not None
    path = b"/".join(request.postpath).decode()
    method = request.method.decode()
    by_method = request.method not in READING
    try:
        # The same look-up that Klein does a moment later.
        endpoint, _ = app.url_map.bind("", path_info=path, default_method=method).match()
    except HTTPException:
        return by_method  # Nothing will run; but strangers needn't know which routes there are.
    return bool(getattr(app.endpoints[endpoint], _MARK, by_method))

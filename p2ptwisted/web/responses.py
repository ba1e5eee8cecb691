"""
The bodies of successful answers.

    {"data": ..., "entity": "..."}

Lists that are too long to be encoded at once are in `json_stream`, errors in
`error_responses`.
"""

from http import HTTPStatus
from urllib.parse import quote

import msgspec
from twisted.web.server import Request

_encoder = msgspec.json.Encoder()


def success(request: Request, data: object, entity: str, **more: object) -> bytes:
    """
    Return the body of an answer, and set its headers.

    `entity` says what the data is, `more` what else stands beside it. The status is
    200 where the caller has set none.
    """
    request.setHeader(b"content-type", b"application/json")
    body = _encoder.encode({"data": data, "entity": entity, **more})
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def no_content(request: Request) -> bytes:
    """Make the answer a 204, which says only that the request was carried out."""
    request.setResponseCode(HTTPStatus.NO_CONTENT)
    return b""


def file(request: Request, content_type: bytes, name: str, body: bytes) -> bytes:
    """Return the body of an answer that is a file, to be saved under that name."""
    request.setHeader(b"content-type", content_type)
    request.setHeader(b"x-content-type-options", b"nosniff")
    request.setHeader(b"content-disposition", disposition(name))
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def disposition(name: str) -> bytes:
    """Return the header with the name that `curl -OJ` saves under: without folders (RFC 6266)."""
    base = name.rpartition("/")[2]
    # curl knows only the plain form, which has no way to say more than ASCII.
    plain = "".join(char if char.isascii() and char.isprintable() else "_" for char in base)
    quoted = plain.replace("\\", "_").replace('"', "_")
    encoded = quote(base, safe="")
    return f"attachment; filename=\"{quoted}\"; filename*=UTF-8''{encoded}".encode()

"""
The bodies of successful answers.

    {"data": ..., "entity": "..."}

Lists that are too long to be encoded at once are in `json_stream`, errors in
`error_responses`.
"""

from http import HTTPStatus

import msgspec
from twisted.web.server import Request

_encoder = msgspec.json.Encoder()


def success(request: Request, data: object, entity: str) -> bytes:
    """
    Return the body of an answer, and set its headers.

    `entity` says what the data is. The status is 200 where the caller has set none.
    """
    request.setHeader(b"content-type", b"application/json")
    body = _encoder.encode({"data": data, "entity": entity})
    request.setHeader(b"content-length", b"%d" % len(body))
    return body


def no_content(request: Request) -> bytes:
    """Make the answer a 204, which says only that the request was carried out."""
    request.setResponseCode(HTTPStatus.NO_CONTENT)
    return b""

"""
What an answer with content tells a client of somebody else's: the digest that the content has
(RFC 3230 and RFC 9530), and who else has it (RFC 6249).
"""

from base64 import b64encode
from collections.abc import Iterable

from twisted.web.server import Request


def resource_url(request: Request, location: str, id: str, rest: str) -> str:
    """Return the URL of a resource at a node; `rest` is what follows the id in the path."""
    scheme = "https" if request.isSecure() else "http"
    return f"{scheme}://{location}/api/node/resources/{id}{rest}"


def tell_digest(request: Request, id: str) -> None:
    """Say in the answer's head which SHA-256 all of the content has; that is its id."""
    digest = b64encode(bytes.fromhex(id))
    # aria2 checks the older one, and doesn't know the newer one.
    request.setHeader(b"digest", b"SHA-256=" + digest)
    request.setHeader(b"repr-digest", b"sha-256=:%b:" % digest)


def tell_mirrors(request: Request, id: str, locations: Iterable[str]) -> None:
    """Say in the answer's head who else has the content, the best first."""
    urls = (resource_url(request, location, id, "/content") for location in locations)
    links = [f"<{url}>; rel=duplicate; pri={place}" for place, url in enumerate(urls, 1)]
    if links:
        request.setHeader(b"link", ", ".join(links).encode())

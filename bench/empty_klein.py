"""
The yardstick of a search: a Klein route that does nothing but answer.

    python -m bench.empty_klein PORT FILE     answers every GET of / with what is in FILE
"""

import sys
from pathlib import Path

from klein import Klein
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.web.server import Request, Site


class EmptySite(Site):
    """A plain site, without the access log that p2ptwisted doesn't have either."""

    def log(self, request: object) -> None:
        """No access log."""


def main(port: int, body: bytes) -> None:
    app = Klein()

    @app.route("/")
    def empty(request: Request) -> bytes:
        return body

    serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1").listen(EmptySite(app.resource()))
    IReactorCore(reactor).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]).read_bytes())

"""Plain HTTP servers in threads of the test's own, which end with it."""

import threading
from http.server import ThreadingHTTPServer

from twisted.trial.unittest import SynchronousTestCase


class QuietServer(ThreadingHTTPServer):
    """One that says nothing of clients who break off."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asks may give up."""


def serve(case: SynchronousTestCase, server: ThreadingHTTPServer) -> str:
    """Have it serve until the test ends; its location on loopback."""
    thread = threading.Thread(target=server.serve_forever, args=[0.05])
    thread.start()
    case.addCleanup(thread.join)
    case.addCleanup(server.server_close)
    case.addCleanup(server.shutdown)
    return f"127.0.0.1:{server.server_port}"

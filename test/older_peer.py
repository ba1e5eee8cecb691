"""
A stand-in for an older peer: plain sockets, and no more than the three datagrams.

    <name>;20;<id>          who has this resource?
    <name>;21;<location>    found
    <name>;22;<id>          not found here

It knows nothing of tags: a name is a name. All it says, it says to the group.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twisted.trial.unittest import SynchronousTestCase

from .serving import serve

NAME = "older-peer"

#: Seconds that it waits for something to be said in the group.
PATIENCE = 10.0


class OlderPeer:
    """Listens to the group on loopback, keeps what it hears, and answers as it is told."""

    def __init__(
        self,
        case: SynchronousTestCase,
        group: str,
        answer: Callable[[str], str | None] = lambda id: None,
    ) -> None:
        """
        `group` is `address:port`. `answer` gives what to reply to a request for
        an id, if anything: two fields, such as `21;127.0.0.1:8000`.
        """
        address, _, port = group.partition(":")
        self._group = address, int(port)
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(self._group)
        loopback = socket.inet_aton("127.0.0.1")
        membership = struct.pack("4s4s", socket.inet_aton(address), loopback)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        self._heard: list[Sequence[str]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        case.addCleanup(self._close)

    def say(self, rest: str) -> None:
        """Tell the group, after our name."""
        self._socket.sendto(f"{NAME};{rest}".encode(), self._group)

    def hear(self, code: str, value: str | None = None) -> Sequence[str]:
        """The first of the messages with that code and, where given, that value; waits for it."""
        with self._changed:
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline:
                for message in self._heard:
                    if message[1] == code and value in (None, message[2]):
                        return message
                self._changed.wait(deadline - time.monotonic())
            raise AssertionError(f"nobody said {code} {value or ''}; heard: {self._heard}")

    def forget(self) -> None:
        """What was heard before doesn't count."""
        with self._changed:
            self._heard.clear()

    def _listen(self) -> None:
        while not self._closed:
            message = self._socket.recv(2048).decode().split(";")
            if message[0] == NAME:
                continue
            with self._changed:
                self._heard.append(message)
                self._changed.notify_all()
            if message[1] == "20":
                # Beside the listening: an answer may wait for what is heard next.
                threading.Thread(target=self._reply, args=[message[2]]).start()

    def _reply(self, id: str) -> None:
        reply = self._answer(id)
        if reply is not None:
            self.say(reply)

    def _close(self) -> None:
        self._closed = True
        self.say("22;over")  # Its own datagram wakes it.
        self._thread.join()
        self._socket.close()


class OlderNode:
    """A node beside it: it can tell whether it has a resource, and no more."""

    def __init__(self, case: SynchronousTestCase, ids: Sequence[str]) -> None:
        node = self
        #: The ids that it was asked for.
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                id = self.path.rpartition("/")[2]
                node.asked.append(id)
                self.send_response(200 if id in ids else 404)
                self.end_headers()
                if id in ids:
                    self.wfile.write(f'{{"data": {{"id": "{id}", "name": "old.txt"}}}}'.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.location = serve(case, ThreadingHTTPServer(("127.0.0.1", 0), Handler))

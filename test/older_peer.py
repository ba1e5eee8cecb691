"""
A stand-in for the older program, that ours grew from: its supernode, its node, and
what they say to the group, which is no more than the three datagrams.

    <name>;20;<id>          who has this resource?
    <name>;21;<location>    found
    <name>;22;<id>          not found here

It knows nothing of tags: a name is a name. All it says, it says to the group. Its routes
are those that ours began with, with shorter answers.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from .daemons import id_of
from .serving import QuietServer, serve

NAME = "older-peer"

#: What the answer to a search is.
FOUND = "node_resource_location"

#: Seconds that it waits for something to be said in the group.
PATIENCE = 10.0

#: Seconds in which its supernode checks its nodes, and after which a silent one is gone.
SWEEP_TIMEOUT, GONE = 2.0, 10.0


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

    def ask(self, id: str, answers: int) -> str | None:
        """A location for that, or None when so many answers were another; waits for them."""
        began = len(self._heard)
        self.say(f"20;{id}")
        with self._changed:
            deadline = time.monotonic() + PATIENCE
            while not self._closed and time.monotonic() < deadline:
                heard = [one for one in self._heard[began:] if one[1] in ("21", "22")]
                for message in heard:
                    if message[1] == "21":
                        return message[2]
                if len(heard) >= answers:
                    return None
                self._changed.wait(deadline - time.monotonic())
        return None

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
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.say("22;over")  # Its own datagram wakes it.
        self._thread.join()
        self._socket.close()


class _Routes(BaseHTTPRequestHandler):
    """How both roles answer over HTTP; `role` is the part of a path that is theirs."""

    protocol_version = "HTTP/1.1"
    role = ""

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_DELETE(self) -> None:
        self._do()

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        parts = path.strip("/").split("/")
        if self.role not in parts:
            self.error(418, "I'm not your guy")
        elif parts[:2] != ["api", self.role]:
            self.error(404, "The requested URL was not found on the server.")
        else:
            self.route(parts[2:], query, body)

    def route(self, parts: Sequence[str], query: str, body: bytes) -> None:
        """Answer."""
        raise NotImplementedError

    def data(self, data: object, entity: str, status: int = 200) -> None:
        body = json.dumps({"data": data, "entity": entity}).encode()
        self.answer(status, body, "application/json")

    def error(self, status: int, description: str) -> None:
        body = {"name": "whatever it is called", "description": description, "code": status}
        self.answer(status, json.dumps(body).encode(), "application/json")

    def answer(self, status: int, body: bytes = b"", kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class OlderNode:
    """Its node: it can tell what it has, and where another has it, and gives nothing."""

    def __init__(
        self,
        case: SynchronousTestCase,
        ids: Sequence[str] = (),
        names: Sequence[str] = (),
        supernode: str | None = None,
    ) -> None:
        """
        It has these ids, and those of these names: its ids are the SHA-256 of a file's name.

        `supernode` is the location of the one where it registers, once, and asks.
        """
        node = self
        #: The ids that it was asked for.
        self.asked: list[str] = []
        self.resources = dict.fromkeys(ids, "old.txt") | {id_of(n.encode()): n for n in names}

        class Routes(_Routes):
            role = "node"

            def route(self, parts: Sequence[str], query: str, body: bytes) -> None:
                if parts == ["health"]:
                    self.answer(200)
                elif parts == ["resources"]:
                    self.data([_resource(*one) for one in node.resources.items()], "resource")
                elif len(parts) == 2 and parts[0] == "resources":
                    self.one(parts[1])
                else:
                    self.error(404, "The requested URL was not found on the server.")

            def one(self, id: str) -> None:
                node.asked.append(id)
                if id in node.resources:
                    self.data(_resource(id, node.resources[id]), "resource")
                    return
                found = None if supernode is None else _get(supernode, f"search/{id}")
                if found and found.get("file"):
                    # Without a Location.
                    self.data({"id": id, "info": found["file"]}, "resource", 302)
                else:
                    self.error(404, "Resource doesn't exist")

        self.location = serve(case, QuietServer(("127.0.0.1", 0), Routes))
        if supernode is not None:
            listed = [_resource(*one) for one in self.resources.items()]
            registration = {"name": "older", "location": self.location, "resources": listed}
            self.registered = _post(supernode, "register", registration)


class OlderSupernode:
    """Its supernode, in the group."""

    def __init__(self, case: SynchronousTestCase, group: str, others: int = 0) -> None:
        """`others`: how many answers it awaits in the group, however long that takes."""
        supernode = self
        #: By id, a name and a location: the last that was registered.
        self.resources: dict[str, tuple[str, str]] = {}
        #: By location, a name, and when it was last seen.
        self.nodes: dict[str, tuple[str, float]] = {}
        #: The methods and paths that it was called with.
        self.called: list[str] = []
        self.peer = OlderPeer(case, group, self._answer)
        #: How many answers it awaits.
        self.others = others

        class Routes(_Routes):
            role = "supernode"

            def route(self, parts: Sequence[str], query: str, body: bytes) -> None:
                supernode.called.append(f"{self.command} {'/'.join(parts)}")
                match self.command, parts:
                    case "POST", ["register"]:
                        self.register(json.loads(body))
                    case "GET", ["search", id]:
                        found = supernode.find([id])
                        self.data(found[0] if found else {}, FOUND)
                    case "GET", ["search"]:
                        # It looks at nothing else that it is asked.
                        ids = query.partition("hash_ids=")[2].partition("&")[0]
                        self.data(supernode.find(filter(None, ids.split(","))), FOUND)
                    case "GET", ["alive"]:
                        nodes = supernode.nodes.items()
                        self.data([{"name": n, "location": at} for at, (n, _) in nodes], "node")
                    case "POST", ["alive"]:
                        self.error(500, "The server encountered an internal error.")
                    case _, ["alive"]:
                        self.error(405, "The method is not allowed for the requested URL.")
                    case "GET", ["xxx"]:
                        supernode.sweep()
                        self.answer(204)
                    case _:
                        self.error(404, "The requested URL was not found on the server.")

            def register(self, registration: Mapping[str, Any]) -> None:
                location, resources = registration["location"], registration["resources"]
                if resources:
                    name = registration.get("name", "")
                    supernode.nodes[location] = name, time.monotonic()
                    for one in resources:
                        supernode.resources[one["id"]] = one["name"], location
                self.answer(204)

        self.location = serve(case, QuietServer(("127.0.0.1", 0), Routes))
        self.url = f"http://{self.location}"

    def find(self, ids: Iterable[str]) -> list[dict[str, object]]:
        """Those that are found: one location each, and a name where it is registered here."""
        found: list[dict[str, object]] = []
        for id in ids:
            if id in self.resources:
                name, location = self.resources[id]
                found.append({"id": id, "file": {"name": name, "location": location}})
            elif (elsewhere := self.peer.ask(id, self.others)) is not None:
                found.append({"id": id, "file": {"location": elsewhere}})
        return found

    def sweep(self) -> None:
        """Check all nodes, and forget those that were silent for long."""
        for location, (name, seen) in list(self.nodes.items()):
            if time.monotonic() - seen > GONE:
                del self.nodes[location]
                for id, (_, at) in list(self.resources.items()):
                    if at == location:
                        del self.resources[id]
            elif _is_well(location):
                self.nodes[location] = name, time.monotonic()

    def _answer(self, id: str) -> str:
        if id in self.resources:
            return f"21;{self.resources[id][1]}"
        return f"22;{id}"


def _resource(id: str, name: str) -> dict[str, str]:
    return {"id": id, "name": name}


def _call(location: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = HTTPConnection(location, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _get(supernode: str, path: str) -> Any:
    status, body = _call(supernode, "GET", f"/api/supernode/{path}")
    return json.loads(body).get("data") if status == 200 else None


def _post(supernode: str, path: str, body: object) -> int:
    return _call(supernode, "POST", f"/api/supernode/{path}", json.dumps(body).encode())[0]


def _is_well(location: str) -> bool:
    connection = HTTPConnection(location, timeout=SWEEP_TIMEOUT)
    try:
        connection.request("GET", "/api/node/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()

"""The test case of fetching with real daemons: content, orders, and what becomes of them."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from p2ptwisted.pieces import MIB

from .cases import SystemTestCase
from .daemons import Daemon, at, eventually, id_of

#: Seconds that a fetch may take that nothing slows down, with the machine busy.
FETCHED_WITHIN = 20.0

#: Bytes a second of a holder or a fetching node that is to be caught in the middle.
SLOW = 3 * MIB


def content_of(pieces: int, seed: int = 0) -> bytes:
    """So many pieces of a MiB, no two alike, and a last one that is shorter."""
    return random.Random(seed).randbytes(pieces * MIB - 1000)


def make_old(path: Path) -> None:
    """Have a file look as if it had been there for long: one just written is not hashed at once."""
    os.utime(path, (0, 0))


class FetchTestCase(SystemTestCase):
    """A supernode, and nodes that fetch from each other."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode()

    def start_holder(self, name: str, files: dict[str, bytes], *options: str) -> Daemon:
        """A node at the supernode, which knows by now all that it has."""
        for file, content in files.items():
            path = self.shared(name) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            make_old(path)
        holder = self.start_node(name, {}, *at(self.supernode), *options)
        self.wait_until_held(self.supernode, name, *map(id_of, files.values()))
        return holder

    def start_fetcher(self, name: str = "fetcher", *options: str) -> Daemon:
        """A node at the supernode, which has nothing yet."""
        fetcher = self.start_node(name, {}, *at(self.supernode), *options)
        self.wait_for_supernode(fetcher)
        return fetcher

    def wait_for_supernode(self, node: Daemon) -> None:
        """Until it has a supernode that it can ask."""
        health = "/api/node/health"
        eventually(5, "it is at its supernode", lambda: node.get(health).data["supernode"])

    def order(self, node: Daemon, id: str) -> Any:
        """Have the node fetch it; its status then."""
        answer = node.post("/api/node/fetch", {"id": id})
        self.assertEqual(answer.status, 202, answer.body)
        return answer.data

    def status(self, node: Daemon, id: str) -> Any:
        return node.get(f"/api/node/fetch/{id}").data

    def wait_for(
        self,
        node: Daemon,
        id: str,
        what: str,
        reached: Callable[[Any], object],
        within: float = FETCHED_WITHIN,
    ) -> Any:
        """The first status of that fetch with which it has come that far."""

        def look() -> Any:
            status = self.status(node, id)
            return status if reached(status) else None

        try:
            return eventually(within, what, look)
        except self.failureException as error:
            raise self.failureException(f"{error}; status: {self.status(node, id)}") from None

    def wait_for_middle(self, node: Daemon, id: str, pieces: int = 2) -> Any:
        """The status with which so many pieces or more are here, and not all."""
        reached = f"{pieces} pieces of {id} are here"
        status = self.wait_for(node, id, reached, lambda now: (now["here"] or 0) >= pieces * MIB)
        self.assertEqual(status["state"], "running")
        return status

    def wait_for_end(self, node: Daemon, id: str, within: float = FETCHED_WITHIN) -> Any:
        """The status when it is through, one way or the other."""
        ended = ("done", "failed", "cancelled")
        return self.wait_for(node, id, "it ends", lambda now: now["state"] in ended, within)

    def assertDone(self, status: Any, file: Path, content: bytes) -> None:
        """It came to an end, the file is right, and nothing of the transfer is left beside it."""
        self.assertEqual((status["state"], status["error"]), ("done", None), status)
        self.assertEqual((status["here"], status["size"]), (len(content), len(content)))
        self.assertEqual(id_of(file.read_bytes()), id_of(content))
        beside = [one.name for one in file.parent.iterdir() if one.name.startswith(file.name)]
        self.assertEqual(beside, [file.name])

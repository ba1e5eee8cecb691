"""A node fetches from others: how that goes when nothing goes wrong."""

import time

from p2ptwisted.pieces import MIB

from .daemons import START_WITHIN, Daemon, at, eventually, free_port, id_of
from .fetch_cases import SLOW, FetchTestCase, content_of
from .hosts import Switch

#: How many times as long as its bound allows a transfer may take.
ROUGHLY = 2.5


class FetchTests(FetchTestCase):
    """Orders, what they bring, and what the status tells."""

    def test_from_one_holder(self) -> None:
        """It comes, is right, is told as it is, and is the node's own from then on."""
        content = content_of(5)
        id = id_of(content)
        holder = self.start_holder("holder", {"big.bin": content})
        fetcher = self.start_fetcher()
        status = self.order(fetcher, id)
        self.assertIn(status["state"], ("waiting", "running"))
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, self.shared("fetcher") / "big.bin", content)
        self.assertEqual(status["name"], "big.bin")
        self.assertEqual(status["holders"], {holder.location: len(content)})
        self.assertEqual(status["troubles"], {})
        self.assertEqual(fetcher.get("/api/node/fetch").data, [status])
        self.wait_until_held(self.supernode, "fetcher", id)
        self.assertEqual(fetcher.get(f"/api/node/resources/{id}/content").body, content)
        self.assertEqual(self.order(fetcher, id)["state"], "done")

    def test_from_two_holders(self) -> None:
        """Both give their share, whatever each of them calls it, and together no byte too many."""
        content = content_of(8)
        id = id_of(content)
        slow = ("--max-upload", str(SLOW))
        holders = [self.start_holder(name, {name: content}, *slow) for name in ("one", "other")]
        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, self.shared("fetcher") / status["name"], content)
        self.assertEqual(set(status["holders"]), {holder.location for holder in holders})
        self.assertGreaterEqual(min(status["holders"].values()), 2 * MIB)
        self.assertEqual(sum(status["holders"].values()), len(content))

    def test_shared_on_while_it_arrives(self) -> None:
        """A node in the middle of a transfer is listed with its part, and gives it to the next."""
        content = content_of(8)
        id = id_of(content)
        first = self.start_holder("first", {"big.bin": content}, "--max-upload", str(SLOW))
        middle, last = self.start_fetcher("middle"), self.start_fetcher("last")
        self.order(middle, id)
        status = self.wait_for_middle(middle, id)
        self.assertGreater(status["rate"], 0)
        self.assertGreater(status["seconds_left"], 0)
        listed = eventually(
            START_WITHIN,
            "the part is listed",
            lambda: found if (found := self.holders(id))["partial"] else None,
        )
        self.assertEqual(listed["partial"], [middle.location])
        self.assertEqual(listed["locations"], [first.location])
        self.assertNotEqual(middle.get(f"/api/node/resources/{id}/pieces").data["have"], "0")

        self.order(last, id)
        for node, name in ((middle, "middle"), (last, "last")):
            status = self.wait_for_end(node, id)
            self.assertDone(status, self.shared(name) / "big.bin", content)
        self.assertGreaterEqual(status["holders"][middle.location], MIB)

    def holders(self, id: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self.supernode.get(f"/api/supernode/holders/{id}").data
        return found

    def test_from_elsewhere_in_the_group(self) -> None:
        """The holder is registered at another supernode than the one that fetches."""
        content = content_of(3)
        id = id_of(content)
        other = self.start_supernode()
        holder = self.start_node("holder", {"far.bin": content}, *at(other))
        self.wait_until_held(other, "holder", id)
        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, self.shared("fetcher") / "far.bin", content)
        self.assertEqual(status["holders"], {holder.location: len(content)})

    def test_cancel_and_go_on(self) -> None:
        """What had come before it was cancelled does not come again; twice at once is one."""
        content = content_of(8)
        id = id_of(content)
        self.start_holder("holder", {"big.bin": content}, "--max-upload", str(SLOW))
        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        self.order(fetcher, id)
        self.wait_for_middle(fetcher, id)
        self.assertEqual(len(fetcher.get("/api/node/fetch").data), 1)
        self.assertEqual(fetcher.request("DELETE", f"/api/node/fetch/{id}").status, 204)
        cancelled = self.wait_for_end(fetcher, id)
        self.assertEqual(cancelled["state"], "cancelled")
        self.assertEqual(sum(cancelled["holders"].values()), cancelled["here"])

        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, self.shared("fetcher") / "big.bin", content)
        self.assertEqual(sum(status["holders"].values()), len(content) - cancelled["here"])

    def test_small_and_oddly_named(self) -> None:
        """An empty file, one in folders and one beyond ASCII come to the places that they had."""
        files = {"empty": b"", "deep/er/file.bin": content_of(1), "smørrebrød ☃": b"a few bytes"}
        self.start_holder("holder", files)
        fetcher = self.start_fetcher()
        for content in files.values():
            self.order(fetcher, id_of(content))
        for name, content in files.items():
            status = self.wait_for_end(fetcher, id_of(content))
            self.assertDone(status, self.shared("fetcher") / name, content)
        self.wait_until_held(self.supernode, "fetcher", *map(id_of, files.values()))

    def test_nobody_has_it(self) -> None:
        """It fails, says so, and can be ordered again when somebody has it."""
        content = content_of(1)
        id = id_of(content)
        fetcher = self.start_fetcher()
        self.assertEqual(fetcher.get(f"/api/node/fetch/{id}").status, 404)
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertEqual((status["state"], status["error"]), ("failed", f"nobody has {id}"))
        self.start_holder("holder", {"new.bin": content})
        # What nobody had is not asked for again at once.
        self.order(fetcher, id)
        self.assertDone(self.wait_for_end(fetcher, id), self.shared("fetcher") / "new.bin", content)

    def test_bounds(self) -> None:
        """What a node gives and what it takes stays within its bounds, and not far below."""
        content = content_of(4)
        id = id_of(content)
        bound = len(content) / SLOW
        self.start_holder("holder", {"big.bin": content}, "--max-upload", str(SLOW))
        slow = self.start_fetcher("slow", "--max-download", str(SLOW // 2))
        took = self.seconds_for(slow, id)
        self.assertBetween(took, 2 * bound)
        # Two give to it now, of which one has no bound.
        bounded = self.start_fetcher("bounded", "--max-download", str(SLOW))
        self.assertBetween(self.seconds_for(bounded, id), bound)

    def seconds_for(self, node: Daemon, id: str) -> float:
        began = time.monotonic()
        self.order(node, id)
        self.assertEqual(self.wait_for_end(node, id)["state"], "done")
        return time.monotonic() - began

    def assertBetween(self, took: float, bound: float) -> None:
        # A bound lets the first block through at once, and the last doesn't wait: at half of SLOW
        # these are two of READ_SIZE.
        self.assertGreater(took, bound - 2 * MIB / SLOW)
        self.assertLess(took, bound * ROUGHLY + 1)

    def test_restart_hashes_nothing_again(self) -> None:
        """With a state folder, neither a node's own files nor fetched ones, until they change."""
        own, fetched = content_of(2, 1), content_of(2, 2)
        self.start_holder("holder", {"fetched.bin": fetched})
        state = ("--state", str(self.folder / "state"), *at(self.supernode))
        node = self.start_node("node", {"own.bin": own}, *state)
        self.wait_until_held(self.supernode, "node", id_of(own))
        # A child that hashes stays for some seconds when it is through.
        self.assertNotEqual(children(node), [])
        self.order(node, id_of(fetched))
        self.assertEqual(self.wait_for_end(node, id_of(fetched))["state"], "done")
        node.stop()

        node = self.start_node("node", {}, *state)
        self.wait_until_held(self.supernode, "node", id_of(own), id_of(fetched))
        self.assertEqual(children(node), [])
        changed = b"changed" + own
        (self.shared("node") / "own.bin").write_bytes(changed)
        self.wait_until_held(self.supernode, "node", id_of(changed), id_of(fetched))
        self.assertNotEqual(children(node), [])


class OrderFromElsewhereTests(FetchTestCase):
    """A node whose callers are not all on its own host."""

    def test_only_loopback_may_order(self) -> None:
        """A caller from the network may look, and neither order nor cancel."""
        host = Switch(self).host("10.127.0.1")
        port = free_port()
        self.shared("node")
        options = ("--port", str(port), "--resources", "node", *self._group())
        node = self.start("p2p-node", port, *options, machine=host)
        id = id_of(b"nobody's")
        order = b'{"id": "%s"}' % id.encode()
        answer = node.request("POST", "/api/node/fetch", order)
        self.assertEqual(answer.status, 403)
        self.assertIn("10.127.0.1", answer.json["description"])
        self.assertEqual(node.request("DELETE", f"/api/node/fetch/{id}").status, 403)
        self.assertEqual(node.get("/api/node/fetch").data, [])
        local = f"http://127.0.0.1:{port}/api/node/fetch"
        self.assertEqual(host.request("POST", local, order).status, 202)
        self.assertEqual(host.request("DELETE", f"{local}/{id}").status, 204)


def children(daemon: Daemon) -> list[str]:
    """The processes that a daemon has started and that are still there."""
    with open(f"/proc/{daemon.pid}/task/{daemon.pid}/children") as file:
        return file.read().split()

"""`p2p pull` to real nodes: of hundreds of files, and from or to nodes that are gone."""

import json
import subprocess
from itertools import chain

from .daemons import at, eventually, promised
from .test_cli import CommandCase

#: Files of one pull: more than a node is ordered at once, and than it runs by far.
MANY = 120


class ManyTests(CommandCase):
    """One pull of many files to several nodes."""

    def setUp(self) -> None:
        super().setUp()
        self.files = {f"file-{number:03}.txt": b"%d" % number for number in range(MANY)}
        self.start_holder("holder", self.files)

    def missing(self, name: str) -> set[str]:
        """The names of those that the node of that name lacks."""
        return {
            file
            for file, content in self.files.items()
            if not (self.shared(name) / file).exists()
            or (self.shared(name) / file).read_bytes() != content
        }

    def test_all(self) -> None:
        """All files come to all nodes, none is reported as failed, and the status says it."""
        for name in ("two", "three"):
            self.start_fetcher(name)
        ran = self.p2p("pull", *self.files, "--all", "--json")
        self.assertEqual(ran.status, 0, ran.told)
        self.assertEqual({one["state"] for one in ran.json}, {"done"})
        self.assertEqual(len(ran.json), 3 * MANY)
        for name in ("two", "three"):
            self.assertEqual(self.missing(name), set())
        # People read it: a line for each node, and one for all.
        ran = self.p2p("pull", *self.files, "--node", "two", "--node", "three")
        self.assertEqual(
            [line.removeprefix("p2p: ") for line in ran.told.splitlines()],
            [
                f"two: had all {MANY} files already",
                f"three: had all {MANY} files already",
                f"{MANY} files: 2 of 2 nodes have all of them, verified",
            ],
        )
        self.assertEqual(
            [(line.split()[0], line.split("  ")[2]) for line in ran.out.decode().splitlines()],
            [("two", f"{MANY} files"), ("three", f"{MANY} files")],
        )

    def test_stopped_meanwhile(self) -> None:
        """A node that stands still for some seconds loses none of its orders."""
        node = self.start_fetcher("two")
        running = self.begin("pull", *self.files, "--node", node.url)
        eventually(20, "some are here", lambda: len(self.missing("two")) < MANY)
        node.freeze()
        fetched = MANY - len(self.missing("two"))
        # Longer than the time that an answer may take.
        self.assertRaises(subprocess.TimeoutExpired, running.wait, 6)
        node.thaw()
        ran = self.end(running)
        self.assertEqual(ran.status, 0, ran.told)
        self.assertLess(fetched, MANY)
        self.assertEqual(self.missing("two"), set())

    def test_dies(self) -> None:
        """One that dies meanwhile is named, with each file that it lacks; the others have all."""
        node = self.start_fetcher("two")
        self.start_fetcher("three")
        running = self.begin("pull", *self.files, "--all", "--json")
        eventually(20, "some are here", lambda: len(self.missing("two")) < MANY)
        node.kill()
        ran = self.end(running)
        self.assertEqual(ran.status, 1, ran)
        self.assertEqual(self.missing("three"), set())
        lacking = {
            one["name"] for one in json.loads(ran.out) if one["node"] == "two" and one["error"]
        }
        self.assertLessEqual(self.missing("two"), lacking)
        if len(lacking) < MANY:
            named = set(chain.from_iterable(line.split() for line in ran.told.splitlines()))
            self.assertLessEqual(lacking, named)
            self.assertIn(f"missing there are {len(lacking)} of {MANY}:", ran.told)
        else:
            # It was gone before it had said that it had any.
            self.assertIn(f"as far as is known it has none of the {MANY} files", ran.told)
        self.assertIn(f"two at {node.location} refuses connections", ran.told)
        self.assertIn("2 of 3 nodes are known to have all of them, verified", ran.told)


class GoneTests(CommandCase):
    """Nodes that aren't there any more."""

    def test_gone(self) -> None:
        """Those that left and those that died are told apart, and missed where expected."""
        one = self.start_holder("one", {"big.bin": b"content"})
        left, died = self.start_fetcher("two"), self.start_fetcher("three")
        left.stop()
        died.kill()

        def alive() -> list[str]:
            return [node["name"] for node in self.supernode.get("/api/supernode/alive").data]

        promised(15, "the node that died is gone", lambda: alive() == ["one"])
        ran = self.p2p("pull", "big.bin", "--all")
        self.assertEqual(ran.status, 0, ran)
        self.assertRegex(ran.told, rf"two at {left.location}: gone \d+ s ago, it said goodbye\n")
        self.assertRegex(
            ran.told, rf"three at {died.location}: gone \d+ s ago, it stopped answering\n"
        )
        self.assertTrue(ran.told.endswith("big.bin: 1 of 1 node has it, verified\n"), ran.told)
        for expected, said in (("3", "3 nodes are expected"), ("one,three", "three is expected")):
            ran = self.p2p("pull", "big.bin", "--all", "--expect", expected)
            self.assertEqual(ran.status, 1, ran)
            self.assertIn(said, ran.told)
        self.assertEqual(self.p2p("pull", "big.bin", "--all", "--expect", "one").status, 0)
        self.assertEqual(self.gone(), {"two": "goodbye", "three": "lost"})
        (listed,) = self.p2p("nodes", "--json").json
        self.assertEqual(listed["location"], one.location)
        port = str(left.port)
        options = ("--port", port, "--name", "two", "--resources", str(self.shared("two")))
        again = self.start("p2p-node", left.port, *options, *self._group(), *at(self.supernode))
        self.wait_for_supernode(again)
        self.assertEqual(self.gone(), {"three": "lost"})

    def gone(self) -> dict[str, str]:
        """How those have gone that p2p status shows as gone, by name."""
        return {one["name"]: one["how"] for one in self.p2p("status", "--json").json["gone"]}

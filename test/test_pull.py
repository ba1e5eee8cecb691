"""`p2p pull` to real nodes: of hundreds of files, and from or to nodes that are gone."""

import json
import subprocess
from itertools import chain

from .daemons import eventually
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
        named = set(chain.from_iterable(line.split() for line in ran.told.splitlines()))
        self.assertLessEqual(lacking, named)
        self.assertIn(f"two at {node.location}: it doesn't answer", ran.told)
        self.assertIn(f"{len(lacking)} of {MANY}", ran.told)

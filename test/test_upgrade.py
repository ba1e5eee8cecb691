"""The last release's daemons and this one's in one group, as while it is brought up to date."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .cases import SystemTestCase
from .daemons import CHECKOUT, Daemon, at, eventually, free_port, id_of
from .fetch_cases import SLOW, content_of, make_old
from .released import released
from .test_cli import CommandCase

#: What every version cuts into the same pieces, and what the last release cuts into longer ones.
SMALL, LARGE = b"small" * 10_000, content_of(3)

#: A node of each version, and its supernode, which is of the other; by the node's version.
Pairs = dict[str, tuple[Daemon, Daemon]]

#: Seconds of two heartbeats, and some for a busy machine.
TWO_BEATS = 12.0

#: Seconds in which a node whose supernode has died is at another one.
MOVED_WITHIN = 20.0


class UpgradeCase(CommandCase):
    """A supernode of each version in one group; each test says what is at which."""

    def setUp(self) -> None:
        SystemTestCase.setUp(self)
        self.here = self.folder / "here"
        self.here.mkdir()
        self.options: tuple[str, ...] = ()
        self.last = released()

    @contextmanager
    def version(self, code: Path) -> Iterator[None]:
        """What is started inside is of that version."""
        before, self.code = self.code, code
        try:
            yield
        finally:
            self.code = before

    def both(self) -> tuple[tuple[Path, str], tuple[Path, str]]:
        """Both versions, with a word for each."""
        return (self.last, "last"), (CHECKOUT, "this")

    def supernode_of_version(self, code: Path, *options: str, port: int | None = None) -> Daemon:
        with self.version(code):
            supernode = self.start_supernode(*self.options, *options, port=port)
        # That it is what it should be.
        known = supernode.get("/api/supernode/gone").status
        self.assertEqual(known, 200 if code == CHECKOUT else 404)
        return supernode

    def holder_of_version(
        self, code: Path, supernode: Daemon, name: str, files: dict[str, bytes], *options: str
    ) -> Daemon:
        """A node of that version at that supernode, which knows by now what it has."""
        for file, content in files.items():
            path = self.shared(name) / file
            path.write_bytes(content)
            make_old(path)
        with self.version(code):
            node = self.start_node(name, {}, *self.options, *at(supernode), *options)
        ids = list(map(id_of, files.values()))
        if ids:
            self.wait_until_held(supernode, name, *ids)
        else:
            eventually(20, f"{name} is there", lambda: name in self.alive(supernode))
        return node

    def alive(self, supernode: Daemon) -> list[str]:
        return [node["name"] for node in supernode.get("/api/supernode/alive").data]

    def crossed(self, *options: str) -> Pairs:
        """A node of each version at a supernode of the other; by the node's version."""
        supernodes = {word: self.supernode_of_version(code) for code, word in self.both()}
        pairs = {}
        for (code, word), other in zip(self.both(), ("this", "last"), strict=True):
            files = {f"{word}-small": SMALL + word.encode(), f"{word}-large": LARGE + word.encode()}
            node = self.holder_of_version(code, supernodes[other], word, files, *options)
            pairs[word] = node, supernodes[other]
        return pairs

    def assert_found(self, pairs: Pairs) -> None:
        """Each finds what the other has: by id, at any supernode and node, and by name."""
        for word, (node, _) in pairs.items():
            id = id_of(SMALL + word.encode())
            for asked_node, asked in pairs.values():
                found = asked.get(f"/api/supernode/search/{id}").data
                self.assertEqual(found["file"]["locations"], [node.location])
                holders = asked.get(f"/api/supernode/holders/{id}").data
                self.assertEqual(holders["locations"], [node.location])
                if asked_node is not node:
                    self.assertEqual(asked_node.get(f"/api/node/resources/{id}").status, 302)
        self.supernode = pairs["last"][1]
        for code, _ in self.both():
            with self.version(code):
                for word, (node, _) in pairs.items():
                    ran = self.p2p("find", f"{word}-small", "--json")
                    self.assertEqual(ran.status, 0, ran)
                    self.assertEqual(ran.json[0]["locations"], [node.location])
                self.assertEqual(self.p2p("status").status, 0)

    def assert_pulled(self, pairs: Pairs) -> None:
        """Each version's `p2p pull` gives orders to nodes of both."""
        self.supernode = pairs["last"][1]
        for code, word in self.both():
            files = {f"{word}-{number}": SMALL + b"%d" % number for number in range(5)}
            self.holder_of_version(self.last, self.supernode, f"more-{word}", files)
            with self.version(code):
                ran = self.p2p("pull", *files, "--all", "--json")
                self.assertEqual(ran.status, 0, ran)
                self.assertEqual({one["state"] for one in ran.json}, {"done"})
            for one in ("last", "this"):
                for file, content in files.items():
                    self.assertEqual((self.shared(one) / file).read_bytes(), content)
                    (self.shared(one) / file).unlink()


class TogetherTests(UpgradeCase):
    """Both at once."""

    def test_search(self) -> None:
        """Each finds what the other has: by id, at any supernode and node, and by name."""
        self.assert_found(self.crossed())

    def test_heartbeats(self) -> None:
        """A node learns from its heartbeat that it was forgotten, and its goodbye is heard."""
        for code, other in ((self.last, CHECKOUT), (CHECKOUT, self.last)):
            port = free_port()
            supernode = self.supernode_of_version(other, port=port)
            node = self.holder_of_version(code, supernode, "node", {"small": SMALL})
            supernode.kill()
            # Without a state folder it knows nobody.
            again = self.supernode_of_version(other, port=port)
            self.wait_until_held(again, "node", id_of(SMALL), within=TWO_BEATS)
            node.stop()
            self.assertEqual(self.alive(again), [])
            again.stop()

    def test_supernode_dies(self) -> None:
        """The nodes of one version move to a supernode of the other when theirs dies."""
        for dies, other in ((self.last, CHECKOUT), (CHECKOUT, self.last)):
            supernodes = [self.supernode_of_version(code) for code in (dies, other)]
            nodes = [
                self.holder_of_version(code, supernodes[0], word, {word: SMALL + word.encode()})
                for code, word in self.both()
            ]
            supernodes[0].kill()
            for _, word in self.both():
                id = id_of(SMALL + word.encode())
                self.wait_until_held(supernodes[1], word, id, within=MOVED_WITHIN)
            for daemon in (*nodes, supernodes[1]):
                daemon.stop()

    def test_fetch(self) -> None:
        """This version fetches everything of the last one's; that one what it can read."""
        pairs = self.crossed()
        (last, supernode), (this, _) = pairs["last"], pairs["this"]
        self.supernode = supernode
        for content in (SMALL, LARGE):
            self.fetched(this, content + b"last")
        self.fetched(last, SMALL + b"this")
        status = self.ordered(last, LARGE + b"this")
        self.assertEqual(status["state"], "failed")
        self.assertIn("install the version of this node", str(status["troubles"]))
        # It has the same from a node of its own version meanwhile, whoever else has it.
        more = {"large": LARGE + b"this"}
        self.holder_of_version(self.last, supernode, "more", more)
        self.fetched(last, LARGE + b"this")

    def test_pull(self) -> None:
        """Each version's `p2p pull` gives orders to both; an earlier node gets one at a time."""
        self.assert_pulled(self.crossed())

    def ordered(self, node: Daemon, content: bytes) -> Any:
        """Have the node fetch it; how that ended."""
        id = id_of(content)
        self.order(node, id)
        return self.wait_for_end(node, id, within=60)

    def fetched(self, node: Daemon, content: bytes) -> None:
        status = self.ordered(node, content)
        self.assertEqual(status["state"], "done", status)
        self.assertEqual(status["here"], len(content))


class StateTests(UpgradeCase):
    """State folders that are taken over, there and back."""

    def set_aside(self, state: str) -> int:
        """How many files have been set aside there."""
        return sum("damaged" in path.name for path in Path(state).iterdir())

    def test_there_and_back(self) -> None:
        """Daemons of each version start on the other's state, and share and find as before."""
        states = {role: str(self.folder / role) for role in ("supernode", "node")}
        files = {"small": SMALL, "large": LARGE}
        port = free_port()
        # Digests are taken over, there and there again; the last release does not know today's.
        for code, set_aside in ((self.last, 0), (CHECKOUT, 0), (self.last, 1), (CHECKOUT, 1)):
            supernode = self.supernode_of_version(code, "--state", states["supernode"], port=port)
            node = self.holder_of_version(code, supernode, "node", files, "--state", states["node"])
            found = supernode.get(f"/api/supernode/search/{id_of(LARGE)}").data
            self.assertEqual(found["file"]["locations"], [node.location])
            for daemon in (node, supernode):
                daemon.stop()
            self.assertEqual(self.set_aside(states["node"]), set_aside)

    def test_part(self) -> None:
        """What a node has of a file when it is stopped, the other version doesn't fetch again."""
        supernode = self.supernode = self.supernode_of_version(CHECKOUT)
        slow = ("--max-upload", str(SLOW))
        for before, after, name in ((self.last, CHECKOUT, "there"), (CHECKOUT, self.last, "back")):
            content = content_of(12, seed=len(name))
            holder = f"holder-{name}"
            self.holder_of_version(self.last, supernode, holder, {name: content}, *slow)
            node = self.holder_of_version(before, supernode, f"node-{name}", {})
            self.order(node, id_of(content))
            here = self.wait_for_middle(node, id_of(content), 4)["here"]
            node.kill()
            node = self.holder_of_version(after, supernode, f"node-{name}", {})
            self.order(node, id_of(content))
            status = self.wait_for_end(node, id_of(content), within=60)
            self.assertDone(status, self.shared(f"node-{name}") / name, content)
            self.assertLessEqual(sum(status["holders"].values()), len(content) - here)


class ClosedTests(UpgradeCase):
    """In a closed group, where calls and datagrams are signed."""

    def setUp(self) -> None:
        super().setUp()
        self.key = self.folder / "group.key"
        self.key.write_text("0123456789abcdef" * 4)
        self.key.chmod(0o600)
        self.options = ("--group-key-file", str(self.key))

    def begin(self, *arguments: str, more: Mapping[str, str] | None = None) -> Any:
        with_key = {"P2P_GROUP_KEY_FILE": str(self.key)} | dict(more or {})
        return super().begin(*arguments, more=with_key)

    def test_members(self) -> None:
        """Members of both versions register, are found, and take orders."""
        pairs = self.crossed()
        self.assert_found(pairs)
        self.assert_pulled(pairs)

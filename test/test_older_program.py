"""The older program, and ours beside it, at it, and it at ours: every route and every command."""

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from p2ptwisted.node.heartbeats import HEARTBEAT_INTERVAL, HEARTBEAT_RETRY

from .cases import GROUP, SystemTestCase
from .daemons import HERE, Daemon, eventually, free_port, id_of, supernode_of
from .older_peer import OlderNode, OlderPeer, OlderSupernode
from .test_cli import CommandCase

OURS, ALSO_OURS = b"ours", b"also ours"
THEIRS = "theirs.txt"

#: A resource of theirs has the SHA-256 of its name for an id.
THEIR_ID = id_of(THEIRS.encode())

#: What a search was answered: the id and the locations, or a status that is an error.
Told = tuple[str, list[str]] | int

#: Clients that search at once, and how often each of them does.
CLIENTS, SEARCHES = 16, 12


class AtTheirsTests(CommandCase):
    """A node of ours at their supernode, beside one of theirs; nobody else is in the group."""

    def setUp(self) -> None:
        # Without a supernode of ours: all that commands are told of is theirs.
        SystemTestCase.setUp(self)
        self.here = self.folder / "here"
        self.here.mkdir()
        self.theirs = OlderSupernode(self, self.group)
        self.supernode = cast(Daemon, self.theirs)
        self.their_node = OlderNode(self, names=[THEIRS], supernode=self.theirs.location)
        self.assertEqual(self.their_node.registered, 204)
        self.node = self.node_at_theirs("ours", OURS)

    def node_at_theirs(self, name: str, content: bytes) -> Daemon:
        node = self.start_node(name, {f"{name}.bin": content}, "--supernode", self.theirs.url)
        self.assertEqual(supernode_of(node), self.theirs.location)
        eventually(5, "it is in the list", lambda: id_of(content) in self.theirs.resources)
        return node

    def said(self, status: int, *arguments: str) -> str:
        """What a command says, which ends with that status, and in one line where it failed."""
        ran = self.p2p(*arguments)
        self.assertEqual(ran.status, status, ran)
        self.assertNotIn("mistake", ran.told)
        if status:
            self.assertEqual(ran.told.count("\n"), 1, ran)
        return ran.out.decode() + ran.told

    def test_stays(self) -> None:
        """
        It stays there though there are no heartbeats, and leaves without a goodbye; that
        searches wait without end there for answers that don't come makes no difference.
        """
        registrations, began = self.theirs.called.count("POST register"), time.monotonic()
        self.theirs.others = 1
        self.assertIn("no answer in time", self.said(1, "find", "0" * 64))
        self.assertEqual(self.node.get("/api/node/resources/nobodys").status, 503)
        time.sleep(max(0, began + HEARTBEAT_INTERVAL + HEARTBEAT_RETRY + 1 - time.monotonic()))
        self.assertEqual(supernode_of(self.node), self.theirs.location)
        self.assertEqual(self.theirs.called.count("POST register"), registrations)
        self.assertIn("POST alive", self.theirs.called)
        self.node.stop()
        self.assertIn("DELETE alive", self.theirs.called)

    def test_search(self) -> None:
        """Nodes of both kinds find what the other has; what nobody has is not found."""
        path = f"/api/node/resources/{THEIR_ID}"
        answer = self.node.get(path)
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.headers["Location"], f"http://{self.their_node.location}{path}")
        found = self.node.get(f"/api/node/resources/find?hash_ids={THEIR_ID},nobodys").data
        info = {"location": self.their_node.location, "locations": [self.their_node.location]}
        self.assertEqual(found, [{"id": THEIR_ID, "info": {**info, "name": THEIRS}}])
        self.assertEqual(self.node.get("/api/node/resources/nobodys").status, 404)
        HERE.request("GET", f"{self.theirs.url}/api/supernode/xxx")
        self.assertIn(self.node.location, self.theirs.nodes)
        url = f"http://{self.their_node.location}/api/node/resources/"
        answer = HERE.request("GET", url + id_of(OURS))
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.data["info"]["location"], self.node.location)
        self.assertEqual(HERE.request("GET", url + "nobodys").status, 404)

    def test_looking(self) -> None:
        """Its list is shown; what is in it is found by id alone, and that is said."""
        for command in ("nodes", "status"):
            said = self.said(0, command)
            self.assertIn(self.node.location, said)
            self.assertIn(self.their_node.location, said)
        self.assertIn("the older program's", said)
        self.assertIn(self.theirs.location, self.said(0, "supernodes"))
        for id, holder in ((id_of(OURS), self.node), (THEIR_ID, self.their_node)):
            self.assertIn(holder.location, self.said(0, "find", id))
        self.assertIn("nobody has", self.said(3, "find", "0" * 64))
        for command in ("find", "get"):
            self.assertIn("knows no names: give its id", self.said(3, command, "ours.bin"))

    def test_files(self) -> None:
        """Files go between nodes of ours; theirs gives and takes none, and that is said."""
        self.said(0, "get", id_of(OURS))
        self.assertEqual((self.here / "ours.bin").read_bytes(), OURS)
        said = self.said(1, "get", THEIR_ID)
        self.assertIn(f"{self.their_node.location}: a node of the older program", said)
        other = self.node_at_theirs("other", ALSO_OURS)
        self.said(0, "pull", id_of(OURS), "--node", other.url)
        self.assertEqual((self.shared("other") / "ours.bin").read_bytes(), OURS)
        said = self.said(1, "pull", id_of(OURS), "--node", self.their_node.location)
        self.assertIn("a node of the older program, which fetches nothing", said)
        said = self.said(1, "pull", THEIR_ID, "--node", other.url)
        self.assertIn("a node of the older program, which gives no content", said)
        (self.here / "more.bin").write_bytes(b"more")
        self.said(0, "share", "more.bin", "--node", other.url)
        self.assertEqual(self.theirs.resources[id_of(b"more")][1], other.location)
        said = self.said(1, "share", "more.bin", "--node", self.their_node.location)
        self.assertIn("the older program's", said)


class BesideTests(CommandCase):
    """Their supernode and ours in one group, each with a node of its own kind."""

    def setUp(self) -> None:
        super().setUp()
        self.theirs = OlderSupernode(self, self.group, others=1)
        self.their_node = OlderNode(self, names=[THEIRS], supernode=self.theirs.location)
        self.node = self.start_holder("ours", {"ours.bin": OURS})
        # So that it is known, as it would be 10 s after it came.
        self.theirs.peer.say("22;whatever")

    def test_ours_finds_theirs(self) -> None:
        """In every way that one can ask; that it can't be had is said."""
        location = self.their_node.location
        found = self.supernode.get(f"/api/supernode/search/{THEIR_ID}").data
        self.assertEqual(found["file"], {"location": location, "locations": [location]})
        (found,) = self.supernode.get(f"/api/supernode/search?hash_ids={THEIR_ID},x").data
        self.assertEqual(found["file"]["locations"], [location])
        holders = self.supernode.get(f"/api/supernode/holders/{THEIR_ID}").data
        self.assertEqual(holders["locations"], [location])
        self.assertEqual(self.node.get(f"/api/node/resources/{THEIR_ID}").status, 302)
        self.assertEqual(self.supernode.get("/api/supernode/search/nobodys").data, {})
        ran = self.p2p("find", THEIR_ID)
        self.assertEqual((ran.status, ran.lines[1].strip()), (0, location))
        self.refused(1, "a node of the older program", "get", THEIR_ID)
        self.refused(1, "a node of the older program", "pull", THEIR_ID, "--all")

    def test_theirs_finds_ours(self) -> None:
        """The ids of contents as well, as they are ids like others; and it tells p2p of ours."""
        for path in (f"search/{id_of(OURS)}", f"search?hash_ids={id_of(OURS)}"):
            found = HERE.request("GET", f"{self.theirs.url}/api/supernode/{path}").data
            file = (found[0] if isinstance(found, list) else found)["file"]
            self.assertEqual(file, {"location": self.node.location})
        url = f"{self.theirs.url}/api/supernode/search/nobodys"
        self.assertEqual(HERE.request("GET", url).data, {})
        ran = self.p2p("find", "ours.bin", more={"P2P_SUPERNODE": self.theirs.url})
        self.assertIn(self.node.location, ran.out.decode())


class AtOursTests(CommandCase):
    """A node of theirs at our supernode."""

    def setUp(self) -> None:
        super().setUp()
        self.their_node = OlderNode(self, names=[THEIRS], supernode=self.supernode.location)
        self.assertEqual(self.their_node.registered, 204)
        self.node = self.start_holder("ours", {"ours.bin": OURS})

    def test_looking(self) -> None:
        """It is well, stays in the list through sweeps, and finds and is found."""
        for _ in range(2):
            self.assertEqual(self.supernode.get("/api/supernode/xxx").status, 204)
        nodes = self.supernode.get("/api/supernode/alive").data
        self.assertIn({"name": "older", "location": self.their_node.location}, nodes)
        for what in (THEIR_ID, THEIRS):
            self.assertIn(self.their_node.location, self.p2p("find", what).out.decode())
        ran = self.p2p("status")
        self.assertEqual(ran.status, 0, ran)
        self.assertIn("the older program's", ran.out.decode())
        url = f"http://{self.their_node.location}/api/node/resources/"
        answer = HERE.request("GET", url + id_of(OURS))
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.data["info"]["location"], self.node.location)
        self.assertEqual(HERE.request("GET", url + "nobodys").status, 404)

    def test_files(self) -> None:
        """Nothing can be had of it, nor be put there; that is said, and the others go on."""
        self.refused(1, "a node of the older program, which gives no content", "get", THEIRS)
        ran = self.p2p("pull", "ours.bin", "--all", "--progress", "none")
        why, count = ran.told.splitlines()
        self.assertEqual(ran.status, 1, ran)
        self.assertIn("a node of the older program, which fetches nothing", why)
        self.assertIn("ours.bin: 1 of 2 nodes is known to have it, verified", count)
        self.assertIn("ours.bin", ran.out.decode())
        self.order(self.node, THEIR_ID)
        status = self.wait_for_end(self.node, THEIR_ID)
        self.assertEqual(status["state"], "failed")
        self.assertIn("a node of the older program, which gives no content", status["error"])


class NamedPeerTests(SystemTestCase):
    """Their supernode, named to ours with `--peer`, in a group of its own."""

    def test_named(self) -> None:
        """What its own nodes have is found, and what nobody has is not."""
        theirs = OlderSupernode(self, f"{GROUP}:{free_port(socket.SOCK_DGRAM)}")
        node = OlderNode(self, names=[THEIRS], supernode=theirs.location)
        supernode = self.start_supernode("--peer", theirs.url)
        found = supernode.get(f"/api/supernode/search/{THEIR_ID}").data
        self.assertEqual(found["file"]["locations"], [node.location])
        self.assertEqual(supernode.get("/api/supernode/search/nobodys").data, {})
        holders = supernode.get(f"/api/supernode/holders/{THEIR_ID}").data
        self.assertEqual(holders["locations"], [node.location])
        listed = supernode.get("/api/supernode/search/supernode").data["file"]["locations"]
        self.assertEqual(listed, [supernode.location, theirs.location])


class LoadTests(SystemTestCase):
    """Many clients at once, who ask for the same again and again."""

    def setUp(self) -> None:
        super().setUp()
        self.supernode = self.start_supernode()

    def answers(self, ids: Sequence[str]) -> list[Told]:
        """What so many clients are told, each of all of these, one after the other."""

        def client(number: int) -> list[Told]:
            told: list[Told] = []
            for turn in range(SEARCHES):
                id = ids[(number + turn) % len(ids)]
                answer = self.supernode.get(f"/api/supernode/search/{id}")
                if answer.status != 200:
                    told.append(answer.status)
                    continue
                locations = answer.data["file"]["locations"] if answer.data else []
                told.append((id, locations))
            return told

        with ThreadPoolExecutor(CLIENTS) as clients:
            return [one for told in clients.map(client, range(CLIENTS)) for one in told]

    def test_all_right(self) -> None:
        """Each is found whenever it is searched for, and nothing else is."""
        held = [id_of(b"theirs %d" % number) for number in range(4)]
        nobodys = [id_of(b"nobody's %d" % number) for number in range(20)]
        node = OlderNode(self, held)
        peer = OlderPeer(
            self, self.group, lambda id: f"21;{node.location}" if id in held else f"22;{id}"
        )
        peer.say("22;whatever")
        mixed = [id for pair in zip(held * 5, nobodys, strict=True) for id in pair]
        told = self.answers(mixed)
        expected = {id: [node.location] if id in held else [] for id in mixed}
        wrong = [one for one in told if one not in list(expected.items())]
        self.assertEqual(wrong, [])
        # Half of them are for what it has: most of these without asking it again.
        self.assertLess(len([id for id in node.asked if id in held]), CLIENTS * SEARCHES / 4)

    def test_undecided(self) -> None:
        """Where the location can't be asked nobody is told that nobody has it."""
        held = [id_of(b"theirs %d" % number) for number in range(4)]
        gone = f"127.0.0.1:{free_port()}"
        peer = OlderPeer(self, self.group, lambda id: f"21;{gone}" if id in held else f"22;{id}")
        peer.say("22;whatever")
        told = self.answers(held)
        right = [(id, [gone]) for id in held]
        self.assertEqual([one for one in told if one != 503 and one not in right], [])

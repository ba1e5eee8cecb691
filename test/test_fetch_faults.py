"""A node fetches from others while something goes wrong: with them, with its disk, with itself."""

import os
import time
from pathlib import Path

from p2ptwisted.pieces import MIB

from .bad_holders import BadHolder, Corrupting, Lying, Stalling, Trickling
from .daemons import Daemon, at, eventually, id_of
from .fetch_cases import SLOW, FetchTestCase, content_of, make_old

#: Seconds that a holder's death may add to a transfer, and what a busy machine may.
DEATH, BUSY = 2.0, 4.0

#: Seconds after which a silent connection is given up; a fetch must not wait for that.
SILENCE = 10.0

BOUNDED = ("--max-upload", str(SLOW))


class HolderFaultTests(FetchTestCase):
    """What holders do to a transfer, while another holder is good but slow."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(6)
        self.wanted = id_of(self.content)

    def start_good(self, name: str = "good") -> Daemon:
        return self.start_holder(name, {"big.bin": self.content}, *BOUNDED)

    def fetch_beside(self, bad: BadHolder) -> dict[str, str]:
        """The troubles of a fetch from a good holder and this one."""
        good, fetcher = self.start_good(), self.start_fetcher()
        self.order(fetcher, self.wanted)
        status = self.wait_for_end(fetcher, self.wanted, SILENCE)
        self.assertDone(status, self.shared("fetcher") / status["name"], self.content)
        self.assertGreater(bad.asked, 0)
        self.assertEqual(status["holders"].get(bad.location, 0), 0)
        self.assertEqual(status["holders"][good.location], len(self.content))
        troubles: dict[str, str] = status["troubles"]
        self.assertNotIn(good.location, troubles)
        return troubles

    def test_killed_in_the_middle(self) -> None:
        """The others take over at once what it had still to send."""
        doomed, good, fetcher = self.start_good("doomed"), self.start_good(), self.start_fetcher()
        self.order(fetcher, self.wanted)
        status = self.wait_for_middle(fetcher, self.wanted)
        doomed.kill()
        began = time.monotonic()
        alone = (len(self.content) - status["here"]) / SLOW
        status = self.wait_for_end(fetcher, self.wanted)
        self.assertLess(time.monotonic() - began, alone + DEATH + BUSY)
        self.assertDone(status, self.shared("fetcher") / "big.bin", self.content)
        self.assertEqual(sum(status["holders"].values()), len(self.content))
        self.assertIn(doomed.location, status["troubles"])
        self.assertNotIn(good.location, status["troubles"])

    def test_wrong_bytes(self) -> None:
        """They are thrown away, and who sent them is named and not asked again."""
        bad = Corrupting(self, self.supernode, "bad", self.content)
        troubles = self.fetch_beside(bad)
        self.assertIn("wrong piece", troubles[bad.location])
        # The next request may be on its way before the first wrong piece is complete.
        self.assertLessEqual(bad.asked, 2)

    def test_stalls(self) -> None:
        """What one owes who has fallen silent is asked of another long before it is given up."""
        self.fetch_beside(Stalling(self, self.supernode, "bad", self.content))

    def test_trickles(self) -> None:
        """The same for one that sends 1 kB/s, and so is never silent."""
        self.fetch_beside(Trickling(self, self.supernode, "bad", self.content))

    def test_digests_that_differ(self) -> None:
        """Two say the same of the pieces and one says otherwise: the id tells who is right."""
        liars = [Lying(self, self.supernode, name, self.content) for name in ("bad", "worse")]
        good, fetcher = self.start_good(), self.start_fetcher()
        self.order(fetcher, self.wanted)
        status = self.wait_for_end(fetcher, self.wanted)
        self.assertDone(status, self.shared("fetcher") / status["name"], self.content)
        self.assertEqual(set(status["troubles"]), {liar.location for liar in liars})
        for reason in status["troubles"].values():
            self.assertIn("digests", reason)
        self.assertIn(good.location, status["holders"])

    def test_changed_in_the_middle(self) -> None:
        """A holder whose file is overwritten meanwhile spoils nothing."""
        changing, good = self.start_good("changing"), self.start_good()
        fetcher = self.start_fetcher()
        self.order(fetcher, self.wanted)
        self.wait_for_middle(fetcher, self.wanted)
        with (self.shared("changing") / "big.bin").open("r+b") as file:
            file.write(content_of(6, seed=1))
        status = self.wait_for_end(fetcher, self.wanted)
        self.assertDone(status, self.shared("fetcher") / "big.bin", self.content)
        self.assertIn(changing.location, status["troubles"])
        self.assertNotIn(good.location, status["troubles"])


class FetcherFaultTests(FetchTestCase):
    """What happens to the node that fetches."""

    def test_killed_and_started_again(self) -> None:
        """No piece that it had told of comes twice, so at most the one that was on its way."""
        content = content_of(10)
        id = id_of(content)
        for name in ("one", "other"):
            self.start_holder(name, {"big.bin": content}, *BOUNDED)
        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        before = self.wait_for_middle(fetcher, id, 4)
        fetcher.kill()
        folder = self.shared("fetcher")
        self.assertEqual(sorted(file.name for file in folder.iterdir()), PARTS)

        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, folder / "big.bin", content)
        self.assertLessEqual(sum(status["holders"].values()), len(content) - before["here"])

    def test_full_disk(self) -> None:
        """A clear error before anything is sent, nothing left over, and on when there is room."""
        content = content_of(6)
        id = id_of(content)
        holder = self.start_holder("holder", {"big.bin": content})
        disk = self.small_disk(self.folder / "disk", 10 * MIB)
        (disk / "shared").mkdir()
        (disk / "shared" / "kept").write_bytes(b"kept")
        (disk / "filler").write_bytes(bytes(6 * MIB))
        fetcher = self.start_fetcher("fetcher", "--resources", str(disk / "shared"))
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertEqual(status["state"], "failed")
        self.assertIn("no room", status["error"])
        self.assertEqual(status["holders"].get(holder.location, 0), 0)
        self.assertEqual([file.name for file in (disk / "shared").iterdir()], ["kept"])

        (disk / "filler").unlink()
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, disk / "shared" / "big.bin", content)
        self.assertEqual((disk / "shared" / "kept").read_bytes(), b"kept")

    def test_another_file_is_there(self) -> None:
        """It is left as it is; what has come goes to its place when that is free."""
        content = content_of(3)
        id = id_of(content)
        self.start_holder("holder", {"big.bin": content})
        fetcher = self.start_fetcher()
        file = self.shared("fetcher") / "big.bin"
        file.write_bytes(b"mine")
        self.order(fetcher, id)
        status = self.wait_for_end(fetcher, id)
        self.assertEqual(status["state"], "failed")
        self.assertIn("big.bin exists", status["error"])
        self.assertEqual(file.read_bytes(), b"mine")
        file.rename(file.with_name("mine.bin"))
        self.order(fetcher, id)
        self.assertDone(self.wait_for_end(fetcher, id), file, content)

    def test_two_of_one_name(self) -> None:
        """Two resources of one name at once never mix: one comes, and the other can wait."""
        contents = [content_of(3, seed=1), content_of(3, seed=2)]
        for name, content in zip(("one", "other"), contents, strict=True):
            self.start_holder(name, {"big.bin": content}, *BOUNDED)
        fetcher = self.start_fetcher()
        for content in contents:
            self.order(fetcher, id_of(content))
        ends = [self.wait_for_end(fetcher, id_of(content)) for content in contents]
        self.assertEqual(sorted(end["state"] for end in ends), ["done", "failed"])
        done, failed = sorted(ends, key=lambda end: str(end["state"]))
        file = self.shared("fetcher") / "big.bin"
        self.assertEqual(id_of(file.read_bytes()), done["id"])
        self.assertIn("being fetched already", failed["error"])

    def test_memory(self) -> None:
        """A file of 512 MiB comes through less than 100 MiB, on one thread at either side."""
        file = self.shared("holder") / "big.bin"
        write_sparse(file, 512)
        holder = self.start_node("holder", {}, *at(self.supernode))
        listed = eventually(20, "it is hashed", lambda: holder.get("/api/node/resources").data)
        id = listed[0]["id"]
        self.wait_until_held(self.supernode, "holder", id)
        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        seen: set[int] = set()

        def is_through() -> bool:
            seen.update(threads(node) for node in (holder, fetcher))
            return bool(self.status(fetcher, id)["state"] == "done")

        eventually(60, "it has come", is_through)
        self.assertEqual(seen, {1})
        for node in (holder, fetcher):
            self.assertLess(peak_memory(node), 100 * MIB)


class HashingTests(FetchTestCase):
    """A node with much to hash."""

    def test_answers_meanwhile(self) -> None:
        """Its health is told at once, on one thread, as long as it takes."""
        for number in range(4):
            write_sparse(self.shared("node") / f"{number}.bin", 256, number)
        node = self.start_node("node", {}, *at(self.supernode))
        seen: set[int] = set()
        slowest, looks = 0.0, 0
        while True:
            began = time.monotonic()
            scanning = node.get("/api/node/health").data["scanning"]
            slowest = max(slowest, time.monotonic() - began)
            if not scanning:
                break
            looks += 1
            seen.add(threads(node))
            time.sleep(0.01)
        self.assertGreater(looks, 10)
        self.assertEqual(seen, {1})
        self.assertLess(slowest, 0.5)


#: What a transfer of big.bin leaves where it is broken off.
PARTS = ["big.bin.part", "big.bin.part.journal"]


def write_sparse(path: Path, pieces: int, seed: int = 0) -> None:
    """A file of so many MiB, nearly all of it holes; no two pieces alike."""
    with path.open("wb") as file:
        for piece in range(pieces):
            file.seek(piece * MIB)
            file.write(b"%d of %d" % (piece, seed))
        file.truncate(pieces * MIB)
    make_old(path)


def threads(daemon: Daemon) -> int:
    """How many threads its process has."""
    return len(os.listdir(f"/proc/{daemon.pid}/task"))


def peak_memory(daemon: Daemon) -> int:
    """The most bytes that its process has had in memory."""
    for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not tell")

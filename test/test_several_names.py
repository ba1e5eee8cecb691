"""One content under several names, with real daemons: each finds it, and shows."""

import os
from typing import Any

from .daemons import at, eventually, id_of
from .fetch_cases import content_of
from .test_cli import CommandCase


class SeveralNamesTests(CommandCase):
    """A node with one content in three files, a hard link among them, and one with another name."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(2)
        self.resource = id_of(self.content)
        folder = self.shared("one")
        files = {"data/first.bin": self.content, "second.bin": self.content, "empty": b""}
        self.one = self.start_holder("one", files)
        os.link(folder / "second.bin", folder / "third.bin")
        self.two = self.start_holder("two", {"fourth.bin": self.content})
        eventually(10, "all its names are known", lambda: self.found("third.bin"))
        self.names = {"data/first.bin", "second.bin", "third.bin", "fourth.bin"}

    def found(self, part: str) -> list[Any]:
        """What the supernode finds by that name."""
        found = self.supernode.get(f"/api/supernode/search?file_name={part}").data
        return list(found)

    def test_found(self) -> None:
        """Each finds the one resource, with both holders; it counts once, and shows them all."""
        for name in self.names:
            (found,) = self.p2p("find", name.rpartition("/")[2], "--json").json
            self.assertEqual((found["id"], found["name"]), (self.resource, name))
            self.assertEqual({found["name"], *found["other_names"]}, self.names)
            self.assertEqual(set(found["locations"]), {self.one.location, self.two.location})
        shown = self.p2p("find", self.resource).out.decode()
        for name in self.names:
            self.assertIn(name, shown)
        (listed,) = self.one.get(f"/api/node/resources/find?hash_ids={self.resource}").data
        self.assertEqual(listed["name"], "data/first.bin")
        self.assertEqual(listed["other_names"], ["second.bin", "third.bin"])
        self.assertEqual(self.one.get("/api/node/health").data["resources"], 2)
        found = self.supernode.get(f"/api/supernode/search/{self.resource}").data["file"]
        self.assertEqual(set(found), {"location", "locations", "name", "size"})
        self.assertEqual(set(found["locations"]), {self.one.location, self.two.location})

    def test_get(self) -> None:
        """It arrives under the name that was asked for, and by two names as two files."""
        ran = self.p2p("get", "third.bin")
        self.assertEqual((ran.status, ran.lines), (0, ["third.bin"]))
        ran = self.p2p("get", "second.bin", "first.bin", "third.bin", "--json")
        self.assertEqual(ran.status, 0, ran)
        told = [(one["path"], one["state"], bool(one["holders"])) for one in ran.json]
        self.assertEqual(
            told,
            [
                ("second.bin", "done", True),
                ("first.bin", "done", False),
                ("third.bin", "present", False),
            ],
        )
        for name in ("first.bin", "second.bin", "third.bin"):
            self.assertEqual((self.here / name).read_bytes(), self.content)
        ran = self.p2p("get", "first.bin", "third.bin", "-o", "-")
        self.assertEqual((ran.status, ran.out), (0, 2 * self.content))

    def test_pull(self) -> None:
        """A node, too, fetches it once, under the name that was asked for."""
        fetcher = self.start_fetcher()
        ran = self.p2p("pull", "second.bin", "third.bin", "--node", fetcher.url)
        self.assertEqual(ran.status, 0, ran)
        self.assertIn("third.bin has the same content as second.bin", ran.told)
        (fetched,) = [path for path in self.shared("fetcher").rglob("*") if path.is_file()]
        self.assertEqual(fetched.relative_to(self.shared("fetcher")).as_posix(), "second.bin")
        self.assertEqual(fetched.read_bytes(), self.content)

    def test_names_go(self) -> None:
        """A file that goes takes its name with it; the resource stays, whichever that is."""
        folder = self.shared("one")
        path = f"/api/supernode/search?node_name=one&hash_ids={self.resource}"
        for gone in ("data/first.bin", "third.bin"):
            (folder / gone).unlink()

            def is_gone(name: str = gone) -> bool:
                (held,) = self.supernode.get(path).data
                file = held["file"]
                return name not in [file["name"], *file.get("other_names", [])]

            eventually(10, f"{gone} is gone", is_gone)
            self.refused(3, "nobody has", "find", gone)
        (found,) = self.p2p("find", "second.bin", "--json").json
        self.assertEqual({found["name"], *found["other_names"]}, {"second.bin", "fourth.bin"})
        (self.here / "new.bin").write_bytes(self.content)
        ran = self.p2p("share", "new.bin", "--node", self.one.url)
        self.assertEqual(ran.status, 0, ran)
        self.assertEqual([one["file"]["name"] for one in self.found("new.bin")], ["new.bin"])

    def test_forms(self) -> None:
        """A name is found and asked for in either form, as people type it and as a Mac has it."""
        names = {"caf\u00e9.bin": "cafe\u0301.bin", "ru\u0308be.bin": "r\u00fcbe.bin"}
        self.start_holder("mac", {f"menu/{name}": name.encode() for name in names})
        for name, typed in names.items():
            (found,) = self.p2p("find", typed[:-4], "--json").json
            self.assertEqual((found["id"], found["name"]), (id_of(name.encode()), f"menu/{name}"))
        ran = self.p2p("get", *names.values())
        self.assertEqual((ran.status, ran.lines), (0, list(names)))
        ran = self.p2p("pull", *names.values(), "--node", self.two.url)
        self.assertEqual(ran.status, 0, ran)
        for name in names:
            for path in (self.here / name, self.shared("two") / "menu" / name):
                self.assertEqual(path.read_bytes(), name.encode())

    def test_at_several_supernodes(self) -> None:
        """The names that others' nodes have are found, too, and put together."""
        other = self.start_supernode()
        self.start_node("three", {"fifth.bin": self.content}, *at(other))
        self.wait_until_held(other, "three", self.resource)
        for part in ("fifth.bin", self.resource):
            (found,) = self.p2p("find", part, "--json").json
            told = {found["name"], *found["other_names"]}
            self.assertLessEqual({"fifth.bin"} if part == "fifth.bin" else self.names, told)
            self.assertIn("fifth.bin", told)
        (found,) = self.p2p("find", ".bin", "--json").json
        self.assertEqual({found["name"], *found["other_names"]}, {*self.names, "fifth.bin"})

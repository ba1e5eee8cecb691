"""The whole system on loopback: two supernodes, three nodes, and what a user asks of them."""

from .answers import request
from .cases import SystemTestCase
from .daemons import Daemon, at, id_of, supernode_of

ONE = b"the first node's\n"
THREE = bytes(range(256)) * 4096
NOBODYS = id_of(b"in no folder")


class LoopbackTests(SystemTestCase):
    """What the routes give while real daemons answer them."""

    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = self.start_supernode(), self.start_supernode()
        self.one = self.start_node("one", {"one.txt": ONE, "deep/er.bin": b""}, *at(self.first))
        self.two = self.start_node("two", {}, *at(self.first))
        self.three = self.start_node("three", {"three.bin": THREE}, *at(self.second))
        self.wait_until_held(self.first, "one", id_of(ONE), id_of(b""))
        self.wait_until_held(self.second, "three", id_of(THREE))

    def test_list(self) -> None:
        """A node lists its folder with the sub-folders; the ids are SHA-256 of the contents."""
        answer = self.one.get("/api/node/resources")
        self.assertEqual(answer.json["entity"], "resource")
        listed = {resource["name"]: resource["id"] for resource in answer.data}
        self.assertEqual(listed, {"one.txt": id_of(ONE), "deep/er.bin": id_of(b"")})

    def test_own_resource(self) -> None:
        """A node's own resource is a 200, with and without /api."""
        for prefix in ("/api", ""):
            answer = self.one.get(f"{prefix}/node/resources/{id_of(ONE)}")
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.data, {"id": id_of(ONE), "name": "one.txt"})

    def test_registered_where_told(self) -> None:
        """Every node is alive at the supernode that it was given, and at no other."""
        first = {(node["name"], node["location"]) for node in self.alive(self.first)}
        self.assertEqual(first, {("one", self.one.location), ("two", self.two.location)})
        second = self.alive(self.second)
        self.assertEqual(second, [{"name": "three", "location": self.three.location}])

    def test_found_across_supernodes(self) -> None:
        """What only the other supernode knows is found by multicast and redirected to."""
        answer = self.two.get(f"/api/node/resources/{id_of(THREE)}")
        self.assertEqual(answer.status, 302)
        self.assertEqual(
            answer.headers["Location"], f"{self.three.url}/api/node/resources/{id_of(THREE)}"
        )
        self.assertEqual(answer.data["id"], id_of(THREE))
        self.assertEqual(answer.data["info"]["location"], self.three.location)
        found = request("GET", answer.headers["Location"])
        self.assertEqual((found.status, found.data["name"]), (200, "three.bin"))

    def test_found_in_the_own_registry(self) -> None:
        """What the node's own supernode knows comes with its name and size."""
        info = self.two.get(f"/api/node/resources/{id_of(ONE)}").data["info"]
        self.assertEqual(info["location"], self.one.location)
        self.assertEqual((info["name"], info["size"]), ("one.txt", len(ONE)))

    def test_find_many(self) -> None:
        """One request for many ids gives those found, wherever they are, in that order."""
        ids = [id_of(THREE), NOBODYS, id_of(ONE)]
        found = self.one.get(f"/api/node/resources/find?hash_ids={','.join(ids)}").data
        self.assertEqual([resource["id"] for resource in found], [id_of(THREE), id_of(ONE)])
        self.assertEqual(found[0]["info"]["location"], self.three.location)
        self.assertEqual(found[1]["name"], "one.txt")

    def test_nobody_has_it(self) -> None:
        """An id that nobody has is a 404 at a node and an empty answer at a supernode."""
        self.assertEqual(self.two.get(f"/api/node/resources/{NOBODYS}").status, 404)
        answer = self.first.get(f"/api/supernode/search/{NOBODYS}")
        self.assertEqual((answer.status, answer.data), (200, {}))

    def test_content(self) -> None:
        """A content is redirected to its holder, and arrives there as it is, whole or in ranges."""
        path = f"/api/node/resources/{id_of(THREE)}/content"
        redirect = self.two.get(path)
        self.assertEqual(
            (redirect.status, redirect.headers["Location"]), (302, self.three.url + path)
        )
        whole = self.three.get(path)
        self.assertEqual(id_of(whole.body), id_of(THREE))
        self.assertEqual(whole.headers["ETag"], f'"{id_of(THREE)}"')
        part = self.three.get(path, {"Range": "bytes=1000-1999"})
        self.assertEqual((part.status, part.body), (206, THREE[1000:2000]))
        head = self.three.request("HEAD", path)
        self.assertEqual((head.headers["Content-Length"], head.body), (str(len(THREE)), b""))

    def test_several_holders(self) -> None:
        """A resource that two nodes have comes with both locations; one that leaves is dropped."""
        self.start_node("four", {"again.txt": ONE}, *at(self.first))
        self.wait_until_held(self.first, "four", id_of(ONE))
        path = f"/api/supernode/search/{id_of(ONE)}"
        self.assertEqual(len(self.first.get(path).data["file"]["locations"]), 2)
        self.assertEqual(len(self.second.get(path).data["file"]["locations"]), 2)
        self.one.stop()
        self.assertNotIn(self.one.location, self.first.get(path).data["file"]["locations"])

    def test_finds_a_supernode_by_itself(self) -> None:
        """A node that is given no supernode finds one by multicast."""
        node = self.start_node("stray", {"stray.txt": b"stray"})
        self.assertIn(supernode_of(node), {self.first.location, self.second.location})

    def alive(self, supernode: Daemon) -> list[dict[str, str]]:
        nodes: list[dict[str, str]] = supernode.get("/api/supernode/alive").data
        return nodes

"""Two nodes that share one folder, and are both ordered to fetch the same."""

from .daemons import Daemon, eventually, id_of
from .fetch_cases import SLOW, FetchTestCase, content_of

WAITS = "waits for another program"


class SameFolderTests(FetchTestCase):
    """One of them fetches it, and the other waits for that."""

    def setUp(self) -> None:
        super().setUp()
        self.content = content_of(6)
        self.wanted = id_of(self.content)
        self.start_holder("holder", {"big.bin": self.content}, "--max-upload", str(SLOW))
        folder = str(self.shared("one"))
        self.nodes = [self.start_fetcher(name, "--resources", folder) for name in ("one", "two")]
        for node in self.nodes:
            self.order(node, self.wanted)

    def told(self, node: Daemon) -> bool:
        return WAITS in node.log.read_text()

    def test_waits(self) -> None:
        """It comes once, and both have it."""
        ends = [self.wait_for_end(node, self.wanted) for node in self.nodes]
        for node, status in zip(self.nodes, ends, strict=True):
            self.assertDone(status, self.shared("one") / "big.bin", self.content)
            listed = [resource["id"] for resource in node.get("/api/node/resources").data]
            self.assertEqual(listed, [self.wanted])
        self.assertEqual(sum(map(self.told, self.nodes)), 1)
        came = sum(sum(status["holders"].values()) for status in ends)
        self.assertEqual(came, len(self.content))

    def test_killed(self) -> None:
        """Where the one that fetches it is killed, the other goes on with what has come."""
        eventually(5, "one of them waits", lambda: any(map(self.told, self.nodes)))
        first, second = sorted(self.nodes, key=self.told)
        had = self.wait_for_middle(first, self.wanted)["here"]
        first.kill()
        status = self.wait_for_end(second, self.wanted)
        self.assertDone(status, self.shared("one") / "big.bin", self.content)
        self.assertLessEqual(sum(status["holders"].values()), len(self.content) - had)

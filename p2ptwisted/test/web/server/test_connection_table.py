"""Tests of `p2ptwisted.web.server.connection_table`; connections are letters here."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.web.server.connection_table import ConnectionTable

HERE, THERE = "10.0.0.1", "10.0.0.2"


class ConnectionsTests(SynchronousTestCase):
    """Who makes room for whom."""

    def setUp(self) -> None:
        #: Four in all, three from one address.
        self.connections: ConnectionTable[str] = ConnectionTable(4, 3)

    def add(self, letters: str, address: str) -> None:
        for letter in letters:
            self.connections.add(letter, address)

    def test_room(self) -> None:
        """Until there are as many as may be, nobody has to go."""
        self.add("ab", HERE)
        self.assertFalse(self.connections.is_full(HERE))
        self.add("c", HERE)
        self.assertTrue(self.connections.is_full(HERE))
        self.assertFalse(self.connections.is_full(THERE))
        self.add("d", THERE)
        self.assertTrue(self.connections.is_full(THERE))
        self.assertEqual((len(self.connections), "".join(self.connections)), (4, "abcd"))

    def test_longest_idle(self) -> None:
        """Of all, the one goes that has been idle for the longest."""
        self.add("ab", HERE)
        self.add("cd", THERE)
        self.assertEqual(self.connections.next_to_close(HERE), "a")
        self.connections.mark_busy("a")
        self.assertEqual(self.connections.next_to_close(HERE), "b")
        self.connections.mark_busy("b")
        self.connections.mark_idle("a")
        self.assertEqual(self.connections.next_to_close(THERE), "c")

    def test_own(self) -> None:
        """A client that has too many loses its own, though another's has been idle longer."""
        self.add("a", THERE)
        self.add("bcd", HERE)
        self.assertEqual(self.connections.next_to_close(HERE), "b")
        self.assertEqual(self.connections.next_to_close(THERE), "a")

    def test_all_busy(self) -> None:
        """Where none is idle, none can go."""
        self.add("abc", HERE)
        for letter in "abc":
            self.connections.mark_busy(letter)
        self.assertIsNone(self.connections.next_to_close(HERE))

    def test_removed(self) -> None:
        """One that is gone makes room, once, and is never idle again."""
        self.add("abc", HERE)
        for _ in range(2):
            self.connections.remove("a")
        self.connections.mark_idle("a")
        self.assertFalse(self.connections.is_idle("a"))
        self.assertFalse(self.connections.is_full(HERE))
        self.add("d", HERE)
        self.assertEqual(self.connections.next_to_close(HERE), "b")

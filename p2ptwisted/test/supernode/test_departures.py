"""Tests of `p2ptwisted.supernode.departures`."""

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import GoneNode
from p2ptwisted.supernode.departures import (
    GONE_AT_ADDRESS_MAX,
    GONE_MAX,
    GOODBYE,
    LOST,
    NAME_MAX,
    REMEMBERED,
    Departures,
)

A, B = "10.0.0.1:8000", "10.0.0.2:8000"


class DeparturesTests(SynchronousTestCase):
    """Who has gone."""

    def setUp(self) -> None:
        self.departures = Departures()

    def locations(self, now: float = 0.0) -> list[str]:
        return [node.location for node in self.departures.nodes(now)]

    def test_how_and_when(self) -> None:
        """Each is told with how it went, and how long ago; the last one first."""
        self.departures.gone("a", A, GOODBYE, 10.0)
        self.departures.gone("b", B, LOST, 20.0)
        self.assertEqual(
            self.departures.nodes(50.0),
            [GoneNode("b", B, 30.0, "lost"), GoneNode("a", A, 40.0, "goodbye")],
        )

    def test_forgotten(self) -> None:
        """After an hour nothing is known of it."""
        self.departures.gone("a", A, LOST, 0.0)
        self.assertEqual(self.locations(REMEMBERED - 1), [A])
        self.assertEqual(self.locations(REMEMBERED), [])
        self.departures.back(A)

    def test_back(self) -> None:
        """One that is back has not gone; one that goes again went now."""
        self.departures.gone("a", A, LOST, 0.0)
        self.departures.back(A)
        self.assertEqual(self.locations(), [])
        self.departures.gone("a", A, LOST, 1.0)
        self.departures.gone("a", A, GOODBYE, 2.0)
        self.assertEqual(self.departures.nodes(2.0), [GoneNode("a", A, 0.0, "goodbye")])

    def test_many(self) -> None:
        """So many are remembered; the first that went makes room."""
        for number in range(GONE_MAX + 3):
            self.departures.gone("n", f"10.0.{number // 250}.{number % 250}:8000", LOST, number)
        found = self.locations(GONE_MAX + 3)
        self.assertEqual(len(found), GONE_MAX)
        self.assertNotIn("10.0.0.2:8000", found)
        self.assertIn("10.0.0.3:8000", found)

    def test_many_of_one_address(self) -> None:
        """One address makes room for its own, and for nobody else's."""
        self.departures.gone("b", B, LOST, 0.0)
        for port in range(1, GONE_MAX * 2):
            self.departures.gone("a", f"10.0.0.1:{port}", GOODBYE, 1.0)
        self.assertEqual(len(self.locations(1.0)), GONE_AT_ADDRESS_MAX + 1)
        self.assertIn(B, self.locations(1.0))

    def test_long_name(self) -> None:
        """Of a long name the beginning is remembered."""
        self.departures.gone("x" * 4096, A, LOST, 0.0)
        (node,) = self.departures.nodes(0.0)
        self.assertEqual(len(node.name), NAME_MAX)

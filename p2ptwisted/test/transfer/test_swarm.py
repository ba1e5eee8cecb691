"""Tests of `p2ptwisted.transfer.swarm`."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted import pieces
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Nonsense, Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.transfer_fakes import LENGTH, PAUSE, FakeHolder, SwarmClient, cut, id_of
from p2ptwisted.transfer.swarm import (
    ASKED_MAX,
    ASKING_AT_ONCE,
    CHANGES_MAX,
    GROUPS_MAX,
    LOOKUP_HOLDERS_MAX,
    HolderGroup,
    Swarm,
)

CONTENT = bytes(range(4 * LENGTH))
ID = id_of(CONTENT)


class SourcesTests(SynchronousTestCase):
    """The holders of one resource."""

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.clock = Clock()
        self.client = SwarmClient(self.clock)
        self.listed = Holders(ID, [], [])
        self.news = 0
        self.swarm = Swarm(self.client, ID, self.find, self.changed)

    async def find(self, here: bool) -> Holders:
        return self.listed

    def changed(self) -> None:
        self.news += 1

    def add(self, location: str, holder: FakeHolder | None = None, partial: bool = False) -> None:
        """A holder, of the whole content where nothing else is said."""
        self.client.peers[location] = holder or FakeHolder(CONTENT)
        (self.listed.partial if partial else self.listed.locations).append(location)

    def look_up(self) -> bool:
        """Look up, and let everybody answer."""
        looked_up = Deferred.fromCoroutine(self.swarm.look_up())
        while self.swarm.asking:
            self.clock.advance(PAUSE)
        return self.successResultOf(looked_up)

    def best(self) -> HolderGroup | None:
        """The group to try first."""
        return next(iter(self.swarm.ranked()), None)

    def test_nobody(self) -> None:
        """Where nobody has it, that is said."""
        self.assertFalse(self.look_up())
        self.assertIsNone(self.best())
        self.assertFalse(self.swarm.asking)

    def test_asked(self) -> None:
        """All are asked, whole and partial ones, and what they have is kept."""
        self.add("a:1")
        self.add("b:1", partial=True)
        self.client.peers["b:1"].has = 0b101
        looked_up = Deferred.fromCoroutine(self.swarm.look_up())
        self.assertTrue(self.successResultOf(looked_up))
        self.assertTrue(self.swarm.asking)
        self.clock.advance(PAUSE)
        self.assertFalse(self.swarm.asking)
        best = self.best()
        assert best is not None
        self.assertEqual(best.pieces, cut(CONTENT))
        self.assertEqual(best.has, {"a:1": 0b1111, "b:1": 0b101})
        self.assertEqual(self.news, 2)

    def test_name(self) -> None:
        """The first name that is known stays."""
        self.look_up()
        self.assertIsNone(self.swarm.name)
        for name in ("first", "second"):
            self.listed = Holders(ID, [], [], name)
            self.look_up()
        self.assertEqual(self.swarm.name, "first")

    def test_asked_once(self) -> None:
        """Who has answered is not asked again by a look-up; who has not, is."""
        self.add("a:1")
        self.add("b:1")
        self.client.stop(["b:1"])
        self.look_up()
        self.assertIn("b:1", self.swarm.troubles)
        self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.look_up()
        self.assertEqual(self.client.peers["a:1"].polled, 1)
        self.assertEqual(self.client.peers["b:1"].polled, 1)
        self.assertEqual(self.swarm.troubles, {})

    def test_troubles(self) -> None:
        """Why one can't be asked is kept, whatever it answers."""
        for number, problem in enumerate([Refused(302, "status 302"), Unavailable("garbage")]):
            self.add(f"a:{number}")
            self.client.peers[f"a:{number}"].refusal = problem
        self.look_up()
        self.assertEqual(self.swarm.troubles, {"a:0": "status 302", "a:1": "garbage"})

    def test_mistake(self) -> None:
        """A mistake of ours is in the log, and does not stop the others."""
        self.add("a:1")
        self.add("b:1")
        self.client.peers["a:1"].refusal = ZeroDivisionError()
        self.look_up()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        best = self.best()
        assert best is not None
        self.assertEqual(list(best.has), ["b:1"])

    def test_poll(self) -> None:
        """Only those with a part are asked whether it has grown."""
        self.add("a:1")
        self.add("b:1", partial=True)
        self.client.peers["b:1"].has = 0b1
        self.look_up()
        best = self.best()
        assert best is not None
        for has in (0b11, 0b1111, 0b1111):
            self.client.peers["b:1"].has = has
            self.swarm.poll(best)
            self.swarm.poll(best)
            self.clock.advance(PAUSE)
            self.assertEqual(best.has["b:1"], has)
        self.assertEqual(self.client.peers["a:1"].polled, 1)
        self.assertEqual(self.client.peers["b:1"].polled, 3)

    def test_disagreement(self) -> None:
        """Those that say the same stand together, and the larger group comes first."""
        other = bytes(3 * LENGTH)
        self.add("liar:1", FakeHolder(other))
        self.add("a:1")
        self.add("b:1")
        self.look_up()
        best = self.best()
        assert best is not None
        self.assertEqual(list(best.has), ["a:1", "b:1"])
        self.assertEqual(len(self.swarm.ranked()), 2)

    def test_discard(self) -> None:
        """Who has lied is named, and neither asked again nor believed when it says more."""
        self.add("liar:1", FakeHolder(bytes(3 * LENGTH)), partial=True)
        self.client.peers["liar:1"].has = 0b1
        self.look_up()
        lie = self.best()
        assert lie is not None
        self.swarm.poll(lie)
        self.swarm.discard(lie, "it lied")
        self.clock.advance(PAUSE)
        self.assertIsNone(self.best())
        self.look_up()
        self.assertEqual(self.client.peers["liar:1"].polled, 2)
        self.assertEqual(self.swarm.troubles, {"liar:1": "it lied"})

    def test_changes_its_mind(self) -> None:
        """Who says something else later leaves those that it agreed with."""
        self.add("a:1")
        self.add("b:1", partial=True)
        self.client.peers["b:1"].has = 0b1
        self.look_up()
        best = self.best()
        assert best is not None
        self.client.peers["b:1"].pieces = cut(bytes(4 * LENGTH))
        self.swarm.poll(best)
        self.clock.advance(PAUSE)
        self.assertEqual(list(best.has), ["a:1"])

    def test_most(self) -> None:
        """No more than so many are asked."""
        for number in range(LOOKUP_HOLDERS_MAX + 5):
            self.add(f"a{number}:1")
        self.look_up()
        best = self.best()
        assert best is not None
        self.assertEqual(len(best.has), LOOKUP_HOLDERS_MAX)

    def test_most_ever(self) -> None:
        """Nor are always others asked, look-up for look-up; those that were are asked again."""
        self.add("a:0")
        self.client.stop(["a:0"])
        made_up = iter(range(100_000))
        for _ in range(2 * ASKED_MAX // LOOKUP_HOLDERS_MAX):
            self.listed.locations[1:] = [f"b{next(made_up)}:1" for _ in range(LOOKUP_HOLDERS_MAX)]
            self.look_up()
        self.assertEqual(len(self.swarm.troubles), ASKED_MAX)
        self.client.peers["a:0"] = FakeHolder(CONTENT)
        self.look_up()
        best = self.best()
        assert best is not None
        self.assertEqual(list(best.has), ["a:0"])

    def test_crowded(self) -> None:
        """However many ports one address has, others are asked first, and of it only a few."""
        for number in range(1_000):
            self.add(f"liar:{number}")
        self.add("a:1")
        self.add("b:1", partial=True)
        Deferred.fromCoroutine(self.swarm.look_up())
        self.clock.advance(0)
        self.assertEqual(self.client.open, ASKING_AT_ONCE + 2)
        while self.swarm.asking:
            self.clock.advance(PAUSE)
        best = self.best()
        assert best is not None
        self.assertEqual(len(best.has), share_of(LOOKUP_HOLDERS_MAX) + 2)
        self.assertTrue({"a:1", "b:1"} <= set(best.has))

    def test_crowd_that_changes(self) -> None:
        """Nor are always other ports of it asked, look-up for look-up."""
        for number in range(0, 1_000, 50):
            self.listed.locations[:] = [f"liar:{number + n}" for n in range(50)]
            self.look_up()
        self.assertEqual(len(self.swarm.troubles), share_of(ASKED_MAX))
        self.add("a:1")
        self.look_up()
        best = self.best()
        assert best is not None
        self.assertEqual(list(best.has), ["a:1"])

    def test_votes(self) -> None:
        """Addresses count and not ports, and one that says different things counts in parts."""
        for number in range(10):
            self.add(f"liar:{number}", FakeHolder(bytes(3 * LENGTH)))
        for number in range(10, 14):
            self.add(f"liar:{number}", FakeHolder(bytes([number]) * 3 * LENGTH))
        self.add("a:1")
        self.look_up()
        best = self.best()
        assert best is not None
        self.assertEqual(list(best.has), ["a:1"])

    def test_versions(self) -> None:
        """So many versions are remembered and no more; one that more vouch for takes its place."""
        for number in range(2 * GROUPS_MAX):
            self.add(f"liar{number % 2}:{number}", FakeHolder(bytes([number + 1]) * 4 * LENGTH))
        self.look_up()
        self.assertEqual(len(self.swarm.ranked()), GROUPS_MAX)
        self.add("a:1")
        self.look_up()
        groups = self.swarm.ranked()
        self.assertEqual(list(groups[0].has), ["a:1"])
        self.assertEqual(len(groups), GROUPS_MAX)

    def test_one_piece(self) -> None:
        """What can't be right, for the only piece is the resource, is a lie at once."""
        self.add("liar:1", FakeHolder(b"other"))
        self.look_up()
        self.assertIsNone(self.best())
        self.assertIn("digests", self.swarm.troubles["liar:1"])
        self.look_up()
        self.assertEqual(self.client.peers["liar:1"].polled, 1)

    def test_changes_all_the_time(self) -> None:
        """Who says something else each time is soon asked no more."""
        self.add("liar:1", partial=True)
        self.client.peers["liar:1"].has = 0b1
        self.look_up()
        for number in range(CHANGES_MAX + 3):
            group = self.best()
            if group is None:
                break
            self.client.peers["liar:1"].pieces = cut(bytes([number]) * 4 * LENGTH)
            self.swarm.poll(group)
            self.clock.advance(PAUSE)
        self.assertIsNone(self.best())
        self.assertEqual(self.client.peers["liar:1"].polled, CHANGES_MAX + 2)

    def test_nonsense(self) -> None:
        """Who answers with nonsense again and again is asked no more; who is busy is."""
        self.add("x:1")
        self.add("a:1")
        self.client.peers["x:1"].refusal = Nonsense("an answer of more than 8388608 bytes")
        self.client.peers["a:1"].refusal = Unavailable("no answer in time")
        for _ in range(10):
            self.look_up()
        asked = [self.client.peers[location].reached for location in ("x:1", "a:1")]
        self.assertEqual(asked, [CHANGES_MAX + 1, 10])
        self.assertIn("more than", self.swarm.troubles["x:1"])

    def test_stop(self) -> None:
        """Stopped, it leaves no request and no timer."""
        self.add("a:1")
        self.add("b:1")
        Deferred.fromCoroutine(self.swarm.look_up())
        self.swarm.stop()
        self.assertFalse(self.swarm.asking)
        self.assertEqual(self.client.open, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

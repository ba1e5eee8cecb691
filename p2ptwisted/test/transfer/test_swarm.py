"""Tests of `p2ptwisted.transfer.swarm`."""

from itertools import islice
from random import Random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted import pieces
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Busy, Nonsense, Unavailable
from p2ptwisted.model import Holders
from p2ptwisted.pieces import HolderState
from p2ptwisted.support.round_robin import share_of
from p2ptwisted.test.transfer_fakes import LENGTH, PAUSE, FakeHolder, SwarmClient, cut, id_of
from p2ptwisted.transfer.candidates import CANDIDATES_MAX, NAMED_BY_ONE_MAX, RETRY_FIRST, RETRY_MAX
from p2ptwisted.transfer.swarm import (
    ANSWER_PATIENCE,
    ASKING_AT_ONCE,
    BUSY_PAUSES,
    CAME_MAX,
    CHANGES_MAX,
    CHOSEN_MAX,
    DISPUTED_MAX,
    GROUPS_MAX,
    MANIFEST_PATIENCE,
    MANIFESTS_AT_ONCE,
    NEWS_WAIT,
    HolderGroup,
    Swarm,
)

CONTENT = bytes(range(4 * LENGTH))
ID = id_of(CONTENT)


class SwarmCase(SynchronousTestCase):
    """The holders of one resource."""

    def setUp(self) -> None:
        self.patch(pieces, "PIECE_MIN", LENGTH)
        self.clock = Clock()
        self.client = SwarmClient(self.clock)
        self.listed = Holders(ID, [], [])
        self.changes = 0
        self.swarm = Swarm(self.clock, self.client, ID, self.find, self.changed, Random(0))

    async def find(self, here: bool) -> Holders:
        return self.listed

    def changed(self) -> None:
        self.changes += 1

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

    def group(self) -> HolderGroup:
        """The group to try first, which there must be."""
        best = self.best()
        assert best is not None
        return best

    def news(self, group: HolderGroup, location: str) -> Deferred[None]:
        """Ask a neighbor for news, and give it time to answer."""
        asked = Deferred.fromCoroutine(self.swarm.news(group, location))
        self.clock.advance(PAUSE)
        return asked


class MeetingTests(SwarmCase):
    """Who is asked, and how many at once."""

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
        best = self.group()
        self.assertEqual(best.pieces, cut(CONTENT))
        self.assertEqual(best.has, {"a:1": 0b1111, "b:1": 0b101})
        self.assertEqual(self.changes, 2)

    def test_name(self) -> None:
        """The first name that is known stays."""
        self.look_up()
        self.assertIsNone(self.swarm.name)
        for name in ("first", "second"):
            self.listed = Holders(ID, [], [], name)
            self.look_up()
        self.assertEqual(self.swarm.name, "first")

    def test_asked_once(self) -> None:
        """Who has answered is not asked again by a look-up; who has not, is, after a while."""
        self.add("a:1")
        self.add("b:1")
        self.client.stop(["b:1"])
        self.look_up()
        self.assertIn("b:1", self.swarm.troubles)
        self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.look_up()
        self.assertEqual(self.client.peers["b:1"].polled, 0)
        self.clock.advance(RETRY_FIRST)
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
        best = self.group()
        self.assertEqual(list(best.has), ["b:1"])

    def test_manifest(self) -> None:
        """The manifest comes from few, of many holders; the others are asked when it is here."""
        for number in range(CHOSEN_MAX):
            self.add(f"a{number}:1")
        Deferred.fromCoroutine(self.swarm.look_up())
        self.assertEqual(self.client.open, MANIFESTS_AT_ONCE)
        self.clock.pump([PAUSE] * 2)
        self.assertEqual(len(self.group().has), CHOSEN_MAX)
        knew = [knew for holder in self.client.peers.values() for knew in holder.knew]
        self.assertEqual(sum(not known for known in knew), MANIFESTS_AT_ONCE)

    def test_manifest_refused(self) -> None:
        """Where it can't be had from some, others are asked at once."""
        for number in range(2 * MANIFESTS_AT_ONCE):
            self.add(f"a{number}:1")
            self.client.peers[f"a{number}:1"].refusal = Unavailable("broken")
        self.add("b:1")
        Deferred.fromCoroutine(self.swarm.look_up())
        self.clock.pump([PAUSE] * 3)
        self.assertEqual(list(self.group().has), ["b:1"])

    def test_referred(self) -> None:
        """Who names others instead of sending the manifest is asked again when it has come."""
        self.add("a:1")
        self.client.peers["a:1"].refusal = Busy("others have it", ["b:1"])
        self.client.peers["b:1"] = FakeHolder(CONTENT)
        Deferred.fromCoroutine(self.swarm.look_up())
        self.clock.pump([PAUSE] * 2)
        self.assertEqual(list(self.group().has), ["b:1"])
        self.client.peers["a:1"].refusal = None
        self.clock.pump([PAUSE] * 2)
        self.assertEqual(set(self.group().has), {"a:1", "b:1"})
        self.assertEqual(self.client.peers["a:1"].knew, [[cut(CONTENT)]])

    def test_referred_nowhere(self) -> None:
        """Where the others don't give it, who named them is asked again, but not for ever."""
        self.add("a:1")
        holder = self.client.peers["a:1"]
        holder.refusal = Busy("others have it", ["b:1"])
        Deferred.fromCoroutine(self.swarm.look_up())
        self.clock.pump([PAUSE] * int(sum(BUSY_PAUSES[:2]) / PAUSE))
        self.assertEqual(holder.reached, 2)
        while self.swarm.asking:
            self.clock.advance(PAUSE)
        self.assertEqual(holder.reached, 1 + len(BUSY_PAUSES))
        self.assertEqual(self.swarm.troubles["a:1"], "others have it")

    def test_no_piece_yet(self) -> None:
        """Who passes on a manifest and has no piece yet doesn't vouch for it."""
        for number in range(2):
            self.add(f"a{number}:1", partial=True)
            self.client.peers[f"a{number}:1"] = FakeHolder(bytes(4 * LENGTH))
            self.client.peers[f"a{number}:1"].has = 0
        self.add("b:1")
        Deferred.fromCoroutine(self.swarm.look_up())
        while self.swarm.asking:
            self.clock.advance(PAUSE)
        self.assertEqual([group.hosts for group in self.swarm.ranked()], [{"b"}, set()])

    def test_silent(self) -> None:
        """Who doesn't answer for a second keeps no place from others, but is waited for."""
        for number in range(CHOSEN_MAX):
            self.add(f"silent{number}:1")
            self.client.peers[f"silent{number}:1"].has = 0
        Deferred.fromCoroutine(self.swarm.look_up())
        self.clock.advance(MANIFEST_PATIENCE)
        self.assertEqual(self.client.open, CHOSEN_MAX)
        for number in range(5):
            self.add(f"a{number}:1")
        Deferred.fromCoroutine(self.swarm.look_up())
        self.assertEqual(self.client.open, CHOSEN_MAX)
        self.clock.advance(ANSWER_PATIENCE - MANIFEST_PATIENCE)
        self.swarm.fill()
        self.clock.advance(MANIFEST_PATIENCE)
        self.clock.advance(PAUSE)
        self.assertEqual(len(self.group().has), 5)
        self.client.peers["silent0:1"].has = 0b1
        self.clock.advance(PAUSE)
        self.assertEqual(self.group().has["silent0:1"], 0b1)

    def test_all_silent(self) -> None:
        """However many don't answer, so many are waited for at once and no more."""
        for number in range(2 * DISPUTED_MAX):
            self.add(f"silent{number}:1")
            self.client.peers[f"silent{number}:1"].has = 0
        for _ in range(int(NEWS_WAIT / ANSWER_PATIENCE) - 1):
            self.listed.locations[:] = self.listed.locations[CHOSEN_MAX:]
            Deferred.fromCoroutine(self.swarm.look_up())
            self.clock.pump([ANSWER_PATIENCE + PAUSE])
            self.assertLessEqual(self.client.open, DISPUTED_MAX)
        self.swarm.stop()

    def test_leave(self) -> None:
        """Who is left makes place for another, and may come back later."""
        for number in range(CHOSEN_MAX + 1):
            self.add(f"a{number}:1")
        self.look_up()
        best = self.group()
        self.assertTrue(self.swarm.others_wait)
        left = self.swarm.neighbors[0]
        self.swarm.leave(best, left)
        self.swarm.leave(best, "unknown:1")
        self.assertNotIn(left, best.has)
        self.swarm.fill()
        self.clock.advance(PAUSE)
        self.assertEqual(len(best.has), CHOSEN_MAX)
        self.assertNotIn(left, best.has)
        self.assertFalse(self.swarm.others_wait)
        self.clock.advance(RETRY_FIRST)
        self.assertTrue(self.swarm.others_wait)

    def test_most(self) -> None:
        """No more are neighbors than there may be, however many there are."""
        for number in range(DISPUTED_MAX):
            self.add(f"a{number}:1")
        for _ in range(3):
            self.look_up()
            self.assertEqual(len(self.group().has), CHOSEN_MAX)

    def test_most_in_dispute(self) -> None:
        """While they disagree more are asked, for it counts how many say what; then no more."""
        self.add("liar:1", FakeHolder(bytes(3 * LENGTH)))
        for number in range(CHOSEN_MAX - 1):
            self.add(f"a{number}:1")
        self.look_up()
        for number in range(2 * DISPUTED_MAX):
            self.add(f"b{number}:1")
        self.look_up()
        self.assertEqual(len(self.swarm.neighbors), DISPUTED_MAX)

    def test_dispute_that_is_over(self) -> None:
        """Once nobody vouches for the other pieces any more, nobody else is asked."""
        self.add("liar:1", FakeHolder(bytes(3 * LENGTH)))
        for number in range(CHOSEN_MAX - 1):
            self.add(f"a{number}:1")
        self.look_up()
        self.swarm.distrust("liar:1", "it lied")
        for number in range(2 * DISPUTED_MAX):
            self.add(f"b{number}:1")
        self.look_up()
        self.assertEqual(len(self.swarm.neighbors), CHOSEN_MAX)

    def test_most_ever(self) -> None:
        """Nor are always others asked, look-up for look-up; those that were are asked again."""
        self.add("a:0")
        self.client.stop(["a:0"])
        self.look_up()
        made_up = iter(range(100_000))
        for _ in range(2 * CANDIDATES_MAX // CHOSEN_MAX):
            self.listed.locations[:] = [f"b{next(made_up)}:1" for _ in range(CHOSEN_MAX)]
            self.look_up()
            self.clock.advance(RETRY_MAX)
        self.assertEqual(len(self.swarm.troubles), CANDIDATES_MAX)
        self.client.peers["a:0"] = FakeHolder(CONTENT)
        for _ in range(CANDIDATES_MAX // CHOSEN_MAX):
            self.look_up()
            self.clock.advance(RETRY_MAX)
        self.assertEqual(list(self.group().has), ["a:0"])

    def test_came(self) -> None:
        """Who comes is asked in return though enough are chosen, up to a bound for all."""
        for number in range(DISPUTED_MAX):
            self.add(f"a{number}:1")
        self.look_up()
        for number in range(CHOSEN_MAX + CAME_MAX):
            self.client.peers[f"b{number}:1"] = FakeHolder(CONTENT)
            self.swarm.came(f"b{number}:1", f"b{number}")
            self.clock.advance(PAUSE)
        neighbors = set(self.swarm.neighbors)
        self.assertEqual(len(neighbors), CHOSEN_MAX + CAME_MAX)
        came = {f"b{number}:1" for number in range(CAME_MAX)}
        self.assertEqual({one for one in neighbors if one.startswith("b")}, came)
        self.assertTrue(self.swarm.is_shared)

    def test_came_at_once(self) -> None:
        """The same where none of them has answered yet."""
        for number in range(2 * (CHOSEN_MAX + CAME_MAX)):
            self.client.peers[f"b{number}:1"] = FakeHolder(CONTENT)
            self.swarm.came(f"b{number}:1", f"b{number}")
        self.clock.pump([PAUSE] * 2)
        self.assertEqual(len(self.swarm.neighbors), CHOSEN_MAX + CAME_MAX)

    def test_came_before(self) -> None:
        """Those that came keep no place from those that are chosen."""
        for number in range(CAME_MAX):
            self.client.peers[f"b{number}:1"] = FakeHolder(CONTENT)
            self.swarm.came(f"b{number}:1", f"b{number}")
        for number in range(DISPUTED_MAX):
            self.add(f"a{number}:1")
        self.look_up()
        chosen = [one for one in self.swarm.neighbors if one.startswith("a")]
        self.assertEqual(len(chosen), CHOSEN_MAX)
        self.assertEqual(len(self.swarm.neighbors), CHOSEN_MAX + CAME_MAX)

    def test_came_again(self) -> None:
        """Who comes again and again is asked once; one that came in vain counts when chosen."""
        for _ in range(3):
            self.swarm.came("b:1", "b")
        self.clock.advance(PAUSE)
        self.assertIn("b:1", self.swarm.troubles)
        self.clock.advance(RETRY_FIRST)
        for number in range(CHOSEN_MAX):
            self.add(f"a{number}:1")
        holder = self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.client.stop(["a0:1"])
        for _ in range(5):
            self.look_up()
            self.clock.advance(RETRY_MAX)
        self.assertEqual(len(self.swarm.neighbors), CHOSEN_MAX)
        self.assertIn("b:1", self.swarm.neighbors)
        self.client.peers["a0:1"] = FakeHolder(CONTENT)
        self.look_up()
        self.assertEqual(len(self.swarm.neighbors), CHOSEN_MAX)
        self.swarm.came("b:1", "b")
        self.clock.advance(PAUSE)
        self.assertEqual(holder.polled, 1)

    def test_came_and_left(self) -> None:
        """Who came and is left may come again in a while, and then is asked."""
        holder = self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.swarm.came("b:1", "b")
        self.clock.advance(PAUSE)
        self.swarm.leave(self.group(), "b:1")
        self.swarm.came("b:1", "b")
        self.clock.advance(RETRY_FIRST)
        self.assertEqual(holder.polled, 1)
        self.swarm.came("b:1", "b")
        self.clock.advance(PAUSE)
        self.assertEqual(holder.polled, 2)
        self.assertEqual(self.swarm.neighbors, ["b:1"])

    def test_crowded(self) -> None:
        """However many ports one address has, of it only a few are asked, and at once fewer."""
        for number in range(1_000):
            self.add(f"liar:{number}")
            self.client.peers[f"liar:{number}"].has = 0
        self.add("a:1")
        self.add("b:1", partial=True)
        Deferred.fromCoroutine(self.swarm.look_up())
        for _ in range(5):
            self.clock.pump([PAUSE, ANSWER_PATIENCE])
            self.swarm.fill()
        self.assertEqual(self.client.open, ASKING_AT_ONCE)
        self.assertEqual(set(self.group().has), {"a:1", "b:1"})
        self.swarm.stop()

    def test_crowd_that_changes(self) -> None:
        """Nor are always other ports of it asked, look-up for look-up."""
        for number in range(0, 1_000, 50):
            self.listed.locations[:] = [f"liar:{number + n}" for n in range(50)]
            self.look_up()
            self.clock.advance(RETRY_MAX)
        self.assertEqual(len(self.swarm.troubles), share_of(CANDIDATES_MAX))
        self.add("a:1")
        self.look_up()
        self.assertEqual(list(self.group().has), ["a:1"])

    def test_stop(self) -> None:
        """Stopped, it leaves no request and no timer, and asks nobody else."""
        self.add("a:1")
        self.add("b:1")
        Deferred.fromCoroutine(self.swarm.look_up())
        self.swarm.stop()
        self.assertFalse(self.swarm.asking)
        self.swarm.meet(["c:1"], "c")
        self.swarm.came("d:1", "d")
        self.swarm.fill()
        self.assertEqual(self.client.open, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class NewsTests(SwarmCase):
    """What neighbors say later."""

    def test_news(self) -> None:
        """A neighbor says at once what it has got since, and is told which pieces are known."""
        self.add("b:1", partial=True)
        holder = self.client.peers["b:1"]
        holder.has = 0b1
        self.look_up()
        best = self.group()
        for has in (0b11, 0b1111):
            holder.has = has
            self.successResultOf(self.news(best, "b:1"))
            self.assertEqual(best.has["b:1"], has)
            self.assertEqual(holder.knew[-1], [best.pieces])
        self.assertEqual(self.changes, 3)

    def test_waits(self) -> None:
        """It holds its answer back until there are some."""
        self.add("b:1", partial=True)
        holder = self.client.peers["b:1"]
        holder.has = 0b1
        self.look_up()
        asked = self.news(self.group(), "b:1")
        self.clock.pump([PAUSE] * 100)
        self.assertNoResult(asked)
        holder.has = 0b11
        self.clock.pump([PAUSE] * 2)
        self.successResultOf(asked)
        self.assertEqual(self.group().has["b:1"], 0b11)

    def test_no_news(self) -> None:
        """It says so when it has had none for a while."""
        self.add("a:1")
        self.client.peers["a:1"].has = 0b1
        self.look_up()
        asked = self.news(self.group(), "a:1")
        self.clock.pump([PAUSE] * int(NEWS_WAIT / PAUSE + 1))
        self.successResultOf(asked)
        self.assertEqual(self.group().has["a:1"], 0b1)

    def test_news_fail(self) -> None:
        """A question that fails is its caller's trouble, and leaves what is known."""
        self.add("a:1")
        self.look_up()
        self.client.peers["a:1"].refusal = Unavailable("it has gone")
        self.failureResultOf(self.news(self.group(), "a:1"), Unavailable)
        self.assertEqual(self.group().has, {"a:1": 0b1111})

    def test_nonsense(self) -> None:
        """Whose news are nonsense again and again is asked no more, whatever else it says."""
        self.add("a:1")
        self.client.peers["a:1"].has = 0b1
        self.look_up()
        best = self.group()
        self.client.peers["a:1"].refusal = Nonsense("an answer of more than 8388608 bytes")
        for _ in range(CHANGES_MAX + 1):
            self.assertIsNotNone(self.best())
            self.failureResultOf(self.news(best, "a:1"), Nonsense)
        self.assertIsNone(self.best())
        self.assertIn("more than", self.swarm.troubles["a:1"])

    def test_told(self) -> None:
        """What a neighbor says beside the pieces that it sends is believed; of others, nothing."""
        self.add("a:1")
        self.look_up()
        best = self.group()
        self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.swarm.told(best, "a:1", HolderState(best.pieces, 0b11, ["b:1"]))
        self.swarm.told(best, "c:1", HolderState(best.pieces, 0b11))
        self.clock.advance(PAUSE)
        self.assertEqual(best.has, {"a:1": 0b11, "b:1": 0b1111})

    def test_named(self) -> None:
        """Those that a neighbor names are asked, though no look-up knows them."""
        self.add("a:1")
        self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.client.peers["a:1"].neighbors = ["b:1"]
        self.assertFalse(self.swarm.is_shared)
        self.look_up()
        self.assertEqual(self.group().has, {"a:1": 0b1111, "b:1": 0b1111})
        self.assertTrue(self.swarm.is_shared)

    def test_many_named(self) -> None:
        """One neighbor has so many asked that never answer, and no more."""
        self.add("a:1")
        self.client.peers["a:1"].has = 0b1
        names = (f"b{number}:1" for number in range(1_000))
        self.client.peers["a:1"].neighbors = list(islice(names, 4))
        self.look_up()
        for has in (0b11, 0b1, 0b11, 0b1) * 4:
            self.client.peers["a:1"].has = has
            self.client.peers["a:1"].neighbors = list(islice(names, 4))
            self.successResultOf(self.news(self.group(), "a:1"))
            self.clock.advance(PAUSE)
        self.assertEqual(len(self.swarm.troubles), NAMED_BY_ONE_MAX)

    def test_named_by_liars(self) -> None:
        """Nobody is asked because somebody named it who has lied."""
        liar = FakeHolder(b"other")
        liar.neighbors = ["b:1"]
        self.add("liar:1", liar)
        self.client.peers["b:1"] = FakeHolder(CONTENT)
        self.look_up()
        self.assertEqual(self.client.peers["b:1"].polled, 0)

    def test_shared(self) -> None:
        """That others fetch too is known of a look-up as well."""
        self.add("a:1")
        self.look_up()
        self.assertFalse(self.swarm.is_shared)
        self.add("b:1", partial=True)
        self.look_up()
        self.assertTrue(self.swarm.is_shared)


class DisputeTests(SwarmCase):
    """Holders that say different things of the pieces."""

    def test_disagreement(self) -> None:
        """Those that say the same stand together, and the larger group comes first."""
        other = bytes(3 * LENGTH)
        self.add("liar:1", FakeHolder(other))
        self.add("a:1")
        self.add("b:1")
        self.look_up()
        best = self.group()
        self.assertEqual(list(best.has), ["a:1", "b:1"])
        self.assertEqual(len(self.swarm.ranked()), 2)

    def test_discard(self) -> None:
        """Who has lied is named, and neither asked again nor believed when it says more."""
        self.add("liar:1", FakeHolder(bytes(3 * LENGTH)), partial=True)
        self.client.peers["liar:1"].has = 0b1
        self.look_up()
        lie = self.group()
        asked = Deferred.fromCoroutine(self.swarm.news(lie, "liar:1"))
        self.client.peers["liar:1"].has = 0b11
        self.swarm.discard(lie, "it lied")
        self.clock.advance(PAUSE)
        self.successResultOf(asked)
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
        best = self.group()
        self.client.peers["b:1"].pieces = cut(bytes(4 * LENGTH))
        self.client.peers["b:1"].has = 0b11
        self.successResultOf(self.news(best, "b:1"))
        self.assertEqual(list(best.has), ["a:1"])

    def test_votes(self) -> None:
        """Addresses count and not ports, and one that says different things counts in parts."""
        for number in range(10):
            self.add(f"liar:{number}", FakeHolder(bytes(3 * LENGTH)))
        for number in range(10, 14):
            self.add(f"liar:{number}", FakeHolder(bytes([number]) * 3 * LENGTH))
        self.add("a:1")
        self.look_up()
        best = self.group()
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
            self.client.peers["liar:1"].has = 0b1 | number % 2 << 1
            self.client.peers["liar:1"].has ^= 0b10
            self.successResultOf(self.news(group, "liar:1"))
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
            self.clock.advance(RETRY_MAX)
        asked = [self.client.peers[location].reached for location in ("x:1", "a:1")]
        self.assertEqual(asked, [CHANGES_MAX + 1, 10])
        self.assertIn("more than", self.swarm.troubles["x:1"])

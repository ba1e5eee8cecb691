"""Tests for `p2ptwisted.protocols.untagged_replies`."""

from twisted.internet.defer import Deferred, fail, succeed

from p2ptwisted.errors import Unavailable
from p2ptwisted.protocols import (
    confirm_limiter,
    responder,
    search,
    untagged_replies,
)
from p2ptwisted.protocols.confirm_limiter import ANSWER_MEMORY, HOLD_DELAY
from p2ptwisted.protocols.datagrams import (
    FoundReply,
    decode,
)
from p2ptwisted.test.fakes import make_peer
from p2ptwisted.test.protocols.overlay_case import (
    ALSO_HELD,
    FOUR,
    GROUP,
    HELD,
    ONE,
    THREE,
    TIMEOUT,
    TWO,
    Holdings,
    OverlayTestCase,
)


class OlderPeersTests(OverlayTestCase):
    """Programs that know the three lines only."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[str, Deferred[bool]] = {}
        self.overlay_host = self.network.host(ONE)
        self.overlay = self.supernode(self.overlay_host, {"x": [HELD, ALSO_HELD]}, self.confirms)
        self.settle()
        self.peer = make_peer(self.network.host(TWO), GROUP, TWO)

    def confirms(self, location: str, id: str) -> Deferred[bool]:
        self.asked.append((location, id))
        return self.answers.get(id) or succeed(False)

    def say(self, line: str) -> None:
        self.peer.send(line.encode(), GROUP)
        self.network.deliver()

    def heard(self) -> list[str]:
        """What the peer heard from the group, the name left out; then forgotten."""
        lines = [payload.decode().partition(";")[2] for payload in self.peer.payloads()]
        self.peer.heard.clear()
        return lines

    def test_found(self) -> None:
        """An untagged request is answered in the group, with one location and no tag."""
        self.towards = {TWO: ONE}.__getitem__
        self.say("rack-7;20;x")
        (payload,) = self.peer.payloads()[1:]
        reply = decode(payload)
        assert isinstance(reply, FoundReply)
        self.assertEqual((reply.locations, reply.tag), ((HELD,), None))

    def test_not_found(self) -> None:
        """So is one for what is not here."""
        self.towards = {TWO: ONE}.__getitem__
        self.say("rack-7;20;y\n")
        self.assertEqual(self.heard()[1:], ["22;y"])

    def test_supernodes(self) -> None:
        """They too can find supernodes, with the message that they know."""
        self.towards = {TWO: ONE}.__getitem__
        self.say("rack-7;20;supernode")
        self.assertEqual(self.heard()[1:], [f"21;{ONE}:5000"])

    def test_leaves_towards_the_peer(self) -> None:
        """The answer leaves through the interface that leads to whoever asked, and no other."""
        self.towards = {TWO: ONE}.__getitem__
        mark = len(self.network.sent)
        self.say("rack-7;20;x")
        answers = self.network.sent[mark + 1 :]
        self.assertEqual([(one.interface, one.destination) for one in answers], [(ONE, GROUP)])

    def test_leaves_everywhere(self) -> None:
        """Where none of ours leads there it leaves through all of them."""
        self.towards = {TWO: "172.16.0.1"}.__getitem__
        mark = len(self.network.sent)
        self.say("rack-7;20;x")
        answers = self.network.sent[mark + 1 :]
        self.assertEqual(
            [(one.interface, one.destination) for one in answers],
            [(ONE, GROUP), ("127.0.0.1", GROUP)],
        )

    def search(self, *ids: str) -> list[Deferred[tuple[str, ...]]]:
        """Searches, which in the end may fail, as does one that can't be decided."""
        found = [self.overlay.search(id) for id in ids]
        self.network.deliver()
        for one in found:
            self.addCleanup(one.addErrback, lambda failure: failure.trap(Unavailable))
        return found

    def limited(self) -> None:
        """Have another overlay, made after the limits were, that knows the peer."""
        self.overlay = self.supernode(THREE, {}, self.confirms)
        self.settle()
        self.say("rack-7;22;whatever")

    def undecided(self, search: Deferred[tuple[str, ...]], id: str) -> None:
        """The search has failed, and the next one for that is not told that nobody has it."""
        self.failureResultOf(search, Unavailable)
        (again,) = self.search(id)
        self.assertNoResult(again)

    def test_found_for_the_only_search(self) -> None:
        """While we search for one thing, an untagged found is believed, and nobody is asked."""
        search = self.overlay.search("y")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(search), (HELD,))
        self.assertEqual(self.asked, [])

    def test_found_for_both(self) -> None:
        """So it is for both kinds of a search for one thing."""
        one, all_ = self.overlay.search("y"), self.overlay.search_all("y")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(one), (HELD,))
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(all_), (HELD,))
        self.assertEqual(self.asked, [])

    def test_found_for_one_of_several(self) -> None:
        """While we search for several, the location is asked first what it has."""
        y, z = self.search("y", "z")
        self.answers = {"y": Deferred(), "z": Deferred()}
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD_DELAY)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        self.assertNoResult(y)
        self.answers["y"].callback(False)
        self.answers["z"].callback(True)
        self.assertNoResult(y)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_likeliest_first(self) -> None:
        """What was asked for first is asked first, and what is denied meanwhile not at all."""
        y, *_ = self.search("y", "z", "v")
        self.answers = {"y": succeed(True)}
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        self.say("rack-7;22;z")
        self.network.advance(HOLD_DELAY)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "v")])

    def test_denied(self) -> None:
        """Who has said no to all but one of them has found that one, and nobody is asked."""
        y, z, v = self.search("y", "z", "v")
        self.say("rack-7;22;y")
        self.say("rack-7;22;v")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(z), (HELD,))
        self.assertNoResult(y)
        self.assertNoResult(v)
        self.assertEqual(self.asked, [])

    def test_denied_meanwhile(self) -> None:
        """Who says no while its location is asked doesn't have the search wait for that."""
        self.say("rack-7;22;whatever")
        y, z = self.search("y", "z")
        self.answers = {"y": Deferred(), "z": Deferred()}
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;y")
        self.assertEqual(self.successResultOf(y), ())
        self.assertNoResult(z)

    def test_begun_later(self) -> None:
        """A reply is not about what was asked for after it."""
        self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.search("v")
        self.network.advance(HOLD_DELAY)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])

    def test_confirmed_before(self) -> None:
        """What was confirmed within a second is believed at once for the searches that follow."""
        self.answers = {"y": succeed(True)}
        y, *_ = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        for _ in range(3):
            (y,) = self.search("y")
            self.search("v", "w")
            self.say(f"rack-7;21;{HELD}")
            self.assertEqual(self.successResultOf(y), (HELD,))
        self.assertEqual(self.asked, [(HELD, "y")])
        self.network.advance(ANSWER_MEMORY)
        self.answers = {"y": succeed(True)}
        (y,) = self.search("y")
        self.search("v")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        self.assertEqual(self.asked.count((HELD, "y")), 2)

    def test_confirmed_meanwhile(self) -> None:
        """A confirmation serves all searches for it that there are when it comes."""
        self.answers = {"y": Deferred()}
        self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        later = self.overlay.search_all("y")
        self.answers["y"].callback(True)
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(later), (HELD,))
        self.assertEqual(self.asked.count((HELD, "y")), 1)

    def test_location_that_can_not_be_asked(self) -> None:
        """A location that can't be asked is not believed, and has not said no either."""
        self.answers = {"y": fail(Unavailable("refused")), "z": succeed(False)}
        y, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(z), ())
        self.undecided(y, "y")

    def test_mistake_in_asking(self) -> None:
        """What goes wrong in asking is logged, and is no answer."""
        self.answers = {"y": fail(OSError("a mistake")), "z": succeed(False)}
        y, _ = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.network.advance(TIMEOUT)
        self.undecided(y, "y")

    def test_confirmed_late(self) -> None:
        """A search whose time is up waits for the location that is being asked."""
        for answer, found in ((True, (HELD,)), (False, ())):
            self.answers = {"y": Deferred(), "z": Deferred()}
            y, z = self.search("y", "z")
            self.say(f"rack-7;21;{HELD}")
            self.network.advance(TIMEOUT)
            self.assertNoResult(y)
            self.answers["y"].callback(answer)
            self.answers["z"].callback(False)
            self.assertEqual(self.successResultOf(y), found)
            self.assertEqual(self.successResultOf(z), ())
            self.network.advance(ANSWER_MEMORY)

    def test_held_to_the_end(self) -> None:
        """What could wait a moment is asked at once when there is no moment left."""
        self.say("rack-7;22;whatever")
        self.answers = {"z": succeed(True)}
        _, z = self.search("y", "z")
        self.network.advance(TIMEOUT - HOLD_DELAY / 2)
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.asked, [(HELD, "y")])
        self.network.advance(HOLD_DELAY / 2)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_no_longer(self) -> None:
        """It waits for no location that is named only then."""
        self.answers = {"y": Deferred(), "z": succeed(False)}
        y, _ = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.search("v")
        self.say(f"rack-7;21;{ALSO_HELD}")
        self.network.advance(HOLD_DELAY)
        self.assertNotIn((ALSO_HELD, "y"), self.asked)
        self.answers["y"].callback(False)
        self.assertEqual(self.successResultOf(y), ())

    def test_a_newcomer(self) -> None:
        """Where all whom it awaits have said no, a search waits for one nobody knew of."""
        self.say("rack-7;22;whatever")
        self.answers = {"y": Deferred(), "z": Deferred()}
        y, z = self.search("y", "z")
        self.say(f"rack-8;21;{HELD}")
        self.say("rack-7;22;y")
        self.say("rack-7;22;z")
        self.assertNoResult(y)
        self.answers["y"].callback(True)
        self.answers["z"].callback(False)
        self.assertEqual(self.successResultOf(y), (HELD,))
        self.assertEqual(self.successResultOf(z), ())

    def test_repeated_answer(self) -> None:
        """A second answer to a search that has ended is not taken for another search's."""
        (y,) = self.search("y")
        self.say(f"rack-7;21;{HELD}")
        self.assertEqual(self.successResultOf(y), (HELD,))
        (z,) = self.search("z")
        self.say(f"rack-7;21;{HELD}")
        self.assertNoResult(z)
        self.assertEqual(self.asked, [(HELD, "z")])
        self.say("rack-7;22;z")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(z), ())

    def test_who_tags(self) -> None:
        """Who answers us with tags answers others without them: no search of ours gets that."""
        other = self.supernode(THREE, {"x": [ALSO_HELD]})
        self.assertEqual(self.result(self.overlay.search("x")), (ALSO_HELD,))
        y = self.overlay.search("y")
        self.network.losing = 1_000  # So that its no is still to come.
        self.network.deliver()
        self.network.losing = 0
        self.towards = {TWO: THREE}.__getitem__
        self.overlays.remove(self.overlay)
        self.assertTrue(other.running)
        self.say("rack-7;20;x")
        self.assertNoResult(y)
        self.overlays.append(self.overlay)

    def test_read_first(self) -> None:
        """What has come while the process stood still is read before a search is given up."""
        self.say("rack-7;22;whatever")
        (y,) = self.search("y")
        self.overlay_host.callLater(TIMEOUT, self.say, f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(y), (HELD,))

    # -- where a limit stops it, nobody is told that nobody has it

    def test_confirmations_are_bounded(self) -> None:
        """A flood of untagged replies has no more than so many locations asked at once."""
        self.patch(confirm_limiter, "CONFIRMATIONS_MAX", 3)
        self.answers = {"y": Deferred(), "z": Deferred()}
        y, z = self.search("y", "z")
        for number in range(1, 20):
            self.answers = {"y": Deferred(), "z": Deferred()}
            self.say(f"rack-7;21;10.9.0.{number}:80")
        self.assertEqual(len(self.asked), 3)
        self.network.advance(TIMEOUT)
        self.assertEqual(len(self.asked), 3)
        self.undecided(z, "z")
        self.assertNoResult(y)

    def test_confirmations_make_room(self) -> None:
        """One that was answered makes room for the next, though the answer was no answer."""
        self.patch(confirm_limiter, "CONFIRMATIONS_MAX", 1)
        first, second = Deferred[bool](), Deferred[bool]()
        self.answers = {"y": first, "z": second}
        _, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD_DELAY)
        self.assertEqual(self.asked, [(HELD, "y")])
        first.errback(Unavailable("gone"))
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        second.callback(True)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_needless_confirmations_make_room(self) -> None:
        """One whose answer no search needs any more is given up for the next."""
        self.patch(confirm_limiter, "CONFIRMATIONS_MAX", 1)
        given_up: list[Deferred[bool]] = []
        self.answers = {"y": Deferred(given_up.append), "z": succeed(True)}
        _, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;y")
        self.network.advance(HOLD_DELAY)
        self.assertEqual(given_up, [self.answers["y"]])
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_no_token(self) -> None:
        """A flood that has used up all that may be asked leaves what it hides undecided."""
        self.patch(confirm_limiter, "CONFIRM_BURST", 1)
        self.patch(confirm_limiter, "CONFIRM_RATE", 0.01)
        self.limited()
        y, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.asked, [(HELD, "y")])
        self.assertEqual(self.successResultOf(y), ())
        self.undecided(z, "z")

    def test_a_token_in_time(self) -> None:
        """What has to wait for a token is asked when there is one, while the search lasts."""
        self.patch(confirm_limiter, "CONFIRM_BURST", 1)
        self.patch(confirm_limiter, "CONFIRM_RATE", 5)
        self.limited()
        self.answers = {"z": succeed(True)}
        _, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        for _ in range(4):
            self.network.advance(0.1)
        self.assertEqual(self.successResultOf(z), (HELD,))

    def test_no_token_for_a_yes(self) -> None:
        """What is confirmed takes no token, so whoever has it is never held up."""
        self.patch(confirm_limiter, "CONFIRM_BURST", 1)
        self.patch(confirm_limiter, "CONFIRM_RATE", 0.01)
        self.limited()
        self.search("other")
        for number in range(20):
            self.answers[f"y{number}"] = succeed(True)
            (y,) = self.search(f"y{number}")
            self.say("rack-7;22;other")
            self.say(f"rack-7;21;{HELD}")
            self.assertEqual(self.successResultOf(y), (HELD,))

    def test_too_many_ids(self) -> None:
        """One reply has its location asked for so many ids; what is left is undecided."""
        self.patch(untagged_replies, "CANDIDATES_MAX", 2)
        y, _, v = self.search("y", "z", "v")
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;y")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        self.assertEqual(self.successResultOf(y), ())
        self.undecided(v, "v")

    def test_too_many_doubts(self) -> None:
        """So many replies are kept in mind for a search; with more of them it is undecided."""
        self.patch(search, "DOUBTS_MAX", 2)
        self.answers = {"y": Deferred(), "z": Deferred()}
        y, _ = self.search("y", "z")
        for number in range(1, 6):
            self.say(f"rack-7;21;10.9.0.{number}:80")
        self.network.advance(TIMEOUT)
        self.assertEqual(len(self.asked), 4)
        self.answers["y"].callback(False)
        self.undecided(y, "y")

    def test_no_room_to_wait(self) -> None:
        """Where no more can wait, what it hides is undecided, unless its peer says no."""
        self.patch(confirm_limiter, "WAITING_MAX", 1)
        self.limited()
        _, z, v = self.search("y", "z", "v")
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;v")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.successResultOf(v), ())
        self.undecided(z, "z")

    def test_asked_once_a_second(self) -> None:
        """A location that was asked for an id is asked for it again a second later, not before."""
        self.search("y", "z")
        for _ in range(3):
            self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.assertEqual(self.asked, [(HELD, "y"), (HELD, "z")])
        self.network.advance(ANSWER_MEMORY)
        self.search("v", "y")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD_DELAY)
        self.assertEqual(self.asked[2:], [(HELD, "v"), (HELD, "y")])

    def test_answers_aloud_are_bounded(self) -> None:
        """Of a flood of untagged requests only so many are answered; tagged ones all are."""
        self.patch(responder, "UNTAGGED_TOTAL_BURST", 2)
        self.overlay = self.supernode(THREE, {"x": [HELD]})
        self.settle()
        self.towards = {TWO: THREE}.__getitem__
        mark = len(self.network.sent)
        for _ in range(5):
            self.say("rack-7;20;x")
            self.say("rack-7#tag;20;x")
        replies = [one for one in self.network.sent[mark:] if one.source[0] == THREE]
        aloud = [one for one in replies if one.destination == GROUP]
        self.assertEqual((len(aloud), len(replies) - len(aloud)), (2, 5))
        self.network.advance(1 / responder.UNTAGGED_TOTAL_RATE)
        mark = len(self.network.sent)
        self.say("rack-7;20;x")
        self.assertIn(THREE, [one.source[0] for one in self.network.sent[mark:]])
        self.assertEqual(self.overlay.log.excess, 3)

    def test_answers_aloud_are_shared(self) -> None:
        """One address that floods it with untagged requests leaves others their answers."""
        self.patch(responder, "UNTAGGED_TOTAL_BURST", 3)
        self.patch(responder, "UNTAGGED_BURST", 2)
        self.supernode(THREE, {"x": [HELD]})
        self.settle()
        other = make_peer(self.network.host(FOUR), GROUP, FOUR)
        self.towards = lambda host: THREE
        mark = len(self.network.sent)
        for _ in range(5):
            self.say("rack-7;20;x")
        flooded = len(self.network.sent)
        other.send(b"rack-8;20;x", GROUP)
        self.network.deliver()
        sent = self.network.sent[mark:flooded], self.network.sent[flooded:]
        replies = [sum(one.source[0] == THREE for one in some) for some in sent]
        self.assertEqual(replies, [2, 1])

    def test_stop_while_confirming(self) -> None:
        """Stopping gives up the locations that are being asked."""
        cancelled: list[Deferred[bool]] = []
        self.search("y", "z")
        self.answers = {"y": Deferred(cancelled.append), "z": Deferred(cancelled.append)}
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(HOLD_DELAY)
        self.overlays.remove(self.overlay)
        self.overlay.stopService()
        self.network.advance(0)
        self.assertEqual(set(cancelled), set(self.answers.values()))

    def test_nobody_to_confirm(self) -> None:
        """One that can't ask, as a node's overlay, believes none of them."""
        overlay = self.make(self.network.host(THREE), Holdings(f"{THREE}:5000", {}))
        self.start(overlay)
        self.settle()
        self.say("rack-7;22;whatever")
        self.overlay = overlay
        y, z = self.search("y", "z")
        self.say(f"rack-7;21;{HELD}")
        self.network.advance(TIMEOUT)
        self.undecided(y, "y")
        self.undecided(z, "z")

    def test_not_found_by_id(self) -> None:
        """An untagged no counts for the search for its id."""
        self.say("rack-7;22;whatever")
        y, z = self.overlay.search("y"), self.overlay.search("z")
        self.say("rack-7;22;z")
        self.assertNoResult(y)
        self.assertEqual(self.successResultOf(z), ())

    def test_unasked_replies(self) -> None:
        """Replies to other programs' searches, which all of the group hear, change nothing."""
        mark = len(self.network.sent)
        self.say(f"rack-7;21;{HELD}")
        self.say("rack-7;22;z")
        self.assertEqual(self.asked, [])
        self.assertEqual(len(self.network.sent[mark:]), 2)

    def test_name_that_begins_like_ours(self) -> None:
        """A peer whose name only begins as ours does is not taken for us."""
        self.towards = {TWO: ONE}.__getitem__
        overlay = self.make(
            self.network.host(THREE), Holdings(f"{THREE}:5000", {"z": [HELD]}), name="rack"
        )
        self.start(overlay)
        self.towards = {TWO: THREE}.__getitem__
        self.heard()
        self.say("rack-7;20;z")
        self.assertIn(f"21;{HELD}", self.heard())
        self.say("rack;20;z")
        self.assertNotIn(f"21;{HELD}", self.heard())

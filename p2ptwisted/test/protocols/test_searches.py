"""Tests for `p2ptwisted.protocols.searches`."""

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import SUPERNODE_ID
from p2ptwisted.protocols import search as search_module
from p2ptwisted.protocols import searches as module
from p2ptwisted.protocols.datagrams import FoundReply, Message, NotFoundReply, SearchRequest
from p2ptwisted.protocols.search import GATHERED_MAX, GATHERED_SHARE, Search
from p2ptwisted.protocols.searches import Searches

NAME = "11111111-1111-4111-8111-111111111111"
PEER = "22222222-2222-4222-8222-222222222222"
OTHER = "33333333-3333-4333-8333-333333333333"
HERE, THERE = "10.0.0.1:8000", "10.0.0.2:8000"


class SearchesTestCase(SynchronousTestCase):
    """A supernode's searches, with a timeout of 0.5 s."""

    def setUp(self) -> None:
        self.searches = Searches(NAME, 0.5)

    def begin(self, id: str = "a", everyone: bool = False, now: float = 0.0) -> Search:
        search = self.searches.begin(id, everyone, now)
        assert search is not None
        return search

    def hear(self, *names: str, now: float = 0.0) -> None:
        """These supernodes have been heard of."""
        for name in names:
            self.searches.heard(SearchRequest(name, "whatever"), now)


class BeginningTests(SearchesTestCase):
    """What a search is at its start, and which are one and the same."""

    def test_tag(self) -> None:
        """Every search has a tag of its own, of at least 48 random bits."""
        tags = {self.begin(str(number)).tag for number in range(100)}
        self.assertEqual(len(tags), 100)
        for tag in tags:
            self.assertGreaterEqual(len(bytes.fromhex(tag)) * 8, 48)

    def test_single_flight(self) -> None:
        """A question that is under way is joined; another one, or for all holders, is not."""
        search = self.begin("a")
        self.assertIs(self.searches.joined("a", False), search)
        self.assertIsNone(self.searches.joined("b", False))
        self.assertIsNone(self.searches.joined("a", True))

    def test_nothing_to_join_after_the_end(self) -> None:
        """A search that has ended is not joined any more."""
        search = self.begin("a")
        self.searches.end(search, 0.1)
        self.assertIsNone(self.searches.joined("a", False))

    def test_length(self) -> None:
        """The searches under way can be counted."""
        first, _ = self.begin("a"), self.begin("b")
        self.assertEqual(len(self.searches), 2)
        self.searches.end(first, 0.1)
        self.assertEqual(len(self.searches), 1)

    def test_lonely(self) -> None:
        """While nobody else has been heard of, a search takes 0.1 s."""
        self.assertEqual(self.begin("a").timeout, 0.1)
        self.hear(PEER)
        self.assertEqual(self.begin("b").timeout, 0.5)

    def test_lonely_with_a_shorter_timeout(self) -> None:
        """A timeout of less than 0.1 s stays what it is."""
        search = Searches(NAME, 0.02).begin("a", False, 0.0)
        assert search is not None
        self.assertEqual(search.timeout, 0.02)

    def test_lonely_again(self) -> None:
        """A supernode that has not been heard for a minute is not waited for."""
        self.hear(PEER, now=0.0)
        self.assertEqual(self.begin("a", now=59.9).awaited, {PEER})
        search = self.begin("b", now=60.0)
        self.assertEqual(search.awaited, set())
        self.assertEqual(search.timeout, 0.1)


class PeersTests(SearchesTestCase):
    """Who counts as a supernode, and for how long."""

    def heard_as_peer(self, message: Message) -> bool:
        self.searches.heard(message, 0.0)
        return message.name in self.searches.peers(0.0)

    def test_who_asks(self) -> None:
        """Whoever asks for a resource is one, an older peer with any name included."""
        self.assertTrue(self.heard_as_peer(SearchRequest("rack-7", "a")))
        self.assertTrue(self.heard_as_peer(SearchRequest(PEER, "a", "tag")))

    def test_who_answers(self) -> None:
        """Whoever answers is one."""
        self.assertTrue(self.heard_as_peer(FoundReply("rack-7", (HERE,))))
        self.assertTrue(self.heard_as_peer(NotFoundReply("rack-8", "a", "tag")))

    def test_who_looks_for_supernodes(self) -> None:
        """Supernodes do that too, under a UUID; a node does under a name that isn't one."""
        self.assertTrue(self.heard_as_peer(SearchRequest(PEER, SUPERNODE_ID, "tag")))
        self.assertTrue(self.heard_as_peer(SearchRequest(str(uuid.uuid4()).upper(), SUPERNODE_ID)))
        for name in ["node", f"node-{PEER}", f"{PEER}x", PEER.replace("-", "")]:
            self.assertFalse(self.heard_as_peer(SearchRequest(name, SUPERNODE_ID, "tag")), name)

    def test_memory(self) -> None:
        """A supernode is remembered for 60 s from the last that was heard of it."""
        self.hear(PEER, OTHER, now=0.0)
        self.hear(PEER, now=30.0)
        self.assertEqual(self.searches.peers(59.9), [OTHER, PEER])
        self.assertEqual(self.searches.peers(60.0), [PEER])
        self.assertEqual(self.searches.peers(90.0), [])

    def test_bound(self) -> None:
        """A flood of made-up names pushes out the oldest, and nothing grows."""
        for number in range(module.PEERS_MAX + 10):
            self.hear(f"p{number}")
        peers = self.searches.peers(0.0)
        self.assertEqual(len(peers), module.PEERS_MAX)
        self.assertEqual(peers[0], "p10")


class EndingTests(SearchesTestCase):
    """When a search is over."""

    def test_too_many_to_await(self) -> None:
        """Where more supernodes are known than can be awaited, noes end nothing."""
        self.patch(module, "AWAITED_MAX", 2)
        self.hear("p0", "p1")
        few = self.begin("a")
        self.hear("p2")
        many = self.begin("b")
        self.assertEqual((len(few.awaited), len(many.awaited)), (2, 0))
        for name in ("p0", "p1", "p2"):
            self.searches.not_found(NotFoundReply(name, "a"))
            self.searches.not_found(NotFoundReply(name, "b"))
        self.assertEqual((few.is_over, many.is_over, many.timeout), (True, False, 0.5))

    def test_first_found(self) -> None:
        """The first found ends a search, whoever else has yet to answer."""
        self.hear(PEER, OTHER)
        search = self.begin("a")
        self.assertFalse(search.is_over)
        self.assertIs(self.searches.found(FoundReply(PEER, (HERE, THERE), search.tag)), search)
        self.assertTrue(search.is_over)
        self.assertEqual(list(search.locations), [HERE, THERE])

    def test_all_not_found(self) -> None:
        """A search is over when every supernode that was known at its start has said no."""
        self.hear(PEER, OTHER)
        search = self.begin("a")
        self.assertEqual(self.searches.not_found(NotFoundReply(PEER, "a", search.tag)), [search])
        self.assertFalse(search.is_over)
        self.searches.not_found(NotFoundReply(PEER, "a", search.tag))
        self.assertFalse(search.is_over)
        self.searches.not_found(NotFoundReply(OTHER, "a", search.tag))
        self.assertTrue(search.is_over)

    def test_everyone(self) -> None:
        """A search for all holders waits for all answers, of either kind, and gathers them."""
        self.hear(PEER, OTHER, "rack-7")
        search = self.begin("a", everyone=True)
        self.searches.found(FoundReply(PEER, (HERE,), search.tag))
        self.searches.not_found(NotFoundReply(OTHER, "a", search.tag))
        self.assertFalse(search.is_over)
        self.searches.found(FoundReply("rack-7", (THERE, HERE), search.tag))
        self.assertTrue(search.is_over)
        self.assertEqual(list(search.locations), [HERE, THERE])

    def test_nobody_known(self) -> None:
        """With nobody to wait for, a no ends nothing, for a yes can come from anybody."""
        search = self.begin("a")
        self.searches.not_found(NotFoundReply(PEER, "a", search.tag))
        self.assertFalse(search.is_over)
        self.searches.found(FoundReply(OTHER, (HERE,), search.tag))
        self.assertTrue(search.is_over)

    def test_newcomers_are_not_awaited(self) -> None:
        """A supernode that shows up during a search does not prolong it."""
        self.hear(PEER)
        search = self.begin("a")
        self.hear(OTHER)
        self.searches.not_found(NotFoundReply(PEER, "a", search.tag))
        self.assertTrue(search.is_over)

    def test_ends_once(self) -> None:
        """Of several reasons to end a search only the first counts."""
        search = self.begin("a")
        self.assertTrue(self.searches.end(search, 0.1))
        self.assertFalse(self.searches.end(search, 0.1))

    def test_repeated(self) -> None:
        """Until known supernodes have answered; of unknown ones as long as that brings more."""
        unknown = self.begin("a", everyone=True)
        self.assertTrue(unknown.should_repeat)
        unknown.mark_repeated()
        self.assertTrue(unknown.should_repeat)
        self.searches.found(FoundReply(PEER, (HERE,), unknown.tag))
        self.assertTrue(unknown.should_repeat)
        unknown.mark_repeated()
        self.assertFalse(unknown.should_repeat)
        self.searches.found(FoundReply(OTHER, (THERE,), unknown.tag))
        self.assertTrue(unknown.should_repeat)
        self.hear(PEER, OTHER)
        known = self.begin("b", everyone=True)
        self.searches.found(FoundReply(PEER, (HERE,), known.tag))
        known.mark_repeated()
        self.assertTrue(known.should_repeat)

    def test_locations_are_bounded(self) -> None:
        """One search gathers so many locations and no more."""
        search = self.begin("a", everyone=True)
        for number in range(GATHERED_MAX + 5):
            location = f"10.0.{number // 250}.{number % 250}:80"
            self.searches.found(FoundReply(PEER, (location,), search.tag))
        self.assertEqual(len(search.locations), GATHERED_MAX)

    def test_address_has_a_share(self) -> None:
        """Of one address it gathers a few, so that nobody's ports push out the others."""
        search = self.begin("a", everyone=True)
        for number in range(1_000):
            self.searches.found(FoundReply(PEER, (f"10.0.0.1:{number + 1}",), search.tag))
        self.searches.found(FoundReply(OTHER, (THERE,), search.tag))
        self.assertEqual(len(search.locations), GATHERED_SHARE + 1)
        self.assertIn(THERE, search.locations)


class TagTests(SearchesTestCase):
    """A tag is a reply's only ticket."""

    def test_found_by_tag(self) -> None:
        """With several searches under way, a tagged reply reaches its own."""
        first, second = self.begin("a"), self.begin("b")
        self.assertIs(self.searches.found(FoundReply(PEER, (HERE,), second.tag)), second)
        self.assertEqual(list(first.locations), [])

    def test_unknown_tag(self) -> None:
        """A reply with an unknown tag is dropped, though only one search is under way."""
        search = self.begin("a")
        self.assertIsNone(self.searches.found(FoundReply(PEER, (HERE,), "0" * 16)))
        self.assertEqual(self.searches.not_found(NotFoundReply(PEER, "a", "0" * 16)), [])
        self.assertEqual(list(search.locations), [])

    def test_tag_of_an_ended_search(self) -> None:
        """A reply that comes too late is dropped."""
        search = self.begin("a")
        self.searches.end(search, 0.1)
        self.assertIsNone(self.searches.found(FoundReply(PEER, (HERE,), search.tag)))
        self.assertEqual(list(search.locations), [])

    def test_not_found_of_another_id(self) -> None:
        """A tagged no has to be about the id that was asked for."""
        self.hear(PEER)
        search = self.begin("a")
        self.assertEqual(self.searches.not_found(NotFoundReply(PEER, "b", search.tag)), [])
        self.assertFalse(search.is_over)


class UntaggedTests(SearchesTestCase):
    """Replies of programs that know the three lines only."""

    def only(self, name: str = "rack-7", now: float = 0.0) -> list[Search]:
        """What an untagged found of that peer can only be about."""
        return self.searches.only_candidates(name, now)

    def test_only_search(self) -> None:
        """While there is exactly one search, an untagged found can only be about that."""
        search = self.begin("a")
        self.assertEqual(self.only(), [search])

    def test_both_kinds(self) -> None:
        """The two kinds of a search for one thing are both answered by it."""
        both = [self.begin("a"), self.begin("a", everyone=True)]
        self.assertEqual(self.only(), both)

    def test_one_of_several(self) -> None:
        """While there are several, nothing tells which it is about, but who said no to which."""
        first, second = self.begin("a"), self.begin("b")
        self.assertEqual(self.only(), [])
        self.assertEqual(list(self.searches.candidates("rack-7")), [first, second])
        self.searches.not_found(NotFoundReply("rack-7", "a"))
        self.assertEqual(self.only(), [second])
        self.assertEqual(self.only("rack-8"), [])

    def test_none(self) -> None:
        """With no search under way it is about somebody else's."""
        self.assertEqual(self.only(), [])

    def test_our_own_call_does_not_count(self) -> None:
        """The regular search for supernodes makes no difference, and is never answered by it."""
        self.begin(SUPERNODE_ID, everyone=True)
        self.assertEqual(self.only(), [])
        search = self.begin("a")
        self.assertEqual(self.only(), [search])

    def test_one_again(self) -> None:
        """When other searches have ended, it may be a late answer to them, for a second."""
        first, second = self.begin("a"), self.begin("b")
        self.searches.end(first, 0.1)
        self.assertEqual(self.only(now=0.1 + module.LATE - 0.01), [])
        self.assertEqual(self.only(now=0.1 + module.LATE), [second])

    def test_late_no(self) -> None:
        """Who says no to a search that has ended, has not answered that one."""
        first, second = self.begin("a"), self.begin("b")
        self.searches.end(first, 0.1)
        self.searches.not_found(NotFoundReply("rack-7", "a"))
        self.assertEqual(self.only(now=0.2), [second])

    def test_asked_again(self) -> None:
        """That the same was searched for a moment ago makes no difference."""
        self.searches.end(self.begin("a"), 0.1)
        again = self.begin("a")
        self.assertEqual(self.only(now=0.2), [again])

    def test_who_tags(self) -> None:
        """Who has answered with a tag of ours says nothing to us without one."""
        first, second = self.begin("a"), self.begin("b")
        self.searches.not_found(NotFoundReply(PEER, "a", first.tag))
        self.searches.found(FoundReply(OTHER, (HERE,), second.tag))
        self.searches.found(FoundReply("rack-7", (HERE,), "a tag of nobody's"))
        for name, answers in ((PEER, 0), (OTHER, 0), ("rack-7", 2)):
            self.assertEqual(len(list(self.searches.candidates(name))), answers)

    def test_ended_are_bounded(self) -> None:
        """So many searches that have ended are remembered, and so many peers that tag."""
        self.patch(module, "ENDED_MAX", 2)
        self.patch(module, "PEERS_MAX", 2)
        self.searches = Searches(NAME, 0.5)
        search = self.begin("it")
        for id in "abc":
            self.searches.end(self.begin(id), 0.0)
        for id in "bc":
            self.searches.not_found(NotFoundReply("rack-7", id))
        self.assertEqual(self.only(), [search])
        for name in (PEER, OTHER, NAME):
            self.searches.found(FoundReply(name, (HERE,), search.tag))
        self.assertEqual(list(self.searches.candidates(PEER)), [search])
        self.assertEqual(list(self.searches.candidates(OTHER)), [])

    def test_not_found_by_id(self) -> None:
        """An untagged no counts for every search for its id and for no other."""
        self.hear("rack-7")
        one, all_, other = self.begin("a"), self.begin("a", everyone=True), self.begin("b")
        self.assertEqual(self.searches.not_found(NotFoundReply("rack-7", "a")), [one, all_])
        self.assertEqual([s.is_over for s in (one, all_, other)], [True, True, False])

    def test_confirmed(self) -> None:
        """A location that was asked is credited to every search for the id that it has."""
        self.hear("rack-7")
        one, all_, other = self.begin("a"), self.begin("a", everyone=True), self.begin("b")
        for search in (one, all_, other):
            search.doubt(HERE, "rack-7")
        self.assertEqual(self.searches.confirmed("a", HERE, True), [one, all_])
        self.assertEqual([list(s.locations) for s in (one, all_, other)], [[HERE], [HERE], []])
        self.assertEqual([s.is_over for s in (one, all_, other)], [True, True, False])
        self.assertEqual(
            [self.searches.is_in_doubt(s) for s in (one, all_, other)], [False, False, True]
        )

    def test_refuted(self) -> None:
        """One that hasn't got it leaves no doubt; who named it has yet to say no."""
        self.hear("rack-7")
        search = self.begin("a")
        search.doubt(HERE, "rack-7")
        self.searches.confirmed("a", HERE, False)
        self.assertFalse(self.searches.is_in_doubt(search))
        self.assertFalse(search.is_over)

    def test_confirmed_too_late(self) -> None:
        """A confirmation for a search that has ended is nobody's."""
        self.searches.end(self.begin("a"), 0.1)
        self.assertEqual(self.searches.confirmed("a", HERE, True), [])

    def test_unchecked(self) -> None:
        """What nobody could look into leaves in doubt what was searched for then, but for a no."""
        before, call = self.begin("a", now=1.0), self.begin(SUPERNODE_ID, now=1.0)
        self.searches.unchecked("rack-7", 2.0)
        after = self.begin("b", now=3.0)
        doubts = [self.searches.is_in_doubt(search) for search in (before, after, call)]
        self.assertEqual(doubts, [True, False, False])
        self.searches.not_found(NotFoundReply("rack-7", "a"))
        self.assertFalse(self.searches.is_in_doubt(before))

    def test_unchecked_is_bounded(self) -> None:
        """Of many such peers the first are forgotten, and then no no of theirs is enough."""
        self.patch(module, "PEERS_MAX", 2)
        search = self.begin("a", now=1.0)
        for name in ("p0", "p1", "p2"):
            self.searches.unchecked(name, 2.0)
            self.searches.not_found(NotFoundReply(name, "a"))
        self.assertTrue(self.searches.is_in_doubt(search))
        self.assertFalse(self.searches.is_in_doubt(self.begin("b", now=3.0)))

    def test_noes_are_bounded(self) -> None:
        """A flood of noes by made-up names is remembered no further than that."""
        for patched in (search_module, module):
            self.patch(patched, "DENIED_MAX", 2)
        search = self.begin("a")
        for number in range(5):
            self.searches.not_found(NotFoundReply(f"p{number}", "a"))
        self.assertEqual(len(search.denied), 2)

    def test_late_noes(self) -> None:
        """Noes to what ended long ago are not remembered, whatever else is searched for or not."""
        search = self.begin("a")
        self.searches.end(search, 0.0)
        for number in range(5):
            message = NotFoundReply(f"p{number}", "a")
            self.searches.heard(message, 2.0)
            self.searches.not_found(message)
        self.assertEqual(search.denied, set())


class MissesTests(SearchesTestCase):
    """The memory of what nobody has."""

    def test_remembered_for_a_second(self) -> None:
        """What was not found just now need not be asked again; a second later it must."""
        self.assertFalse(self.searches.is_known_miss("a", 0.0))
        self.searches.end(self.begin("a", now=0.0), 0.5)
        self.assertTrue(self.searches.is_known_miss("a", 0.5))
        self.assertTrue(self.searches.is_known_miss("a", 1.4))
        self.assertFalse(self.searches.is_known_miss("a", 1.5))

    def test_found_is_no_miss(self) -> None:
        """A search that found something leaves no miss."""
        search = self.begin("a")
        self.searches.found(FoundReply(PEER, (HERE,), search.tag))
        self.searches.end(search, 0.1)
        self.assertFalse(self.searches.is_known_miss("a", 0.1))

    def test_found_since(self) -> None:
        """What is found ends the memory of a miss that came first."""
        one, all_ = self.begin("a"), self.begin("a", everyone=True)
        self.searches.end(one, 0.1)
        self.searches.found(FoundReply(PEER, (HERE,), all_.tag))
        self.searches.end(all_, 0.1)
        self.assertFalse(self.searches.is_known_miss("a", 0.1))

    def test_doubtful_is_no_miss(self) -> None:
        """A search that ended for want of a confirmation leaves no miss."""
        search = self.begin("a")
        search.doubt(HERE, "rack-7")
        self.searches.end(search, 0.1)
        self.assertFalse(self.searches.is_known_miss("a", 0.1))

    def test_supernodes_are_never_missed(self) -> None:
        """A supernode that starts must be found by the next who looks, so that isn't remembered."""
        self.searches.end(self.begin(SUPERNODE_ID, everyone=True), 0.1)
        self.assertFalse(self.searches.is_known_miss(SUPERNODE_ID, 0.1))

    def test_bound(self) -> None:
        """A flood of unknown ids pushes out the oldest misses, and nothing grows."""
        self.patch(module, "MISSES_MAX", 3)
        self.searches = Searches(NAME, 0.5)
        for id in "abcd":
            self.searches.end(self.begin(id), 0.1)
        self.assertEqual(
            [self.searches.is_known_miss(id, 0.1) for id in "abcd"], [False, True, True, True]
        )

    def test_missed_again(self) -> None:
        """What is missed again counts from then, also for what is pushed out first."""
        self.patch(module, "MISSES_MAX", 2)
        self.searches = Searches(NAME, 0.5)
        for id, now in [("a", 0.0), ("b", 0.1), ("a", 1.0), ("c", 1.05)]:
            self.searches.end(self.begin(id, now=now), now)
        self.assertEqual(
            [self.searches.is_known_miss(id, 1.08) for id in "abc"], [True, False, True]
        )


class BoundsTests(SearchesTestCase):
    """How much is asked of the group."""

    def miss_until_refused(self, now: float) -> int:
        count = 0
        while (search := self.searches.begin(f"{now}-{count}", False, now)) is not None:
            self.searches.end(search, now)
            count += 1
        return count

    def test_flood_of_unknown_ids(self) -> None:
        """1,000 may find nothing at once, and 500 more every second; further ones are refused."""
        self.assertEqual(self.miss_until_refused(0.0), 1_000)
        self.assertEqual(self.miss_until_refused(1.0), 500)

    def test_found_costs_nothing(self) -> None:
        """A search that was answered gives its token back, so known ids are never refused."""
        for number in range(3_000):
            search = self.begin(str(number))
            self.searches.found(FoundReply(PEER, (HERE,), search.tag))
            self.searches.end(search, 0.0)
        self.assertEqual(self.miss_until_refused(0.0), 1_000)

    def test_searches_at_once(self) -> None:
        """So many are under way at once and no more; one that ends makes room."""
        self.patch(module, "SEARCHES_MAX", 3)
        first, _, _ = self.begin("a"), self.begin("b"), self.begin("c")
        self.assertIsNone(self.searches.begin("d", False, 0.0))
        self.searches.end(first, 0.0)
        self.begin("d")


class CreditTests(SearchesTestCase):
    """What no sequence of replies can do."""

    @settings(deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.builds(
                    FoundReply, st.sampled_from([PEER, OTHER]), st.just((HERE,)), st.just("t")
                ),
                st.builds(
                    NotFoundReply,
                    st.sampled_from([PEER, OTHER]),
                    st.just("a"),
                    st.just("t") | st.none(),
                ),
                st.builds(NotFoundReply, st.sampled_from([PEER, OTHER]), st.just("b"), st.none()),
            )
        )
    )
    def test_no_foreign_tag_gives_a_location(
        self, replies: list[FoundReply | NotFoundReply]
    ) -> None:
        """Whatever comes under tags that nobody gave out, a search for it finds nothing."""
        searches = Searches(NAME, 0.5)
        search = searches.begin("a", False, 0.0)
        assert search is not None
        for reply in replies:
            searches.heard(reply, 0.0)
            if isinstance(reply, FoundReply):
                searches.found(reply)
            else:
                searches.not_found(reply)
        self.assertEqual(search.locations, {})
        self.assertFalse(search.is_over)

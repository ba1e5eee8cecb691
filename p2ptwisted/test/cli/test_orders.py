"""Tests of `p2ptwisted.cli.orders`: orders to nodes that are slow, busy, old, or gone."""

from collections.abc import Sequence

from msgspec import UNSET
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import orders
from p2ptwisted.cli.orders import (
    CALLS_AT_ONCE,
    NAMES_LENGTH_MAX,
    POLL_INTERVAL,
    SILENCE_MAX,
    TIMES_ORDERED_MAX,
    UNDER_WAY_MAX,
    Lost,
    NodeOrders,
)
from p2ptwisted.client.api import Client
from p2ptwisted.client.order_client import TakenOrders
from p2ptwisted.client.transport import Refused
from p2ptwisted.errors import Unavailable
from p2ptwisted.model import ORDERS_MAX, DownloadStatus, Health, Order

LOCATION = "10.0.0.3:8000"


class Job:
    """A resource that is ordered, and what was heard of it."""

    def __init__(self, number: int, name: str = "name") -> None:
        self.order = Order(f"{number:064x}", name)
        self.states: list[str] = []
        self.error: Exception | None = None

    def take(self, status: DownloadStatus) -> None:
        self.states.append(status.state)

    def fail(self, error: Exception) -> None:
        self.error = error


class Node(Client):
    """A client of one node, which carries out `pace` fetches between two looks at them."""

    def __init__(self, clock: Clock) -> None:
        self._time = clock
        self.states: dict[str, str] = {}
        self.pace = 4
        #: How many it remembers as waiting, and whether it takes several orders at once.
        self.room = 1_000
        self.takes_several = True
        #: What its next calls raise; an order is taken all the same where `heard`.
        self.errors: list[Exception] = []
        self.always: Exception | None = None
        self.heard = False
        self.folder_problem = ""
        self.delay = 0.0
        #: The sizes of the requests, and how many were made at once, and most under way.
        self.ordered: list[int] = []
        self.asked: list[int] = []
        self.calls = self.most_calls = self.most_under_way = 0

    async def answer(self) -> None:
        self.calls += 1
        self.most_calls = max(self.most_calls, self.calls)
        await deferLater(self._time, self.delay)
        self.calls -= 1
        if self.always or self.errors:
            raise self.always or self.errors.pop(0)

    def begin(self, orders: Sequence[Order]) -> list[DownloadStatus]:
        taken = []
        for order in orders:
            if order.id not in self.states and self.under_way >= self.room:
                break
            if self.states.get(order.id) != "done":
                self.states[order.id] = "waiting"
            taken.append(self.status(order.id))
        self.most_under_way = max(self.most_under_way, self.under_way)
        return taken

    @property
    def under_way(self) -> int:
        return sum(state == "waiting" for state in self.states.values())

    def status(self, id: str) -> DownloadStatus:
        return DownloadStatus(id, self.states[id])

    async def order(self, location: str, id: str, name: str | None = None) -> DownloadStatus:
        self.ordered.append(1)
        await self.answer()
        taken = self.begin([Order(id, name)])
        if not taken:
            raise Refused(503, f"{self.room} fetches are waiting")
        return taken[0]

    async def order_all(self, location: str, orders: Sequence[Order]) -> TakenOrders:
        self.ordered.append(len(orders))
        if self.heard:
            self.begin(orders)
        await self.answer()
        if self.takes_several:
            return TakenOrders(self.begin(orders), True)
        return TakenOrders([await self.order(location, orders[0].id)], False)

    async def fetch_status(self, location: str, id: str) -> DownloadStatus:
        for found in await self.fetches(location, [id]):
            return found
        raise Refused(404, "it was not ordered")

    async def fetches(
        self, location: str, ids: Sequence[str] | None = None
    ) -> list[DownloadStatus]:
        assert ids is not None
        self.asked.append(len(ids))
        await self.answer()
        for id in [id for id, state in self.states.items() if state == "waiting"][: self.pace]:
            self.states[id] = "done"
        return [self.status(id) for id in ids if id in self.states]

    async def health(self, location: str) -> Health:
        return Health("nn3", 0, False, None, folder_problem=self.folder_problem or UNSET)


class OrdersTests(SynchronousTestCase):
    """One node's orders."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.node = Node(self.clock)
        self.room = DeferredSemaphore(CALLS_AT_ONCE)

    def begin(self, jobs: Sequence[Job]) -> "Deferred[Lost[Job] | None]":
        given = NodeOrders(self.clock, self.node, LOCATION, jobs, self.room)
        return Deferred.fromCoroutine(given.run())

    def carry_out(self, jobs: Sequence[Job], within: float = 3_600) -> Lost[Job] | None:
        """Have the orders given until they have all ended."""
        running = self.begin(jobs)
        while not running.called and self.clock.seconds() < within:
            self.clock.advance(POLL_INTERVAL / 5)
        return self.successResultOf(running)

    def many(self, count: int = 250) -> list[Job]:
        return [Job(number) for number in range(count)]

    def are_done(self, jobs: Sequence[Job]) -> None:
        self.assertEqual({(job.states[-1], job.error) for job in jobs}, {("done", None)})

    def test_many(self) -> None:
        """Hundreds take few calls, and no more are under way than one question can be about."""
        jobs = self.many()
        self.node.pace = 50
        self.assertIsNone(self.carry_out(jobs))
        self.are_done(jobs)
        self.assertLessEqual(UNDER_WAY_MAX, ORDERS_MAX)
        self.assertEqual(self.node.most_under_way, UNDER_WAY_MAX)
        self.assertLessEqual(max(self.node.ordered + self.node.asked), UNDER_WAY_MAX)
        self.assertLess(len(self.node.ordered) + len(self.node.asked), 20)

    def test_one(self) -> None:
        """What a node has already takes one call."""
        job = Job(1)
        self.node.states[job.order.id] = "done"
        self.assertIsNone(self.carry_out([job]))
        self.assertEqual((job.states, self.node.ordered, self.node.asked), (["done"], [1], []))

    def test_long_names(self) -> None:
        """Names that are too long for one request are in several."""
        jobs = [Job(number, "n" * (NAMES_LENGTH_MAX // 3)) for number in range(7)]
        self.assertIsNone(self.carry_out(jobs))
        self.are_done(jobs)
        self.assertEqual(self.node.ordered, [3, 3, 1])

    def test_earlier_version(self) -> None:
        """A node that takes one order at a time is ordered one by one."""
        self.node.takes_several = False
        jobs = self.many()
        self.assertIsNone(self.carry_out(jobs))
        self.are_done(jobs)
        self.assertEqual(set(self.node.ordered[1:]), {1})
        self.assertEqual(self.node.most_under_way, UNDER_WAY_MAX)

    def test_full(self) -> None:
        """Where others fill a node they wait in line, for as long as it takes."""
        self.node.room = 0
        jobs = self.many(3)
        running = self.begin(jobs)
        self.clock.pump([POLL_INTERVAL / 5] * 5_000)
        self.assertNoResult(running)
        self.node.room = 2
        self.clock.pump([POLL_INTERVAL / 5] * 50)
        self.assertIsNone(self.successResultOf(running))
        self.are_done(jobs)

    def test_busy(self) -> None:
        """A node that is too busy for a moment is asked again."""
        self.node.errors = [Refused(503, "busy"), Refused(429, "busy")]
        jobs = self.many(3)
        self.assertIsNone(self.carry_out(jobs))
        self.are_done(jobs)

    def test_always_busy(self) -> None:
        """One that stays so is given up after a while."""
        self.node.always = Refused(503, "busy")
        lost = self.carry_out(self.many(3))
        assert lost is not None
        self.assertEqual((str(lost.error), len(lost.jobs)), ("busy", 3))
        self.assertGreater(self.clock.seconds(), orders.BUSY_MAX - 1)

    def test_folder_gone(self) -> None:
        """One whose folder is gone refuses with the same status, and isn't waited for."""
        self.node.always = Refused(503, "the shared folder is gone")
        self.node.folder_problem = "the shared folder is gone"
        lost = self.carry_out(self.many(3), within=2)
        assert lost is not None
        self.assertIn("folder", str(lost.error))

    def test_unheard_answer(self) -> None:
        """An order whose answer is late is asked about, and not given again or called failed."""
        self.node.errors = [Unavailable("no answer in time")]
        self.node.heard = True
        jobs = self.many(50)
        self.assertIsNone(self.carry_out(jobs))
        self.are_done(jobs)
        self.assertEqual(self.node.ordered, [50])

    def test_lost_order(self) -> None:
        """One that never arrived is given again, also where it has failed there before."""
        self.node.errors = [Unavailable("no answer in time")]
        jobs = self.many(50)
        self.node.states[jobs[0].order.id] = "failed"
        self.assertIsNone(self.carry_out(jobs))
        self.are_done(jobs)
        self.assertEqual(self.node.ordered, [50, 50])

    def test_nobody_there(self) -> None:
        """Where nobody answers at all, that is found at once."""
        self.node.always = Unavailable("connection refused")
        jobs = self.many(3)
        lost = self.carry_out(jobs, within=1)
        assert lost is not None
        self.assertEqual(list(lost.jobs), jobs)
        self.assertEqual(str(lost.error), "connection refused")

    def test_restart(self) -> None:
        """A node that is started again is waited for, and ordered what it has forgotten."""
        self.node.pace = 1
        jobs = self.many(20)
        running = self.begin(jobs)
        self.clock.pump([POLL_INTERVAL / 5] * 20)
        self.node.always = Unavailable("connection refused")
        self.node.states = {id: state for id, state in self.node.states.items() if state == "done"}
        self.clock.pump([POLL_INTERVAL / 5] * 100)
        self.node.always = None
        self.clock.pump([POLL_INTERVAL / 5] * 500)
        self.assertIsNone(self.successResultOf(running))
        self.are_done(jobs)

    def test_dies(self) -> None:
        """One that never comes back loses what it had not fetched, and that alone."""
        self.node.pace = 1
        jobs = self.many(20)
        running = self.begin(jobs)
        self.clock.pump([POLL_INTERVAL / 5] * 20)
        self.node.always = Unavailable("connection refused")
        self.clock.pump([POLL_INTERVAL / 5] * int(SILENCE_MAX / POLL_INTERVAL * 5 + 20))
        lost = self.successResultOf(running)
        assert lost is not None
        done = [job for job in jobs if job.states[-1] == "done"]
        self.assertGreater(len(done), 1)
        self.assertEqual({*done, *lost.jobs}, {*jobs})
        self.assertEqual(len(lost.jobs), len(jobs) - len(done))

    def test_forgetful(self) -> None:
        """One that forgets its orders again and again is given up, order by order."""
        job = Job(1)
        running = self.begin([job])
        for _ in range(100):
            self.node.states.clear()
            self.clock.advance(POLL_INTERVAL)
        self.assertIsNone(self.successResultOf(running))
        self.assertIn("forgets", str(job.error))
        self.assertEqual(len(self.node.ordered), TIMES_ORDERED_MAX)

    def test_not_for_us(self) -> None:
        """A node that takes no orders from here is asked once, however many there are."""
        self.node.always = Refused(403, "you call from 10.0.0.9")
        lost = self.carry_out(self.many())
        assert lost is not None
        self.assertEqual((len(lost.jobs), len(self.node.ordered)), (250, 1))

    def test_one_refused(self) -> None:
        """One order that is refused fails alone."""
        self.node.errors = [Refused(400, "all of them"), Refused(400, "this one")]
        jobs = self.many(5)
        self.assertIsNone(self.carry_out(jobs))
        self.assertEqual(str(jobs[0].error), "this one")
        self.are_done(jobs[1:])

    def test_calls_at_once(self) -> None:
        """Whatever the number of nodes, no more calls are made at once than there is room for."""
        self.node.delay = 0.1
        self.room = DeferredSemaphore(5)
        running = [self.begin([Job(number)]) for number in range(40)]
        self.clock.pump([0.05] * 1_000)
        self.assertEqual([self.successResultOf(one) for one in running], [None] * 40)
        self.assertEqual(self.node.most_calls, 5)

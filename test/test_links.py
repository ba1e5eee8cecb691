"""Tests for `simulation.links`: how flows share the links of hosts, and what faults do to them."""

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from simulation.clock import Time
from simulation.links import Flow, Link, Wire

#: Bytes a second, and of a chunk: so a link carries a thousand of them a second.
RATE, CHUNK = 1_000_000.0, 1_000.0

#: Seconds from one host to another.
DELAY = 0.001


class RecordedFlow(Flow):
    """A flow that records what becomes of it."""

    __slots__ = ("broken_at", "done_at")

    def __init__(self, sender: Link, receiver: Link, size: float = math.inf) -> None:
        super().__init__(sender, receiver, size)
        self.done_at = self.broken_at = math.inf
        self.start()

    def progressed(self, count: float) -> None:
        if self.is_over:
            self.done_at = self.sender.wire.time.now

    def broke_off(self) -> None:
        self.broken_at = self.sender.wire.time.now


def fair_rates(flows: list[Flow]) -> dict[Flow, float]:
    """The max-min fair rates, exactly: all grow alike, each until a link of its is full."""
    ends = [(flow.sender, "up") for flow in flows] + [(flow.receiver, "down") for flow in flows]
    left = {end: end[0].up_rate if end[1] == "up" else end[0].down_rate for end in ends}
    rates = dict.fromkeys(flows, 0.0)
    growing = list(flows)
    while growing:
        count = dict.fromkeys(left, 0)
        for flow in growing:
            count[flow.sender, "up"] += 1
            count[flow.receiver, "down"] += 1
        used = {end: number for end, number in count.items() if number}
        step = min(left[end] / number for end, number in used.items())
        for end, number in used.items():
            left[end] -= step * number
        for flow in growing:
            rates[flow] += step
        full = {end for end in used if left[end] < 1e-6 * RATE}
        growing = [
            flow
            for flow in growing
            if (flow.sender, "up") not in full and (flow.receiver, "down") not in full
        ]
    return rates


class LinksCase(SynchronousTestCase):
    """Links that all have one rate, unless a test says otherwise."""

    def setUp(self) -> None:
        self.time = Time()
        self.wire = Wire(self.time, CHUNK, DELAY)

    def link(self, up: float = RATE, down: float = RATE) -> Link:
        return Link(self.wire, up, down)

    def rates(self, flows: list[Flow], seconds: float = 1.0) -> list[float]:
        """Bytes a second that have come of each, once all have settled."""
        self.time.run_until(self.time.now + 0.2)
        before = [flow.come for flow in flows]
        self.time.run_until(self.time.now + seconds)
        return [(flow.come - was) / seconds for flow, was in zip(flows, before, strict=True)]


class SharingTests(LinksCase):
    """Which rate each flow gets."""

    def test_alone(self) -> None:
        """A flow alone gets the rate of the slower of its two links."""
        for up, down in [(RATE, RATE), (RATE / 3, RATE), (RATE, RATE / 3)]:
            flow = RecordedFlow(self.link(up), self.link(down=down), 100 * CHUNK)
            began = self.time.now
            self.time.run_until(began + 1.0)
            self.assertLessEqual(abs(flow.done_at - began - 100 * CHUNK / min(up, down)), 0.01)

    def test_leftover(self) -> None:
        """What a flow that is bound at its other end leaves over, the others of its link get."""
        sender, slow, fast = self.link(), self.link(down=RATE / 10), self.link()
        rates = self.rates([RecordedFlow(sender, slow), RecordedFlow(sender, fast)])
        self.assertLessEqual(abs(rates[0] - 0.1 * RATE), 0.01 * RATE)
        self.assertLessEqual(abs(rates[1] - 0.9 * RATE), 0.01 * RATE)
        receiver = self.link()
        rates = self.rates(
            [RecordedFlow(self.link(RATE / 10), receiver), RecordedFlow(self.link(), receiver)]
        )
        self.assertLessEqual(abs(rates[0] - 0.1 * RATE), 0.01 * RATE)
        self.assertLessEqual(abs(rates[1] - 0.9 * RATE), 0.01 * RATE)

    def test_fair(self) -> None:
        """
        Among any hosts and flows the rates are close to max-min fair ones: by 3 % in the mean,
        each by 25 % at the most; and each flow has a link that is full.
        """
        all_wrong = []
        for seed in range(20):
            random = Random(seed)
            shares = (0.2, 0.5, 1.0)
            links = [
                self.link(RATE * random.choice(shares), RATE * random.choice(shares))
                for _ in range(random.randint(3, 20))
            ]
            flows: list[Flow] = [
                RecordedFlow(sender, receiver)
                for _ in range(random.randint(2, 6) * len(links))
                for sender, receiver in [random.sample(links, 2)]
            ]
            exact = fair_rates(flows)
            measured = dict(zip(flows, self.rates(flows, 5.0), strict=True))
            wrong = [abs(measured[flow] / exact[flow] - 1) for flow in flows]
            self.assertLess(max(wrong), 0.25, f"seed {seed}")
            all_wrong += wrong
            for flow in flows:
                up = sum(measured[other] for other in flow.sender.sending) / flow.sender.up_rate
                down = sum(measured[other] for other in flow.receiver.receiving)
                down /= flow.receiver.down_rate
                self.assertLess(max(up, down), 1.01, f"seed {seed}")
                self.assertGreater(max(up, down), 0.97, f"seed {seed}")
            for flow in flows:
                flow.cancel()
        self.assertLess(sum(all_wrong) / len(all_wrong), 0.03)

    def test_counted(self) -> None:
        """Every byte is counted where it leaves and where it comes, content apart from the rest."""
        sender, receiver = self.link(), self.link()
        RecordedFlow(sender, receiver, 10.5 * CHUNK)
        sender.message(receiver, 300.0, lambda: None)
        self.time.run_until(1.0)
        self.assertEqual([sender.content_sent, receiver.content_received], [10.5 * CHUNK] * 2)
        self.assertEqual([sender.control_sent, receiver.control_received], [300.0] * 2)
        self.assertFalse(sender.sending or receiver.receiving)

    def test_messages(self) -> None:
        """A message takes its delay and its time on the link, and content as much longer."""
        sender, receiver = self.link(), self.link()
        arrived: list[float] = []
        sender.message(receiver, 0.1 * RATE, lambda: arrived.append(self.time.now))
        flow = RecordedFlow(sender, receiver, 0.5 * RATE)
        self.time.run_until(1.0)
        self.assertEqual([round(at, 6) for at in arrived], [DELAY + 0.1])
        self.assertLess(abs(flow.done_at - 0.6), 0.01)


class FaultTests(LinksCase):
    """What breaks off, stalls or is canceled, and what the others have of it."""

    def test_canceled(self) -> None:
        """What a canceled flow leaves over, the others get; nothing more comes of it."""
        sender = self.link()
        canceled, other = (RecordedFlow(sender, self.link(), RATE) for _ in range(2))
        self.time.run_until(1.0)
        canceled.cancel()
        come = canceled.come
        self.time.run_until(10.0)
        self.assertEqual((canceled.come, canceled.done_at), (come, math.inf))
        self.assertLess(abs(other.done_at - 1.5), 0.02)

    def test_broken(self) -> None:
        """A host whose connections break has no flow left, either way; others go on."""
        host, other = self.link(), self.link()
        flows = [RecordedFlow(host, other), RecordedFlow(other, host)]
        unharmed = RecordedFlow(other, self.link(), RATE)
        self.time.run_until(0.1)
        host.break_off()
        self.assertEqual([flow.broken_at for flow in flows], [0.1, 0.1])
        self.time.run_until(10.0)
        self.assertLess(unharmed.done_at, 1.2)

    def test_stalled(self) -> None:
        """A host that stalls sends and takes nothing, and goes on at its rate afterwards."""
        host = self.link()
        up = RecordedFlow(host, self.link(), RATE)
        down = RecordedFlow(self.link(), host, RATE)
        arrived: list[float] = []
        self.time.run_until(0.5)
        host.stall()
        self.link().message(host, 100.0, lambda: arrived.append(self.time.now))
        self.time.run_until(2.9)
        self.assertLess(max(up.come, down.come), 0.51 * RATE)
        self.time.run_until(3.0)
        host.resume()
        self.time.run_until(9.0)
        self.assertEqual(arrived, [3.0])
        for flow in (up, down):
            self.assertLess(abs(flow.done_at - 3.5), 0.02)

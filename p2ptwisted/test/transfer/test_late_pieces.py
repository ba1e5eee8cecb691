"""Tests of `p2ptwisted.transfer.piece_picker`: pieces that are late, and who is asked instead."""

from p2ptwisted.pieces import MIB
from p2ptwisted.test.transfer.picker_case import RATE, PickerCase
from p2ptwisted.transfer.piece_picker import (
    STALL_TIMEOUT,
    Neighbor,
    PiecePicker,
    Request,
)


class LateTests(PickerCase):
    """What is late."""

    def late(
        self, picker: PiecePicker, *, rate: int, sends: int = 0b1111
    ) -> tuple[Request, Neighbor]:
        """One neighbor sends, at that rate; another with the usual rate is idle."""
        other, idle = self.offer(picker, "other"), self.offer(picker, "idle")
        self.send(picker, self.request(picker, idle), 0)
        picker.distrust(idle, "so that the other is asked for everything")
        self.send(picker, self.request(picker, other), 1, rate=rate)
        request = self.request(picker, other)
        self.assertTrue(picker.started(request, sends << 2 & picker.missing, self.now))
        idle.distrusted = None
        picker.missing = sends << 2 & picker.missing
        return request, idle

    def test_on_time(self) -> None:
        """A piece that comes about as fast as another could send it is left alone."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE, sends=0b11)
        self.assertEqual(self.ask(picker, idle), [])

    def test_slow(self) -> None:
        """Of a slow neighbor's run, a faster one that is idle gets the last piece alone."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 10)
        request = self.request(picker, idle)
        self.assertEqual((request.asked, request.most), (1 << 5, 1))

    def test_slower_idle(self) -> None:
        """An idle neighbor that would take longer itself is not asked."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 10)
        idle.rate.begin(self.now - 100.0)
        idle.rate.add(1000, self.now)
        self.assertEqual(self.ask(picker, idle), [])

    def test_overdue(self) -> None:
        """A piece that is overdue by the time it takes to stall is late, however fast it began."""
        picker = self.picker()
        other, idle = self.late(picker, rate=RATE, sends=0b1)
        self.now += 0.05
        picker.progress(other, MIB - 5, self.now)
        self.now = other.due + STALL_TIMEOUT - 0.01
        picker.progress(other, 1, self.now)
        self.assertEqual(self.ask(picker, idle), [])
        self.now += 0.02
        picker.progress(other, 1, self.now)
        self.assertEqual(self.ask(picker, idle), [2])

    def test_no_answer(self) -> None:
        """A neighbor that has not begun to answer is late soon."""
        picker = self.picker(3)
        silent, idle = self.offer(picker, "silent", 0b100), self.offer(picker, "idle", 0b111)
        self.request(picker, silent)
        self.send(picker, self.request(picker, idle), 0, 1)
        self.assertEqual(self.ask(picker, idle), [])
        self.now += STALL_TIMEOUT
        self.assertEqual(self.ask(picker, idle), [2])

    def test_better_to_do(self) -> None:
        """Nothing is had twice while somebody has what nobody was asked for."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        idle.has = 0b00111111
        picker.missing |= 1 << 7
        self.assertEqual(self.ask(picker, idle), [], "others have the last piece")
        picker.missing &= ~(1 << 7)
        self.assertEqual(self.ask(picker, idle), [2])

    def test_better_to_do_with_one_that_fails(self) -> None:
        """But it is where those that say so fail when they are asked."""
        picker = self.picker()
        other, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        other.neighbor.has = idle.has = 0b00111111
        picker.missing |= 1 << 7
        broken = self.offer(picker, "broken")
        self.assertEqual(self.ask(picker, idle), [])
        picker.failed(broken, self.now)
        self.assertEqual(self.ask(picker, idle), [2])

    def test_not_looked_for(self) -> None:
        """What is late is asked for only where it is looked for."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        self.assertIsNone(picker.wanted(idle, self.now, late=False))
        self.assertIsNotNone(picker.wanted(idle, self.now))

    def test_busy(self) -> None:
        """Nobody is asked for what is late who has something to send."""
        picker = self.picker()
        other, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        picker.missing |= 1
        busy = self.request(picker, idle)
        self.assertEqual(busy.asked, 0b1)
        busy.is_ending = True
        self.assertIsNone(picker.wanted(idle, self.now))
        picker.ended(busy)
        picker.missing &= other.sending
        self.assertEqual(self.ask(picker, idle), [2])

    def test_only_once(self) -> None:
        """What somebody faster has taken over is not asked of a third."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        third = self.offer(picker, "third")
        self.assertEqual(self.ask(picker, idle), [2])
        self.assertEqual(self.ask(picker, third), [])

    def test_late_twice(self) -> None:
        """When whoever took a piece over is late itself, a third is asked."""
        picker = self.picker()
        _, idle = self.late(picker, rate=RATE // 100, sends=0b1)
        third = self.offer(picker, "third")
        self.assertEqual(self.ask(picker, idle), [2])
        self.now += STALL_TIMEOUT + 0.01
        self.assertEqual(self.ask(picker, third), [2])

"""Tests of `p2ptwisted.node.registered_list`."""

from collections.abc import Sequence

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import REGISTRATION_BYTES_MAX, Registration, ResourceInfo
from p2ptwisted.node import registered_list as module
from p2ptwisted.node.registered_list import HEAD_BYTES, RegisteredList, registered_list

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
RESOURCES = st.lists(
    st.builds(
        ResourceInfo,
        st.just("a" * 64),
        NAMES,
        st.none() | st.integers(0, 2**63 - 1),
        st.booleans(),
        st.lists(NAMES, max_size=4).map(tuple),
    ),
    max_size=20,
)


def named(name: str, *others: str) -> ResourceInfo:
    return ResourceInfo("a" * 64, name, 1, other_names=others)


class RegisteredListTests(SynchronousTestCase):
    """What a supernode takes of a list."""

    def setUp(self) -> None:
        self.pauses = 0

    def fitting(
        self, resources: Sequence[ResourceInfo], room: int = REGISTRATION_BYTES_MAX - HEAD_BYTES
    ) -> RegisteredList:
        async def pause() -> None:
            self.pauses += 1

        made = registered_list(resources, pause, room)
        return self.successResultOf(Deferred.fromCoroutine(made))

    def test_all(self) -> None:
        """A list that fits is registered as it is, at once."""
        resources = [named("a", "b", "c"), named("d")]
        self.assertEqual(self.fitting(resources), (resources, 0))
        self.assertEqual(self.pauses, 0)

    # Its first draw makes a table of all characters, which takes a while on a busy machine.
    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(RESOURCES, st.integers(0, 3_000))
    def test_room(self, resources: list[ResourceInfo], room: int) -> None:
        """It never exceeds its room; first names come before all others, which are counted."""
        fitting, left_out = self.fitting(resources, room)
        self.assertLessEqual(len(msgspec.json.encode(fitting)), max(2, room + 1))
        for registered, resource in zip(fitting, resources, strict=False):
            count = len(registered.other_names)
            self.assertEqual(registered.other_names, resource.other_names[:count])
            self.assertEqual(
                registered, msgspec.structs.replace(resource, other_names=registered.other_names)
            )
        others = sum(len(one.other_names) for one in resources[: len(fitting)])
        told = sum(len(one.other_names) for one in fitting)
        self.assertEqual(left_out, others - told)
        if len(fitting) < len(resources):
            self.assertEqual(told, 0)

    def test_too_many_names(self) -> None:
        """Of all names besides the first ones so many are registered, and no more."""
        self.patch(module, "OTHER_NAMES_MAX", 2)
        self.patch(module, "SLICE", 1)
        fitting, left_out = self.fitting([named("a", "b"), named("c", "d", "e"), named("f", "g")])
        self.assertEqual(fitting, [named("a", "b"), named("c", "d"), named("f")])
        self.assertEqual(left_out, 2)

    def test_slices(self) -> None:
        """A long list is measured in slices."""
        self.patch(module, "SLICE", 10)
        resources = [named(str(number)) for number in range(100)]
        self.assertEqual(self.fitting(resources), (resources, 0))
        self.assertEqual(self.pauses, 10)

    def test_longest_head(self) -> None:
        """What is besides the resources fits in the bytes that are kept for it."""
        registration = Registration("255.255.255.255:65535", [], "\0" * 4096)
        self.assertLessEqual(len(msgspec.json.encode(registration)), HEAD_BYTES)

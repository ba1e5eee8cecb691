"""Tests for `p2ptwisted.model`."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.model import (
    NAMES_MAX,
    OTHER_NAMES_MAX,
    Health,
    HeldFile,
    Holding,
    NodeInfo,
    Registration,
    ResourceInfo,
    parse_id,
)

SHA256 = "0123456789abcdef" * 4
ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"


class NamesTests(SynchronousTestCase):
    """How many names a registration has."""

    def test_counted(self) -> None:
        """Those that are kept of it count: of one resource so many, and of all together."""
        one = ResourceInfo("x", "x", other_names=("y",))
        many = ResourceInfo("x", "x", other_names=tuple(map(str, range(2 * NAMES_MAX))))
        self.assertEqual(Registration(":1", []).names, 0)
        self.assertEqual(Registration(":1", [one, ResourceInfo("z", "z")]).names, 3)
        self.assertEqual(Registration(":1", [one, many]).names, 3 + NAMES_MAX)
        self.assertEqual(Registration(":1", [many] * 2_000).names, 2_000 + OTHER_NAMES_MAX)


class ParseIdTests(SynchronousTestCase):
    """What is an id, and which ids are the same."""

    def test_sha256_in_any_case(self) -> None:
        """64 hex digits are compared without regard to case, so all of them go to lower case."""
        self.assertEqual(parse_id(SHA256.upper()), SHA256)
        self.assertEqual(parse_id(SHA256), SHA256)

    def test_other_tokens_keep_their_case(self) -> None:
        """What is not 64 hex digits is what it is, case included."""
        for token in ["Ab", "A" * 63, "a" * 63 + "G", "A" * 65, "sha1:ABC", "x.y_z-1"]:
            self.assertEqual(parse_id(token), token)

    def test_lengths(self) -> None:
        """1 to 128 characters."""
        self.assertEqual(parse_id("x"), "x")
        self.assertEqual(parse_id("x" * 128), "x" * 128)
        for refused in ["", "x" * 129]:
            with self.assertRaises(InvalidInput):
                parse_id(refused)

    def test_characters(self) -> None:
        """Nothing that means something in a datagram, a path or a list, and no foreign digits."""
        for refused in [*";#,/%?& \n\0é\N{ARABIC-INDIC DIGIT ONE}"]:
            for text in [refused, f"a{refused}", f"{refused}a", f"{SHA256}{refused}"]:
                with self.assertRaises(InvalidInput, msg=repr(text)):
                    parse_id(text)

    def test_message(self) -> None:
        """The message shows the id, but not the whole of an endless one."""
        error = self.assertRaises(InvalidInput, parse_id, "a b")
        self.assertEqual(
            str(error),
            "'a b' (3 characters) is not a resource id: "
            "an id has 1 to 128 characters of A-Z a-z 0-9 . _ : -",
        )
        error = self.assertRaises(InvalidInput, parse_id, "x" * 100_000)
        self.assertIn("xxx...' (100000 characters)", str(error))
        self.assertLess(len(str(error)), 200)

    @settings(deadline=None)
    @given(st.text(ID_CHARACTERS, min_size=1, max_size=128))
    def test_canonical(self, token: str) -> None:
        """Every token of the right characters is an id, and the canonical form of one stays."""
        self.assertEqual(parse_id(parse_id(token)), parse_id(token))

    @settings(deadline=None)
    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Any text is an id or InvalidInput, and an id never changes but for its case."""
        try:
            self.assertEqual(parse_id(text).lower(), text.lower())
        except InvalidInput:
            pass


class ShapesTests(SynchronousTestCase):
    """The JSON that the structs stand for."""

    def test_resource(self) -> None:
        """A size that is not known is not there."""
        self.assertEqual(
            msgspec.json.encode([ResourceInfo("a", "n"), ResourceInfo("b", "m", 0)]),
            b'[{"id":"a","name":"n"},{"id":"b","name":"m","size":0}]',
        )

    def test_partial(self) -> None:
        """Whether it is only a part is there where it is one, and believed where it is said."""
        part = ResourceInfo("a", "n", 5, partial=True)
        body = b'{"id":"a","name":"n","size":5,"partial":true}'
        self.assertEqual(msgspec.json.encode(part), body)
        self.assertEqual(msgspec.json.decode(body, type=ResourceInfo), part)
        whole = msgspec.json.decode(b'{"id":"a","name":"n","partial":false}', type=ResourceInfo)
        self.assertEqual(whole, ResourceInfo("a", "n"))
        self.assertRaises(
            msgspec.ValidationError,
            msgspec.json.decode,
            b'{"id":"a","name":"n","partial":1}',
            type=ResourceInfo,
        )

    def test_health(self) -> None:
        """The folder is left out where it is not told, and its problem where there is none."""
        self.assertEqual(
            msgspec.json.encode(Health("n", 1, False, None)),
            b'{"name":"n","resources":1,"scanning":false,"supernode":null}',
        )
        self.assertEqual(
            msgspec.json.encode(Health("n", 1, False, "h:1", "/shared")),
            b'{"name":"n","resources":1,"scanning":false,"supernode":"h:1","folder":"/shared"}',
        )
        self.assertEqual(
            msgspec.json.encode(Health("n", 1, False, "h:1", unreachable_at="h:2")),
            b'{"name":"n","resources":1,"scanning":false,"supernode":"h:1","unreachable_at":"h:2"}',
        )
        self.assertEqual(
            msgspec.json.encode(Health("n", 0, False, None, folder_problem="it is gone")),
            b'{"name":"n","resources":0,"scanning":false,"supernode":null,'
            b'"folder_problem":"it is gone"}',
        )

    def test_node(self) -> None:
        """Only where a node can't be reached that is said of it."""
        self.assertEqual(msgspec.json.encode(NodeInfo("", "h:1")), b'{"name":"","location":"h:1"}')
        for body, reachable in (
            (b'{"name":"n","location":"h:1","reachable":false}', False),
            (b'{"name":"n","location":"h:1"}', True),
        ):
            node = NodeInfo("n", "h:1", reachable)
            self.assertEqual(msgspec.json.decode(body, type=NodeInfo), node)
            self.assertEqual(msgspec.json.encode(node), body)

    def test_holding(self) -> None:
        """Name and size are left out where only another supernode knows them."""
        self.assertEqual(
            msgspec.json.encode(Holding("a", HeldFile("h:1", ["h:1"]))),
            b'{"id":"a","file":{"location":"h:1","locations":["h:1"]}}',
        )
        self.assertEqual(
            msgspec.json.encode(Holding("a", HeldFile("h:1", ["h:1"], "n", 5))),
            b'{"id":"a","file":{"location":"h:1","locations":["h:1"],"name":"n","size":5}}',
        )

    def test_registration(self) -> None:
        """Unknown keys are ignored and the node's name may be left out."""
        body = b'{"location":":1","resources":[{"id":"a","name":"n","mode":7}],"version":2}'
        self.assertEqual(
            msgspec.json.decode(body, type=Registration),
            Registration(":1", [ResourceInfo("a", "n")]),
        )

"""Tests for `p2ptwisted.protocols.datagrams`."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.protocols.datagrams import (
    DATAGRAM_MAX,
    LOCATIONS_MAX,
    FoundReply,
    Message,
    NotFoundReply,
    SearchRequest,
    decode,
    encode,
)
from p2ptwisted.test.test_model import ID_CHARACTERS, SHA256

UUID = "4f2d1c36-8a0b-4c7e-9d55-0123456789ab"

names = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters=";#"
    ),
    min_size=1,
    max_size=128,
).filter(lambda name: not any(map(str.isspace, name)))
tags = st.none() | st.text(ID_CHARACTERS, min_size=1, max_size=64)
ids = st.text(ID_CHARACTERS, min_size=1, max_size=128).map(
    lambda id: id.lower() if len(id) == 64 else id
)
#: Of hosts that one may name: link-local ones are nobody's.
locations = st.builds(
    "{}.{}.{}.{}:{}".format,
    st.integers(1, 223),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(1, 65535),
).filter(lambda location: not location.startswith("169.254."))
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(SearchRequest, names, ids, tags),
    st.builds(NotFoundReply, names, ids, tags),
    st.builds(
        FoundReply, names, st.lists(locations, min_size=1, max_size=LOCATIONS_MAX).map(tuple), tags
    ),
)
#: Any text that Python can hold, whether or not UTF-8 can.
texts = st.text(st.characters())
#: What almost is a message: its parts, put together anyhow.
scraps = st.lists(
    st.sampled_from(
        [*";#,: x\n\r\0\x85\u2028", "20", "21", "22", UUID, SHA256, "127.0.0.1:8000", "\udcff"]
    )
).map(lambda parts: "".join(parts).encode(errors="surrogateescape"))


class PropertyTests(SynchronousTestCase):
    """What holds for every datagram and every message."""

    @settings(deadline=None)
    @given(st.binary() | scraps)
    @example(b"x" * (DATAGRAM_MAX + 1))
    @example(b"name;20;" + b"x" * 2000)
    def test_any_bytes(self, datagram: bytes) -> None:
        """Whatever comes is a message or None, never an exception; and a message can be sent on."""
        message = decode(datagram)
        if message is not None:
            self.assertEqual(decode(encode(message)), message)

    @settings(deadline=None)
    @given(messages)
    def test_round_trip(self, message: Message) -> None:
        """Encoded and decoded, every message is itself again."""
        self.assertEqual(decode(encode(message)), message)

    @settings(deadline=None)
    @given(messages)
    def test_size(self, message: Message) -> None:
        """No encoded message is larger than a datagram may be."""
        self.assertLessEqual(len(encode(message)), 1200)

    @settings(deadline=None)
    @given(
        st.builds(SearchRequest, texts, texts, st.none() | texts)
        | st.builds(NotFoundReply, texts, texts, st.none() | texts)
        | st.builds(FoundReply, texts, st.lists(texts).map(tuple), st.none() | texts)
    )
    @example(SearchRequest("\ud800", "a"))
    def test_encode_refuses(self, message: Message) -> None:
        """encode either gives what decodes to the same message, or raises InvalidInput."""
        try:
            datagram = encode(message)
        except InvalidInput:
            return
        self.assertEqual(decode(datagram), message)

    @settings(deadline=None)
    @given(messages, st.sampled_from([b"\n", b"\r\n", b"\n\n"]))
    def test_line_ends(self, message: Message, end: bytes) -> None:
        """What comes from a shell ends in a newline, which says nothing."""
        self.assertEqual(decode(encode(message) + end), message)


class DecodeTests(SynchronousTestCase):
    """Every line of the format, by example."""

    def test_the_three_lines(self) -> None:
        """The messages that every peer knows."""
        self.assertEqual(decode(b"peer;20;abc"), SearchRequest("peer", "abc"))
        self.assertEqual(decode(b"peer;21;10.0.0.1:80"), FoundReply("peer", ("10.0.0.1:80",)))
        self.assertEqual(decode(b"peer;22;abc"), NotFoundReply("peer", "abc"))

    def test_tags(self) -> None:
        """A tag stands in the name, behind #."""
        name = f"{UUID}#00ff".encode()
        self.assertEqual(decode(name + b";20;abc"), SearchRequest(UUID, "abc", "00ff"))
        self.assertEqual(
            decode(name + b";21;10.0.0.1:80"), FoundReply(UUID, ("10.0.0.1:80",), "00ff")
        )
        self.assertEqual(decode(name + b";22;abc"), NotFoundReply(UUID, "abc", "00ff"))

    def test_several_locations(self) -> None:
        """Up to 16 locations, separated by commas; 17 are too many."""
        sixteen = [f"10.0.0.{number}:8000" for number in range(1, 17)]
        self.assertEqual(
            decode(f"p;21;{','.join(sixteen)}".encode()), FoundReply("p", tuple(sixteen))
        )
        seventeen = [*sixteen, "10.0.0.17:8000"]
        self.assertIsNone(decode(f"p;21;{','.join(seventeen)}".encode()))

    def test_ids(self) -> None:
        """An id is canonical from here on, and what isn't an id is no message."""
        self.assertEqual(decode(b"p;20;" + SHA256.upper().encode()), SearchRequest("p", SHA256))
        self.assertEqual(decode(b"p;20;" + b"x" * 128), SearchRequest("p", "x" * 128))
        for refused in [b"", b"x" * 129, b"a/b", b"a b", b" a", "é".encode()]:
            self.assertIsNone(decode(b"p;20;" + refused))
            self.assertIsNone(decode(b"p;22;" + refused))

    def test_locations(self) -> None:
        """A location is a numeric address of one host and a port, written in one way."""
        self.assertEqual(decode(b"p;21;10.0.0.1:080"), FoundReply("p", ("10.0.0.1:80",)))
        for refused in [
            b"",
            b":80",
            b"10.0.0.1",
            b"10.0.0.1:0",
            b"10.0.0.1:70000",
            b"host.example:80",
            b"230.0.0.0:80",
            b"0.0.0.0:80",
            b"[::1]:80",
            b"10.0.0.1:80,",
            b"10.0.0.1:80,,10.0.0.2:80",
            b"10.0.0.1:80, 10.0.0.2:80",
            b"10.0.0.1:80,nonsense",
            b"10.0.0.1:80/../",
        ]:
            self.assertIsNone(decode(b"p;21;" + refused), refused)

    def test_names(self) -> None:
        """A name is 1 to 128 characters that can't upset a terminal, a log or another field."""
        self.assertEqual(decode("é☃;20;a".encode()), SearchRequest("é☃", "a"))
        self.assertEqual(decode(b"n" * 128 + b";20;a"), SearchRequest("n" * 128, "a"))
        for refused in ["", "n" * 129, "a b", "a\tb", "a\nb", "\x1b[31m", "\x7f", "\x9b", "\x00"]:
            self.assertIsNone(decode(f"{refused};20;a".encode()), refused)

    def test_malformed_tags(self) -> None:
        """A tag is 1 to 64 characters of an id's."""
        self.assertEqual(decode(b"p#" + b"t" * 64 + b";20;a"), SearchRequest("p", "a", "t" * 64))
        for refused in [b"", b"t" * 65, b"t#u", b"t u", b"\xc3\xa9"]:
            self.assertIsNone(decode(b"p#" + refused + b";20;a"), refused)

    def test_largest(self) -> None:
        """A datagram of 1200 bytes is read, one of 1201 is not, whatever is in it."""
        self.assertEqual(decode(b"p;20;a".ljust(1200, b"\n")), SearchRequest("p", "a"))
        self.assertIsNone(decode(b"p;20;a".ljust(1201, b"\n")))

    def test_not_a_message(self) -> None:
        """Fields that are missing, too many or unknown, what isn't UTF-8, and what is too large."""
        for refused in [
            b"",
            b"\n",
            b"p",
            b"p;20",
            b"p;20;a;b",
            b";20;a",
            b"p;;a",
            b"p;19;a",
            b"p;23;a",
            b"p;020;a",
            b"p; 20;a",
            "p;\N{FULLWIDTH DIGIT TWO}0;a".encode(),
            b"\np;20;a",
            b"p\xff;20;a",
            b"p;20;a" + b"\n" * DATAGRAM_MAX,
        ]:
            self.assertIsNone(decode(refused), refused)


class EncodeTests(SynchronousTestCase):
    """Bytes as other programs see them, and what is never sent."""

    def test_bytes(self) -> None:
        """The three lines, with and without a tag, to the byte."""
        self.assertEqual(encode(SearchRequest("p", "abc")), b"p;20;abc")
        self.assertEqual(encode(SearchRequest("p", "abc", "t1")), b"p#t1;20;abc")
        self.assertEqual(encode(NotFoundReply("p", "abc", "t1")), b"p#t1;22;abc")
        self.assertEqual(
            encode(FoundReply("p", ("10.0.0.1:80", "10.0.0.2:81"), "t1")),
            b"p#t1;21;10.0.0.1:80,10.0.0.2:81",
        )

    def test_largest(self) -> None:
        """16 of the longest locations under a name of the most bytes fit."""
        longest = tuple(f"100.100.100.{number}:10000" for number in range(100, 116))
        message = FoundReply("\N{SNOWFLAKE}\N{DROPLET}" * 64, longest, "t" * 64)
        self.assertEqual(decode(encode(message)), message)

    def test_refused(self) -> None:
        """What would arrive as something else, or not at all, is not sent."""
        messages: list[Message] = [
            SearchRequest("", "a"),
            SearchRequest("a;b", "a"),
            SearchRequest("a#b", "a"),
            SearchRequest("a b", "a"),
            SearchRequest("p", "a", ""),
            SearchRequest("p", "a", "a;b"),
            SearchRequest("p", "a\n"),
            SearchRequest("p", "a;21;b"),
            SearchRequest("p", SHA256.upper()),
            NotFoundReply("p", ""),
            NotFoundReply("p", "x" * 129),
            FoundReply("p", ()),
            FoundReply("p", ("",)),
            FoundReply("p", ("10.0.0.1:080",)),
            FoundReply("p", ("10.0.0.1:80,10.0.0.2:80",)),
            FoundReply("p", ("host.example:80",)),
            FoundReply("p", ("10.0.0.1:80",) * 17),
        ]
        for refused in messages:
            with self.assertRaises(InvalidInput, msg=repr(refused)):
                encode(refused)

    def test_message(self) -> None:
        """The message of a refusal is short, whatever was refused."""
        error = self.assertRaises(InvalidInput, encode, SearchRequest("p", "x" * 100_000))
        self.assertIn("Request(name='p'", str(error))
        self.assertLess(len(str(error)), 300)

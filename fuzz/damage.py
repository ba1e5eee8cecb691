"""Input that nobody meant well: good input, damaged here and there, and noise."""

from collections.abc import Sequence

from hypothesis import strategies as st

#: What parsers stumble over, put where it doesn't belong.
STUMBLING = [
    b"\0",
    b"\r\n",
    b"\n",
    b"\x1b[2J",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "\N{RIGHT-TO-LEFT OVERRIDE}".encode(),
    b"../",
    b"/",
    b"%00",
    b"%2e%2e%2f",
    b"-1",
    b"0",
    b"9" * 30,
    b"9" * 5_000,
    b"1e999",
    b"NaN",
    b"null",
    b"[" * 2_000,
    b'{"a":' * 500,
    b'"',
    b"'",
    b";",
    b",",
    b":",
    b"#",
    b"=",
    b" ",
    b"A" * 5_000,
]

#: Edits of one input.
EDITS_MAX = 8


def noise(size: int = 2_000) -> st.SearchStrategy[bytes]:
    """Any bytes, and any text as UTF-8."""
    return st.one_of(
        st.binary(max_size=size),
        st.text(max_size=size // 4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )


@st.composite
def damaged(draw: st.DrawFn, good: Sequence[bytes]) -> bytes:
    """One of these with some edits, or none: bytes replaced, cut out, put in, repeated."""
    data = bytearray(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, EDITS_MAX))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 16))
        match draw(st.integers(0, 5)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = draw(st.sampled_from(STUMBLING))
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at : at + length] = draw(st.sampled_from(STUMBLING))
            case 5:
                # The rest of another good one.
                other = draw(st.sampled_from(good))
                data[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(data)


def any_of(*good: bytes) -> st.SearchStrategy[bytes]:
    """Mostly damaged good input; now and then noise."""
    return st.one_of(damaged(good), damaged(good), damaged(good), noise())


def text_of(*good: str) -> st.SearchStrategy[str]:
    """The same as text, such as a file's name: with what is no UTF-8 as Python keeps it."""
    return any_of(*(one.encode("utf-8", "surrogateescape") for one in good)).map(
        lambda data: data.decode("utf-8", "surrogateescape")
    )

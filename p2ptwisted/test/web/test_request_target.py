"""Tests of `p2ptwisted.web.request_target`."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.web.request_target import Target, parse_target

TEXT = st.text("ab./%3A2Fe:;?#\\~ \x00\xe4", max_size=20).map(lambda text: text.encode("latin-1"))


class TargetTests(SynchronousTestCase):
    """What stands between the method and the version."""

    def refuses(self, sent: bytes, word: str, *hosts: bytes) -> None:
        with self.assertRaises(InvalidInput, msg=sent) as raised:
            parse_target(sent, hosts or [b"h"])
        self.assertIn(word, str(raised.exception))

    def test_canonical(self) -> None:
        """A path is as it is written; a query may be percent-encoded."""
        for sent, path in (
            (b"/", b"/"),
            (b"/api/node/health", b"/api/node/health"),
            (b"/node/health/", b"/node/health/"),
            (b"/a/b:c~d...", b"/a/b:c~d..."),
            (b"/a?b=%20/../x?y//&%zz", b"/a"),
            (b"/a?", b"/a"),
        ):
            self.assertEqual(parse_target(sent, [b"h:80"]), Target(b"h:80", path, sent))

    def test_colon(self) -> None:
        """An id's colon may be encoded, in capitals."""
        self.assertEqual(parse_target(b"/a%3Ab", [b"h"]), Target(b"h", b"/a:b", b"/a%3Ab"))
        self.refuses(b"/a%3ab", "percent-encoded")

    def test_whole_url(self) -> None:
        """The host that a whole URL names is the one that counts."""
        for sent, target in (
            (b"http://other:1/a?b", Target(b"other:1", b"/a", b"/a?b")),
            (b"HTTPS://other", Target(b"other", b"/", b"/")),
            (b"http://other?a", Target(b"other", b"/", b"/?a")),
        ):
            self.assertEqual(parse_target(sent, [b"h"]), target)
        for sent in (b"http:///a", b"http://u@h/a", b"http://a b/", b"http://h:x/"):
            self.refuses(sent, "names no host")

    def test_hosts(self) -> None:
        """One Host header, which names a host: not two, not none, whatever the target is."""
        for sent in (b"/", b"http://h/"):
            with self.assertRaises(InvalidInput):
                parse_target(sent, [])
            self.refuses(sent, "this one has 2", b"h", b"h")
            self.refuses(sent, "names no host", b"")

    def test_no_path(self) -> None:
        """What is no path and no URL is for other servers."""
        for sent in (b"*", b"h:80", b"api/node/health", b"ftp://h/a", b"http:/a", b""):
            self.refuses(sent, "no path")

    def test_other_spellings(self) -> None:
        """What might be taken for another path is none, with a word on why."""
        for sent, word in (
            (b"/%61", "percent-encoded"),
            (b"/a%2Fb", "percent-encoded"),
            (b"/a%", "percent-encoded"),
            (b"/%C3%A4", "percent-encoded"),
            (b"//a", "empty part"),
            (b"/a//", "empty part"),
            (b"/a/./b", ". or .."),
            (b"/..", ". or .."),
            (b"/a\\b", "character"),
            (b"/a;b", "character"),
            (b"/a\xe4", "character"),
            (b"/a b", "character"),
            (b"/a#b", "fragment"),
            (b"/a?b#c", "fragment"),
            (b"/a?b\xe4", "query"),
        ):
            self.refuses(sent, word)

    @settings(max_examples=300)
    @given(TEXT)
    def test_one_form(self, text: bytes) -> None:
        """Whatever is taken has one form, which taken again is itself, with nothing to decode."""
        try:
            target = parse_target(b"/" + text, [b"h"])
        except InvalidInput:
            return
        self.assertEqual(parse_target(target.path, [b"h"]).path, target.path)
        self.assertIsNone(re.search(rb"[^!-~]|[%;\\#?]|//|/\.\.?(/|\Z)", target.path))

"""Tests of `p2ptwisted.security.http_signatures`."""

from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import NotSigned, Unavailable
from p2ptwisted.security.http_signatures import (
    CLOCK_SKEW_MAX,
    NONCE_LIFETIME,
    SIGNATURE_HEADERS_MAX,
    HttpSignatures,
    SignedCall,
)

METHOD, URL, BODY = "POST", "http://10.0.0.1:5000/api/supernode/register?a=b", b'{"a": 1}'


class SignaturesTests(SynchronousTestCase):
    """Which calls prove to come from a member."""

    def setUp(self) -> None:
        self.signatures = HttpSignatures(b"k" * 32)
        self.headers = self.signatures.sign(METHOD, URL, BODY)

    def check(
        self,
        method: str = METHOD,
        url: str = URL,
        body: bytes = BODY,
        headers: dict[str, str] | None = None,
        now: float = 0.0,
        once: bool = False,
        key: bytes = b"k" * 32,
    ) -> None:
        checking = self.signatures if key == b"k" * 32 else HttpSignatures(key)
        checking.check(SignedCall(method, url, dict(headers or self.headers)), body, now, once)

    def refused(self, **changes: object) -> str:
        return str(self.assertRaises(NotSigned, self.check, **changes))

    def test_member(self) -> None:
        """A call with the group's key is believed, whatever case its headers come in."""
        self.check()
        self.check(headers={name.lower(): value for name, value in self.headers.items()})

    def test_no_body(self) -> None:
        """So is one without a body."""
        self.headers = self.signatures.sign("GET", URL, None)
        self.check(method="GET", body=b"")

    def test_other_key(self) -> None:
        """A call with another key is not."""
        self.refused(key=b"K" * 32)

    def test_unsigned(self) -> None:
        """Nor is one without a signature; it is told why."""
        self.assertIn("closed", self.refused(headers={"host": "10.0.0.1:5000"}))

    def test_changed(self) -> None:
        """Nor one that was changed on its way: method, host, path, query or body."""
        for changes in (
            {"method": "DELETE"},
            {"url": URL.replace("10.0.0.1", "10.0.0.2")},
            {"url": URL.replace("register", "alive")},
            {"url": URL.replace("a=b", "a=c")},
            {"body": BODY + b" "},
        ):
            self.refused(**changes)

    def test_digest_not_covered(self) -> None:
        """Nor one whose body is not part of what was signed."""
        headers = self.signatures.sign(METHOD, URL, BODY)
        del headers["Content-Digest"]
        self.refused(headers=headers)

    def test_members_size(self) -> None:
        """A member's own headers are far from what is too long."""
        self.assertLess(sum(map(len, self.headers.values())), SIGNATURE_HEADERS_MAX / 2)

    def test_parsed_components(self) -> None:
        """A stranger's signature has nothing else parsed, but is refused as soon as it asks."""
        covered = self.headers["Signature-Input"].partition("(")
        long = {"Priority": ", ".join(f"a{i}" for i in range(100)), "Accept-CH": "a, b"}
        for component, told in (
            ('"priority";sf', "Unknown parameter"),
            ('"priority";key="a1"', "Unknown parameter"),
            ('"accept-ch";bs', "Unknown parameter"),
            ('"@query-param";name="a"', "@query-param"),
        ):
            asked = f"{covered[0]}({component} {covered[2]}"
            self.assertIn(
                told, self.refused(headers={**self.headers, **long, "Signature-Input": asked})
            )

    def test_garbage(self) -> None:
        """Nor one whose signature is not one."""
        for value in ("", "x", "pyhms=:AAAA:", "pyhms=(" * 50):
            self.refused(headers={**self.headers, "Signature": value})
            self.refused(headers={**self.headers, "Signature-Input": value})

    def test_replayed(self) -> None:
        """A call that may come only once is refused the second time, the others are not."""
        self.check(once=True)
        self.refused(once=True)
        self.check(once=False)

    def test_nonce_forgotten(self) -> None:
        """A nonce is remembered as long as its signature could be good, and no longer."""
        self.check(once=True, now=0.0)
        self.refused(once=True, now=2 * CLOCK_SKEW_MAX)
        self.check(once=True, now=NONCE_LIFETIME)

    def test_too_many(self) -> None:
        """What is remembered is bounded, and more is refused rather than believed."""
        with patch("p2ptwisted.security.http_signatures.NONCES_MAX", 1):
            self.check(once=True)
            headers = self.signatures.sign(METHOD, URL, BODY)
            self.assertRaises(Unavailable, self.check, headers=headers, once=True)

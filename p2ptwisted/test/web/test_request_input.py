"""Tests of `p2ptwisted.web.request_input`."""

from p2ptwisted.model import Presence
from p2ptwisted.test.test_model import SHA256
from p2ptwisted.test.web.cases import Answer, ApiTestCase
from p2ptwisted.web.request_input import HASH_IDS_MAX


class BodyTests(ApiTestCase):
    """Bodies that should be JSON."""

    def post(self, body: bytes) -> Answer:
        return self.call("POST", "/body", data=body)

    def test_good(self) -> None:
        """A body is decoded; keys that nobody knows are ignored."""
        answer = self.post(b' {"location": "10.0.0.1:80", "new": [1, {"deep": null}]}\n')
        self.assertEqual(answer.code, 204)
        self.assertEqual(self.api.understood, Presence("10.0.0.1:80"))

    def test_not_json(self) -> None:
        """What isn't JSON is called that."""
        for body in [
            b"",
            b" ",
            b"location=1",
            b"{",
            b'{"location": "a"} x',
            b'{"location": "\xff"}',
            b"\xff\xfe{",
            b'{"location": "\\ud800 alone in the world"}',
        ]:
            answer = self.post(body)
            self.assertEqual(answer.code, 400, body)
            self.assertIn("the body is not JSON: ", answer.description)

    def test_wrong_shape(self) -> None:
        """What is JSON of another shape has the field named."""
        for body, description in [
            (b"[]", "Expected `object`, got `array`"),
            (b"null", "Expected `object`, got `null`"),
            (b"{}", "Object missing required field `location`"),
            (b'{"location": 80}', "Expected `str`, got `int` - at `$.location`"),
            (b'{"location": null}', "Expected `str`, got `null` - at `$.location`"),
        ]:
            self.assert_error(self.post(body), 400, "Bad Request", description)

    def test_deeply_nested(self) -> None:
        """A body nested deeper than can be read is the client's mistake too, not ours."""
        for start in [b"[", b'{"a":']:
            answer = self.post(b'{"location": "10.0.0.1:80", "x": ' + start * 100_000)
            self.assertEqual(answer.code, 400)
        self.assertEqual(self.flushLoggedErrors(), [])


class QueryTests(ApiTestCase):
    """What stands behind the question mark."""

    def understood(self, path: str) -> object:
        self.assertEqual(self.get(path).code, 204)
        return self.api.understood

    def test_value(self) -> None:
        """A parameter is decoded, as UTF-8; where it isn't given there is none."""
        self.assertEqual(self.understood("/query?name=a+b%26%C3%A9&other=1"), "a b&é")
        self.assertEqual(self.understood("/query?name="), "")
        self.assertIsNone(self.understood("/query?other=1"))
        self.assertIsNone(self.understood("/query"))

    def test_given_twice(self) -> None:
        """Of two values nobody could know which is meant."""
        self.assert_error(
            self.get("/query?name=a&name=b"),
            400,
            "Bad Request",
            "name is given 2 times: give it once",
        )

    def test_not_utf8(self) -> None:
        """A value that isn't UTF-8 is refused."""
        self.assert_error(self.get("/query?name=%ff"), 400, "Bad Request", "name is not UTF-8")

    def test_ids(self) -> None:
        """Ids are separated by commas, canonical, and each once."""
        self.assertEqual(
            self.understood(f"/ids?hash_ids=b,{SHA256.upper()},a,{SHA256},b"), ["b", SHA256, "a"]
        )
        self.assertIsNone(self.understood("/ids"))

    def test_no_ids(self) -> None:
        """An empty list is a mistake."""
        self.assert_error(
            self.get("/ids?hash_ids="),
            400,
            "Bad Request",
            "hash_ids is empty: give ids separated by commas",
        )

    def test_bad_ids(self) -> None:
        """One id that is none and nothing is searched for."""
        for ids in ["a,", ",a", "a,,b", "a,b%20c", "a%3Bb", "x" * 129]:
            answer = self.get(f"/ids?hash_ids={ids}")
            self.assertEqual(answer.code, 400)
            self.assertIn("is not a resource id", answer.description)
        self.assertIsNone(self.api.understood)

    def test_too_many_ids(self) -> None:
        """So many at a time, and no more."""
        most = [f"x{number}" for number in range(HASH_IDS_MAX)]
        self.assertEqual(self.understood(f"/ids?hash_ids={','.join(most)}"), most)
        self.assert_error(
            self.get(f"/ids?hash_ids={','.join([*most, 'y'])}"),
            400,
            "Bad Request",
            "hash_ids has 201 ids: ask for 200 at a time",
        )

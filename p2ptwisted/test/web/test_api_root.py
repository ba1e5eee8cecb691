"""Tests of `p2ptwisted.web.api_root`: which paths lead to a route."""

from p2ptwisted.test.web.cases import ApiTestCase


class RoutingTests(ApiTestCase):
    """Paths that lead somewhere and paths that don't."""

    def test_both_roots(self) -> None:
        """Every route is there under /api and without it."""
        self.assertEqual(self.get("/good").body, self.get("/api/good").body)

    def test_api_once(self) -> None:
        """One /api is taken off, and no second one."""
        self.assert_not_found("/api/api/good")

    def test_unknown(self) -> None:
        """A path that leads nowhere is named."""
        for path in ["/", "/api", "/api/", "/goods", "/good/", "/good/more", "/text", "/text/"]:
            self.assert_not_found(path)

    def test_other_spellings(self) -> None:
        """A path that is written in another way than its own is none, wherever it would lead."""
        for path in (
            *("/%67ood", "/text/a%2Fb", "/text/..%2F..%2Fetc%2Fpasswd", "/text/%C3%A9", "/%ff"),
            *("//good", "/api//good", "/text//a", "/good//"),
        ):
            answer = self.get(path)
            self.assertEqual(answer.code, 400, path)
            self.assertIn("the path ", answer.description)
        self.assertIsNone(self.api.understood)

    def assert_not_found(self, path: str) -> None:
        description = f"there is no route {path}; docs/http-api.md lists them all"
        self.assert_error(self.get(path), 404, "Not Found", description)

    def test_long_path(self) -> None:
        """An endless path is not repeated whole."""
        answer = self.get("/" + "x" * 5000)
        self.assertEqual(answer.code, 404)
        self.assertLess(len(answer.description), 300)

    def test_wrong_method(self) -> None:
        """The methods that there are are in the header, as HTTP wants it."""
        answer = self.call("PUT", "/good")
        self.assert_error(answer, 405, "Method Not Allowed", "/good has no method PUT")
        self.assertEqual(answer.allowed, {"GET", "HEAD"})

    def test_colon(self) -> None:
        """The one character of an id that programs quote may be quoted."""
        self.get("/text/a%3Ab:c")
        self.assertEqual(self.api.understood, "a:b:c")

"""Tests of `p2ptwisted.web.responses`."""

from p2ptwisted.test.web.cases import ApiTestCase


class SuccessTests(ApiTestCase):
    """Answers to what went well."""

    def test_data_and_entity(self) -> None:
        """The data is in an envelope that says what it is."""
        answer = self.get("/good")
        self.assertEqual(answer.code, 200)
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertEqual(
            answer.body.decode(),
            '{"data":[{"location":"10.0.0.1:80"},{"é":null}],"entity":"thing"}',
        )

    def test_no_content(self) -> None:
        """What has nothing to say has no body."""
        answer = self.call("POST", "/done")
        self.assertEqual((answer.code, answer.body), (204, b""))

"""What strangers can write into a supernode's log."""

import json
import re
from collections.abc import Mapping
from http.client import HTTPConnection

from .cases import SystemTestCase

#: Nodes that are registered and dead, and the characters of their names, each shown as four.
NODES, NAME = 600, "\x1b" * 4096

#: Requests of which Twisted writes a line by itself, and what their paths are as long as.
WARNED, LONG = 300, "x" * 8_000

#: Bytes of the whole log: 200 lines of a kind, with 200 and 1,000 characters at the most of
#: what strangers say. Unbounded it has 12 MB.
LOG_MAX = 400_000


class LogTests(SystemTestCase):
    """A log that strangers try to fill."""

    def test_flood(self) -> None:
        """It stays small, a terminal can show it, and what was left out is counted to the end."""
        supernode = self.start_supernode()
        connection = HTTPConnection(supernode.machine.address, supernode.port, timeout=10)
        self.addCleanup(connection.close)

        def ask(method: str, path: str, body: str = "", headers: Mapping[str, str] = {}) -> int:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status

        for number in range(NODES):
            # Port 1: nobody listens there.
            at = f"127.1.{number // 200}.{number % 200 + 1}:1"
            node = {"location": at, "name": NAME, "resources": []}
            self.assertEqual(ask("POST", "/api/supernode/register", json.dumps(node)), 204)
        for _ in range(WARNED):
            self.assertEqual(ask("HEAD", f"/{LONG}", headers={"Host": "no host"}), 400)
        for _ in range(3):  # Of which the first, in which all fail, is not believed.
            ask("GET", "/api/supernode/xxx")
        supernode.stop()
        print(f"{supernode.log.stat().st_size} bytes")
        log = supernode.log.read_text()
        self.assertLess(len(log.encode()), LOG_MAX)
        lines = log.splitlines()
        for line in lines:
            self.assertTrue(line.isprintable(), line)
        for module, count in (
            ("p2ptwisted.supernode.sweep", NODES),
            ("LimitedRequest", WARNED),
        ):
            of_this = [line.partition("] ")[2] for line in lines if f"{module}#info] " in line]
            left_out = [re.match(r"and (\d+) more like: ", line) for line in of_this]
            counts = [1 if more is None else int(more[1]) for more in left_out]
            self.assertEqual(sum(counts), count)
            self.assertLess(len(counts), count)

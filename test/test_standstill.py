"""A fetch and a node whose processes are stopped, as by Ctrl-Z, and continued."""

import json
import signal
import time

from .daemons import at, eventually, id_of, promised
from .fetch_cases import SLOW, content_of
from .test_cli import WITHIN, CommandCase

#: Seconds for which they are stopped: more than those without a piece after which a fetch fails.
STOPPED = 33.0

#: Seconds in which a node that goes on is registered again. (Without a reason to hurry, its next
#: heartbeat may be 5 s away.)
REGISTERED_WITHIN = 3.0

CONTENT = content_of(12)


class StandstillTests(CommandCase):
    """SIGSTOP, and what comes after it."""

    def test_fetches(self) -> None:
        """`p2p get` and a node's fetch go on, on new connections, and blame nobody."""
        id = id_of(CONTENT)
        # Until then their holder has given up the connections.
        limits = ("--max-upload", str(SLOW), "--stall-time", "5")
        holder = self.start_holder("holder", {"file": CONTENT}, *limits)
        fetcher = self.start_fetcher()
        self.order(fetcher, id)
        command = self.begin("get", "file", "--json")
        self.wait_for_middle(fetcher, id)
        eventually(WITHIN, "it has begun", lambda: any(self.here.glob("file.*")))
        command.send_signal(signal.SIGSTOP)
        fetcher.freeze()
        time.sleep(STOPPED)
        command.send_signal(signal.SIGCONT)
        fetcher.thaw()
        out, told = command.communicate(timeout=WITHIN)
        self.assertEqual(command.returncode, 0, told)
        (result,) = json.loads(out)
        self.assertEqual(result["state"], "done")
        # (A node that has just finished may be asked for its part in vain.)
        self.assertNotIn(holder.location, result["troubles"])
        self.assertLess(result["seconds"], STOPPED)
        self.assertEqual((self.here / "file").read_bytes(), CONTENT)
        status = self.wait_for_end(fetcher, id)
        self.assertDone(status, self.shared("fetcher") / "file", CONTENT)
        self.assertNotIn(holder.location, status["troubles"])

    def test_node(self) -> None:
        """A node that its supernode has given up meanwhile is there again at once."""
        supernode = self.start_supernode("--sweep-interval", "1")
        node = self.start_node("node", {"file": b"it"}, *at(supernode))
        self.wait_until_held(supernode, "node", id_of(b"it"))

        def count() -> int:
            return len(supernode.get("/api/supernode/alive").data)

        node.freeze()
        self.addCleanup(node.thaw)
        eventually(WITHIN, "it is gone", lambda: count() == 0)
        node.thaw()
        promised(REGISTERED_WITHIN, "it is there again", lambda: count() == 1)
        self.assertNotIn("is gone", node.log.read_text())

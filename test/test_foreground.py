"""`p2p node` and `p2p supernode`: the daemons as somebody starts them who knows no twistd."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .answers import request
from .cases import SystemTestCase
from .daemons import (
    P2P,
    START_WITHIN,
    STOP_WITHIN,
    default_signals,
    environment,
    eventually,
    free_port,
    id_of,
)


class ForegroundTests(SystemTestCase):
    """Started in a folder of their own, and ended in every usual way."""

    def setUp(self) -> None:
        super().setUp()
        self.here = self.folder / "here"
        self.home = self.folder / "home"
        for folder in (self.here / "shared", self.home / "p2p"):
            folder.mkdir(parents=True)

    def begin(
        self,
        *arguments: str,
        signals: Callable[[], None] = default_signals,
        output: Any = subprocess.PIPE,
    ) -> Any:
        """A command that is ended with the test, should it still run then."""
        running = subprocess.Popen(
            [P2P, *arguments],
            cwd=self.here,
            env=environment() | {"XDG_CONFIG_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=signals,  # noqa: PLW1509  # there are no threads
        )
        self.end_with_test(running)
        return running

    def begin_daemon(self, role: str, *arguments: str, **how: Any) -> tuple[Any, str]:
        """A daemon of this test's group that answers, and its location; its log is a file."""
        location = f"127.0.0.1:{free_port()}"
        listening = ("--port", location.rpartition(":")[2], *self._group())
        log = self.log(role)
        with log.open("a") as output:
            running = self.begin(role, *listening, *arguments, output=output, **how)
        path = "supernode/alive" if role == "supernode" else "node/health"

        def answers() -> bool:
            self.assertIsNone(running.poll(), log.read_text())
            return request("GET", f"http://{location}/api/{path}").status == 200

        eventually(START_WITHIN, f"p2p {role} answers at {location}", answers)
        return running, location

    def log(self, role: str) -> Path:
        return self.folder / f"{role}.log"

    def ended(self, running: Any, number: signal.Signals) -> int:
        running.send_signal(number)
        return int(running.wait(STOP_WITHIN))

    def test_group(self) -> None:
        """Two commands make a group, a settings file names it, and a signal ends each well."""
        supernode, at = self.begin_daemon("supernode")
        (self.here / "shared" / "a.bin").write_bytes(b"content")
        where = ("--supernode", f"http://{at}")
        node, location = self.begin_daemon("node", "shared", "--max-upload=100Mbit", *where)
        (self.home / "p2p" / "config.toml").write_text(f'supernode = "http://{at}"\n')

        def found() -> str | None:
            out, _ = self.begin("find", "a.bin").communicate(timeout=START_WITHIN)
            return out if id_of(b"content") in out else None

        self.assertIn(location, eventually(START_WITHIN, "p2p find finds it", found))
        self.assertEqual(self.ended(node, signal.SIGTERM), 0)
        # It has said goodbye.
        self.assertEqual(request("GET", f"http://{at}/api/supernode/alive").data, [])
        self.assertEqual(self.ended(supernode, signal.SIGHUP), 0)
        for role in ("node", "supernode"):
            self.assertIn("Server Shut Down.", self.log(role).read_text())
        self.assertEqual(os.listdir(self.here), ["shared"])

    def test_interrupted(self) -> None:
        """Ctrl-C ends it as cleanly, and by that signal, which a shell shows as 130."""
        supernode, _ = self.begin_daemon("supernode")
        self.assertEqual(self.ended(supernode, signal.SIGINT), -signal.SIGINT)
        self.assertIn("Server Shut Down.", self.log("supernode").read_text())

    def test_nohup(self) -> None:
        """A SIGHUP that was ignored when it was started stays so."""

        def ignore() -> None:
            default_signals()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        supernode, at = self.begin_daemon("supernode", signals=ignore)
        supernode.send_signal(signal.SIGHUP)
        self.assertEqual(request("GET", f"http://{at}/api/supernode/alive").status, 200)
        self.assertEqual(self.ended(supernode, signal.SIGTERM), 0)

    def test_refused(self) -> None:
        """What is wrong in the command line is status 2, what keeps it from starting 1."""
        _, at = self.begin_daemon("supernode")
        port = at.rpartition(":")[2]
        for status, words, arguments in [
            (2, "nonesuch is not a folder", ("node", "nonesuch")),
            (2, "--max-upload = '12.5XB'", ("node", "shared", "--max-upload", "12.5XB")),
            (2, "--nonesuch", ("supernode", "--nonesuch")),
            (1, "can't listen there", ("node", "shared", "--port", port)),
        ]:
            running = self.begin(*arguments)
            said, _ = running.communicate(timeout=START_WITHIN)
            self.assertEqual(running.returncode, status, said)
            self.assertIn(words, said)
            self.assertNotIn("Traceback", said)

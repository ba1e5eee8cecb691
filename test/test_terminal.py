"""What `p2p` shows in a real terminal: narrow, low, and one that knows ASCII alone."""

import sys

from .daemons import environment, eventually
from .fetch_cases import SLOW, content_of
from .terminals import Terminal
from .test_cli import WITHIN, CommandCase

LONG = "a-file-name-that-is-longer-than-a-line-of-the-terminal-has-columns-0001.bin"

#: Columns and lines of a terminal.
WIDTH, HEIGHT = 40, 10


class TerminalTests(CommandCase):
    """Bars, for as long as a command runs."""

    def open(self, *arguments: str, **variables: str) -> Terminal:
        """A command in a terminal of that size."""
        surroundings = environment() | {"P2P_SUPERNODE": self.supernode.url, "TERM": "vt100"}
        for name in ("LC_ALL", "LC_CTYPE", "LANG", "COLUMNS", "LINES"):
            surroundings.pop(name, None)
        command = [sys.executable, "-m", "p2ptwisted.cli", *arguments]
        terminal = Terminal(command, WIDTH, HEIGHT, self.here, surroundings | variables)
        self.addCleanup(terminal.close)
        return terminal

    def test_interrupted(self) -> None:
        """Names and bars fit, nothing scrolls, and Ctrl-C leaves a line and no bar."""
        files = {LONG: content_of(6, 1), "big.bin": content_of(6, 2)}
        self.start_holder("one", files, "--max-upload", str(SLOW // 3))
        for locale, bar in (("C.UTF-8", "─"), ("C", "-")):
            terminal = self.open("get", *files, LANG=locale)

            def drawn(terminal: Terminal = terminal, bar: str = bar) -> bool:
                lines = terminal.look().lines
                ends = ("0001.bin ", "big.bin ", "0/2 ")
                return len(lines) == len(ends) and all(
                    end in line and bar in line for end, line in zip(ends, lines, strict=True)
                )

            eventually(WITHIN, "there is a bar for each, and one for all", drawn)
            terminal.press(b"\x03")
            self.assertEqual(terminal.wait(WITHIN), 130)
            self.assertEqual(terminal.screen.scrolled, [])
            told = "".join(terminal.screen.lines)
            self.assertTrue(told.startswith("p2p: interrupted; "), str(terminal.screen))
            self.assertNotIn("big.bin", told)
            self.assertEqual(terminal.sent.isascii(), locale == "C")

    def test_more_than_lines(self) -> None:
        """Of more files than lines those that run are shown, with a line for all; then the sum."""
        files = {f"file-{number:02}.bin": content_of(1, number) for number in range(20)}
        self.start_holder("one", files, "--max-upload", str(2 * SLOW))
        terminal = self.open("get", *files, LANG="C.UTF-8")

        def drawn() -> bool:
            lines = terminal.look().lines
            return lines[-1].split(" ")[0] in {f"{number}/20" for number in range(1, 20)}

        eventually(WITHIN, "some have come, and there is a line for all", drawn)
        self.assertLessEqual(sum("─" in line or "━" in line for line in terminal.screen.lines), 9)
        self.assertEqual(terminal.wait(WITHIN), 0)
        whole = "".join([*terminal.screen.scrolled, *terminal.screen.lines])
        self.assertIn("file-19.bin: 1023.0 KiB in", whole)
        self.assertIn("p2p: 20 files: 20 done; 20.0 MiB in", whole)
        self.assertNotIn("━", whole)

"""
The errors that a caller can do something about.

Every package raises them, with a message that can be shown to a person as it
is. `web.error_responses` maps them to HTTP statuses; nothing here knows HTTP.
"""

from collections.abc import Sequence
from enum import Enum


class InvalidInput(ValueError):
    """A value from outside doesn't have the form that it must have."""


class NotAllowed(Exception):
    """The caller may not do this, though the request is well formed."""


class NotSigned(Exception):
    """The group is closed, and the caller has not proved that it is a member."""


class NotReadable(Exception):
    """The caller is of a version that can't read the answer."""


class TooMuch(Exception):
    """The caller has used up its share of requests; it may ask again in a moment."""


class UnknownNode(Exception):
    """No node is registered under that location."""


class UnknownResource(Exception):
    """No resource with that id is known here."""


class Unavailable(Exception):
    """It can't be done now, but perhaps in a moment."""


class Busy(Unavailable):
    """It can't be done here now, but perhaps at others."""

    def __init__(self, message: str, neighbors: Sequence[str]) -> None:
        """`neighbors` are the locations of the others."""
        super().__init__(message)
        self.neighbors = neighbors


class QueueFull(Unavailable):
    """So much of it waits already that no more is taken now."""


class Trouble(Enum):
    """Why another host can't be asked, in words for a person."""

    REFUSED = "connection refused"
    SILENT = "no answer in time"
    NO_ROUTE = "no route to this host"
    NOT_PROVED = "its certificate is not accepted"
    NO_TLS = "it does not speak TLS"
    BROKEN = "the connection was closed without an answer"
    NOT_HTTP = "the answer is not HTTP"
    OTHER = "it can't be asked"


class Unreached(Unavailable):
    """A call failed before there was an answer."""

    def __init__(self, call: str, trouble: Trouble, detail: str = "") -> None:
        """
        `call` names the call in messages, unless it is empty, as where they are told by the host.

        `detail` says more than `trouble` does.
        """
        self.trouble = trouble
        self.detail = detail or trouble.value
        super().__init__(f"{call}: {self.detail}" if call else self.detail)


class Interrupted(Unavailable):
    """This process stood still in the middle: that it failed says nothing of the other side."""


class Nonsense(Unavailable):
    """The other side's answer is not one that a correct program gives."""


class OlderProgram(Unavailable):
    """The other side is the older program, which can't do that (docs/protocol.md)."""


class StartError(Exception):
    """The daemon can't start; the message is the one line that its user sees."""

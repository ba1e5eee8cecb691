"""
What can go wrong that a caller can do something about.

Raised by every part, each with a message fit to be shown to a person as it
is. `web.envelope` maps them to HTTP statuses; nothing here knows HTTP.
"""


class InvalidInput(ValueError):
    """What somebody gave us is not of the form it must have."""


class NotAllowed(Exception):
    """The caller may not do this, though the request is well formed."""


class NotSigned(Exception):
    """The group is closed, and the caller has not proved that it is a member."""


class TooMuch(Exception):
    """The caller asks more than its share; in a moment it may again."""


class UnknownNode(Exception):
    """No node is registered under that location."""


class UnknownResource(Exception):
    """Nobody has that resource."""


class Unavailable(Exception):
    """It can't be done now, but may be in a moment."""


class Nonsense(Unavailable):
    """The other side has answered, with what no sound program says."""


class OlderProgram(Unavailable):
    """The other side is the older program, which can't do that (docs/protocol.md)."""


class StartError(Exception):
    """The daemon can't start; the message is the one line its user sees."""

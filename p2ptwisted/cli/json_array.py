"""A result in JSON whose elements are printed as they come: there can be more than memory takes."""

import json
from textwrap import indent

import msgspec

from p2ptwisted.cli.end_signals import END_SIGNALS
from p2ptwisted.cli.standard_streams import results


class JsonArray:
    """One JSON document that is an array."""

    def __init__(self) -> None:
        self._is_begun = False

    @END_SIGNALS.breaking()
    def add(self, element: object) -> None:
        """Print one more element. Raises what `standard_streams.results` does, as `end` does."""
        text = indent(json.dumps(msgspec.to_builtins(element), indent=2), "  ")
        with results():
            print(("," if self._is_begun else "[") + "\n" + text, end="")
        self._is_begun = True

    @END_SIGNALS.breaking()
    def end(self) -> None:
        """Print the end of the array."""
        with results():
            print("\n]" if self._is_begun else "[]")

"""The type of an option that is a rate, as people write it: `12.5MB`, `100Mbit`."""

from typing import Any

import click

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support.quantities import RATE, RATE_MIN


class RateType(click.ParamType):  # type: ignore[type-arg]  # click 8.2's has none
    """A rate of at least RATE_MIN. Its value is in bytes a second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            rate = int(RATE.parse(str(value)))
            if rate < RATE_MIN:
                raise InvalidInput(RATE.expected(f"at least {RATE_MIN}"))
        except InvalidInput as error:
            self.fail(f"{value!r}: {error}.", param, ctx)
        return rate

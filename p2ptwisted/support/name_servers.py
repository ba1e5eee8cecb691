"""
Host names, looked up as the C library does it (resolv.conf(5)), but without a thread: in the hosts
file, and at the name servers, in the domains of the search list.
"""

import socket
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from twisted.internet.defer import TimeoutError
from twisted.internet.interfaces import IReactorCore
from twisted.names.client import Resolver
from twisted.names.dns import A, Record_A, RRHeader
from twisted.names.error import DomainError
from twisted.names.hosts import Resolver as Hosts

from p2ptwisted.errors import InvalidInput

CONFIGURATION = "/etc/resolv.conf"

#: Seconds to wait for a name server, for each try.
TIMEOUTS = (1, 2)

#: Domains of the search list that are tried, as the C library did for long; it has no bound now.
DOMAINS_MAX = 6

#: Dots from which on a name is first tried as it is; and the most that a file may ask for.
DOTS, DOTS_MAX = 1, 15


class SearchList(NamedTuple):
    """The domains in which a name is looked up, and from how many dots on first as it is."""

    domains: tuple[str, ...] = ()
    dots: int = DOTS

    @classmethod
    def read(cls, lines: Iterable[bytes], own_name: str) -> "SearchList":
        """
        Read it from the lines of a resolv.conf; the last `search` or `domain` counts.

        Without any, the domain of this machine's `own_name` is searched.
        """
        domains = tuple(own_name.partition(".")[2].split())
        dots = DOTS
        for line in lines:
            keyword, *values = line.decode("latin-1").split() or [""]
            if keyword in ("search", "domain"):
                domains = tuple(values if keyword == "search" else values[:1])
            elif keyword == "options":
                for value in values:
                    option, _, number = value.partition(":")
                    if option == "ndots" and number.isascii() and number.isdigit():
                        dots = min(int(number), DOTS_MAX)
        stripped = (domain.strip(".") for domain in domains)
        return cls(tuple(domain for domain in stripped if domain)[:DOMAINS_MAX], dots)

    def names(self, name: str) -> Iterator[str]:
        """Yield the full names that a name may stand for, in the order in which to try them."""
        if name.endswith("."):
            yield name.rstrip(".")
            return
        is_first = name.count(".") >= self.dots
        if is_first:
            yield name
        for domain in self.domains:
            yield f"{name}.{domain}"
        if not is_first:
            yield name


class NameServers(Resolver):
    """The name servers of a resolv.conf, and its search list, as they are now."""

    search_list = SearchList()

    def parseConfig(self, resolvConf: Iterable[bytes]) -> None:
        lines = list(resolvConf)
        self.search_list = SearchList.read(lines, socket.gethostname())
        super().parseConfig(lines)


async def addresses_of(reactor: IReactorCore, name: str) -> list[str]:
    """
    Return the IPv4 addresses of a host, if it has any.

    Raises InvalidInput where nobody knows its name, or no name server answers.
    """
    hosts, servers = _resolvers(reactor)
    try:
        return _addresses(await hosts.lookupAddress(name))
    except DomainError:
        pass  # It isn't in the file.
    tried = list(servers.search_list.names(name))
    is_known = False
    for full_name in tried:
        try:
            addresses = _addresses(await servers.lookupAddress(full_name, timeout=TIMEOUTS))
        except DomainError:
            continue
        except TimeoutError:
            raise InvalidInput(
                f"host name {name!r} can't be resolved: no name server answers"
            ) from None
        except Exception as error:
            reason = getattr(error, "strerror", None) or str(error) or "the look-up failed"
            raise InvalidInput(f"host name {name!r} can't be resolved: {reason}") from None
        if addresses:
            return addresses
        is_known = True  # It may have other addresses there, and ours in another domain.
    if is_known:
        return []
    others = "" if tried == [name] else f" (looked up as {', '.join(tried)})"
    raise InvalidInput(f"host name {name!r} can't be resolved: no name server knows it{others}")


@lru_cache(1)
def _resolvers(reactor: IReactorCore) -> tuple[Hosts, NameServers]:
    # Made once, and only where a name was given: they watch resolv.conf from then on.
    return Hosts(), NameServers(resolv=CONFIGURATION, reactor=reactor)


def _addresses(answer: tuple[Sequence[RRHeader], object, object]) -> list[str]:
    # An answer may also have the aliases that lead to the address.
    records = [cast(Record_A, header.payload) for header in answer[0] if header.type == A]
    return [record.dottedQuad() for record in records]

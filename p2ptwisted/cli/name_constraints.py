"""
The names that a private authority may sign for: its name constraints (RFC 5280), so that an
authority whose key was stolen can't speak for the rest of the world.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Self

from cryptography import x509

#: Addresses and names that mean something inside of a site only: RFC 1918, 6598 and 1122;
#: RFC 6761, 6762 and 8375, and what ICANN has set aside.
PRIVATE_NETWORKS = tuple(
    map(
        IPv4Network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    )
)
PRIVATE_DOMAINS = ("localhost", "local", "internal", "home.arpa", "test")

_ALL_IPV6 = IPv6Network("::/0")


@dataclass(frozen=True)
class PermittedNames:
    """Networks, and domains with all names below them; empty: an authority without bounds."""

    networks: Sequence[IPv4Network] = ()
    domains: Sequence[str] = ()

    @classmethod
    def around(cls, names: Iterable[IPv4Address | str], more: Self) -> Self:
        """The private names, `more`, and exactly those of `names` that these don't include."""
        bounds = cls((*PRIVATE_NETWORKS, *more.networks), (*PRIVATE_DOMAINS, *more.domains))
        others = [name for name in dict.fromkeys(names) if not bounds.permit(name)]
        return cls(
            (*bounds.networks, *(IPv4Network(one) for one in others if not isinstance(one, str))),
            (*bounds.domains, *(one.lower() for one in others if isinstance(one, str))),
        )

    @classmethod
    def of(cls, authority: x509.Certificate) -> Self:
        """The names that an authority permits; authorities of earlier versions have no bounds."""
        try:
            found = authority.extensions.get_extension_for_class(x509.NameConstraints)
        except x509.ExtensionNotFound:
            return cls()
        permitted = [one.value for one in found.value.permitted_subtrees or ()]
        return cls(
            tuple(one for one in permitted if isinstance(one, IPv4Network)),
            tuple(one for one in permitted if isinstance(one, str)),
        )

    def extension(self) -> x509.NameConstraints:
        """
        The extension of the authority's certificate.

        Where one name of a kind is permitted, no other name of that kind is valid. IPv6 is of the
        same kind as IPv4, but not for every implementation, so it is excluded.
        """
        return x509.NameConstraints(
            [*map(x509.IPAddress, self.networks), *map(x509.DNSName, self.domains)],
            [x509.IPAddress(_ALL_IPV6)],
        )

    def permit(self, name: IPv4Address | str) -> bool:
        if isinstance(name, IPv4Address):
            return not self.networks or any(name in network for network in self.networks)
        below = tuple(f".{domain}" for domain in self.domains)
        return not self.domains or f".{name.lower()}".endswith(below)

    def include(self, others: Self) -> bool:
        """Whether all of the other names are permitted here too."""
        return all(
            any(other.subnet_of(network) for network in self.networks) for other in others.networks
        ) and all(bool(self.domains) and self.permit(domain) for domain in others.domains)

"""Tests for `p2ptwisted.support.locations`."""

from collections.abc import Coroutine
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support import locations
from p2ptwisted.support.locations import (
    NODE_PORT,
    SUPERNODE_PORT,
    Location,
    OwnLocation,
    address_towards,
    location_resolver,
    parse_host,
    parse_location,
    parse_network,
    parse_node_url,
    parse_supernode_url,
    resolve,
    split_location,
)
from p2ptwisted.test.support.fake_kernel import FakeKernel


class ParseLocationTests(SynchronousTestCase):
    """What is a location, and what is said of what isn't."""

    def refusal(self, text: str, default_host: str | None = None) -> str:
        return str(self.assertRaises(InvalidInput, parse_location, text, default_host))

    def test_host_and_port(self) -> None:
        """`host:port` is read, and written again as it was."""
        location = parse_location("192.168.35.11:8000")
        self.assertEqual(location, ("192.168.35.11", 8000))
        self.assertEqual(str(location), "192.168.35.11:8000")

    def test_ports(self) -> None:
        """Every port from 1 to 65535, and leading zeros mean nothing."""
        for text, port in [("1", 1), ("65535", 65535), ("00080", 80)]:
            self.assertEqual(parse_location(f"10.0.0.1:{text}").port, port)

    def test_default_host(self) -> None:
        """Without a host, the default one stands in; a given host wins."""
        self.assertEqual(parse_location(":8000", "10.0.0.9"), ("10.0.0.9", 8000))
        self.assertEqual(parse_location("10.0.0.1:8000", "10.0.0.9"), ("10.0.0.1", 8000))

    def test_no_port(self) -> None:
        """A location needs a port."""
        for text in ["10.0.0.1", "", "host"]:
            self.assertEqual(
                self.refusal(text), f"location {text!r} has no port: write it as host:port"
            )

    def test_bad_port(self) -> None:
        """A port is a number from 1 to 65535, in ASCII digits."""
        for port in ["", "0", "00000", "65536", "70000", "-1", "+1", " 80", "8o", "1e3", "000080"]:
            self.assertEqual(
                self.refusal(f"10.0.0.1:{port}"),
                f"location '10.0.0.1:{port}': its port must be a number from 1 to 65535",
            )
        self.refusal("10.0.0.1:\N{ARABIC-INDIC DIGIT EIGHT}0")

    def test_no_host(self) -> None:
        """Without a default a location needs a host."""
        self.assertEqual(self.refusal(":80"), "location ':80' has no host: write it as host:port")

    def test_not_an_address(self) -> None:
        """A host is a numeric IPv4 address: names and other notations don't travel."""
        for host in ["localhost", "[::1]", "::1", "10.0.0", "10.0.0.256", "010.0.0.1", "1", " "]:
            self.assertEqual(
                self.refusal(f"{host}:80"),
                f"location '{host}:80': {host!r} is not a numeric IPv4 address",
            )

    def test_not_one_host(self) -> None:
        """A location is one host's: no group, no broadcast, not all addresses, not link-local."""
        for host in ["230.0.0.0", "224.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.169.254"]:
            self.assertEqual(
                self.refusal(f"{host}:80"),
                f"location '{host}:80': {host} is not the address of one host",
            )

    def test_bad_default_host(self) -> None:
        """A caller without an IPv4 address can't stand in."""
        self.assertEqual(
            self.refusal(":80", "::1"), "location ':80': '::1' is not a numeric IPv4 address"
        )

    def test_long_text(self) -> None:
        """An endless text is not repeated whole in the message."""
        for text in ["x" * 100_000, "x" * 100_000 + ":80", ":" * 100_000]:
            self.assertLess(len(self.refusal(text)), 250)

    @settings(deadline=None)
    @given(st.ip_addresses(v=4), st.integers(1, 65535))
    def test_round_trip(self, address: object, port: int) -> None:
        """Whatever is a location is written as it is read."""
        text = f"{address}:{port}"
        try:
            self.assertEqual(str(parse_location(text)), text)
        except InvalidInput as error:
            self.assertIn("not the address of one host", str(error))

    @settings(deadline=None)
    @given(st.text() | st.text("0123456789.:"))
    def test_any_text(self, text: str) -> None:
        """Any text is a location or InvalidInput, and a location read again is itself."""
        try:
            location = parse_location(text)
        except InvalidInput:
            return
        self.assertEqual(parse_location(str(location)), location)

    def test_split(self) -> None:
        """What a user gives may have a name for a host, or none."""
        self.assertEqual(split_location("rack7.example:80"), ("rack7.example", 80))
        self.assertEqual(split_location(":80"), ("", 80))

    def test_host_alone(self) -> None:
        """A host alone is read by the same rules."""
        self.assertEqual(str(parse_host("10.0.0.1")), "10.0.0.1")
        for text in ["", "host", "230.0.0.0", "10.0.0.1:80"]:
            self.assertRaises(InvalidInput, parse_host, text)

    def test_network(self) -> None:
        """A network is read, or the message names it and one that would do in its place."""
        self.assertEqual(str(parse_network("10.1.0.0/16", "10.0.0.0/8")), "10.1.0.0/16")
        for text in ["", "host", "10.0.0.1/8", "10.0.0.0/33", "::/0"]:
            refused = self.assertRaises(InvalidInput, parse_network, text, "203.0.113.0/24")
            self.assertIn(f"{text!r} is not a network such as 203.0.113.0/24: ", str(refused))


class AddressTowardsTests(SynchronousTestCase):
    """Which address of ours leads to another host."""

    def setUp(self) -> None:
        self.kernel = FakeKernel({"10.0.0.2": "10.0.0.1", "127.0.0.1": "127.0.0.1"})
        self.patch(locations, "socket", self.kernel)

    def test_towards(self) -> None:
        """The address is that from which the kernel would send."""
        self.assertEqual(address_towards("10.0.0.2"), "10.0.0.1")
        self.assertEqual(self.kernel.open, 0)

    def test_no_route(self) -> None:
        """Without a route it is loopback, and no socket is left open."""
        self.assertEqual(address_towards("10.9.9.9"), "127.0.0.1")
        self.assertEqual(self.kernel.open, 0)


class OwnLocationTests(SynchronousTestCase):
    """What a daemon says of itself."""

    def setUp(self) -> None:
        routes = {"10.0.0.2": "10.0.0.1", "127.0.0.1": "127.0.0.1"}
        self.patch(locations, "socket", FakeKernel(routes))

    def towards(self, host: str, given: tuple[str, int] | None, listening: Location) -> str:
        return OwnLocation(given, lambda: listening).towards(host)

    def test_all_addresses(self) -> None:
        """Listening on all addresses, it names the one that leads to whoever is told."""
        listening = Location("0.0.0.0", 5000)
        self.assertEqual(self.towards("10.0.0.2", None, listening), "10.0.0.1:5000")
        self.assertEqual(self.towards("127.0.0.1", None, listening), "127.0.0.1:5000")

    def test_one_address(self) -> None:
        """Listening on one address, it names that."""
        self.assertEqual(
            self.towards("10.0.0.2", None, Location("10.3.0.1", 5000)), "10.3.0.1:5000"
        )

    def test_given(self) -> None:
        """What the user gave wins over where it listens."""
        self.assertEqual(
            self.towards("10.0.0.2", ("10.3.0.1", 80), Location("0.0.0.0", 5000)), "10.3.0.1:80"
        )

    def test_given_port(self) -> None:
        """A user can give the port alone, as behind a forwarded port."""
        self.assertEqual(
            self.towards("10.0.0.2", ("", 80), Location("0.0.0.0", 5000)), "10.0.0.1:80"
        )
        self.assertEqual(
            self.towards("10.0.0.2", ("", 80), Location("10.3.0.1", 5000)), "10.3.0.1:80"
        )

    def test_given_all_addresses(self) -> None:
        """A given 0.0.0.0 is no address to call, so it means the one that leads there."""
        self.assertEqual(
            self.towards("10.0.0.2", ("0.0.0.0", 80), Location("10.3.0.1", 5000)), "10.0.0.1:80"
        )

    def test_asked_late(self) -> None:
        """Where it listens is asked when needed: a free port is known after the start only."""
        listening = Location("10.3.0.1", 0)
        own = OwnLocation(None, lambda: listening)
        listening = Location("10.3.0.1", 40001)
        self.assertEqual(own.towards("10.0.0.2"), "10.3.0.1:40001")


class ResolveTests(SynchronousTestCase):
    """Host names that a user gave."""

    def setUp(self) -> None:
        self.reactor = cast(IReactorCore, Clock())
        #: The addresses of every name; None: it can't be looked up.
        self.addresses: list[str] | None = []
        self.patch(locations, "addresses_of", self.look_up)

    async def look_up(self, reactor: object, name: str) -> list[str]:
        if self.addresses is None:
            raise InvalidInput(f"nobody knows {name}")
        return self.addresses

    def resolved(self, host: str) -> Deferred[str]:
        return Deferred.fromCoroutine(resolve(self.reactor, host))

    def test_address(self) -> None:
        """An address is not looked up."""
        self.addresses = None
        self.assertEqual(self.successResultOf(self.resolved("10.0.0.7")), "10.0.0.7")

    def test_name(self) -> None:
        """The first address that a name has is taken."""
        self.addresses = ["10.0.0.7", "10.0.0.8"]
        self.assertEqual(self.successResultOf(self.resolved("rack7")), "10.0.0.7")

    def test_unknown_name(self) -> None:
        """A name that nobody knows is the user's mistake, and is named."""
        self.addresses = None
        error = self.failureResultOf(self.resolved("rack7"), InvalidInput).value
        self.assertEqual(str(error), "nobody knows rack7")

    def test_no_address(self) -> None:
        """A name without an IPv4 address is one too."""
        error = self.failureResultOf(self.resolved("rack7"), InvalidInput).value
        self.assertEqual(str(error), "host name 'rack7' has no IPv4 address")

    def test_no_address_of_a_host(self) -> None:
        """An address that no location may have is none for being behind a name."""
        self.addresses = ["169.254.169.254"]
        self.failureResultOf(self.resolved("rack7"), InvalidInput)

    def test_known_from_before(self) -> None:
        """A supernode whose name can't be resolved any more is where it was."""
        resolved = location_resolver(self.reactor, "rack7", 5000)
        for self.addresses, location in (
            (["10.0.0.7"], "10.0.0.7:5000"),
            (None, "10.0.0.7:5000"),
            ([], "10.0.0.7:5000"),
            (["10.0.0.8"], "10.0.0.8:5000"),
        ):
            asked = Deferred.fromCoroutine(cast(Coroutine[Any, Any, str], resolved()))
            self.assertEqual(self.successResultOf(asked), location)

    def test_own_location(self) -> None:
        """A host name in the daemon's own location is resolved once, at the start."""
        self.addresses = ["10.0.0.7"]
        own = OwnLocation(("rack7", 80), lambda: Location("0.0.0.0", 5000))
        self.successResultOf(Deferred.fromCoroutine(own.resolve(self.reactor)))
        self.assertEqual(own.towards("10.0.0.2"), "10.0.0.7:80")

    def test_own_location_without_a_name(self) -> None:
        """Where no host was given there is nothing to resolve."""
        self.addresses = None
        for told, expected in [(None, "10.3.0.1:5000"), (("", 80), "10.3.0.1:80")]:
            own = OwnLocation(told, lambda: Location("10.3.0.1", 5000))
            self.successResultOf(Deferred.fromCoroutine(own.resolve(self.reactor)))
            self.assertEqual(own.towards("10.0.0.2"), expected)


class SupernodeUrlTests(SynchronousTestCase):
    """What `--supernode` takes."""

    def test_urls(self) -> None:
        """A name or an address and a port, with or without a last slash."""
        for text, expected in [
            ("http://10.0.0.1:5000", ("10.0.0.1", 5000)),
            ("http://10.0.0.1:5000/", ("10.0.0.1", 5000)),
            ("http://rack7.example:80", ("rack7.example", 80)),
            ("HTTP://Rack7:80", ("rack7", 80)),
        ]:
            self.assertEqual(parse_supernode_url(text), expected)

    def test_left_out(self) -> None:
        """What is left out is the usual: http, and the port where the role listens by default."""
        for text in ("10.0.0.1", "http://10.0.0.1", "http://10.0.0.1/"):
            self.assertEqual(parse_supernode_url(text), ("10.0.0.1", SUPERNODE_PORT))
            self.assertEqual(parse_node_url(text), ("10.0.0.1", NODE_PORT))
        self.assertEqual(parse_node_url("rack7:80"), ("rack7", 80))

    def test_secured(self) -> None:
        """https is for groups that speak TLS, and these take either."""
        for scheme in ("http", "https"):
            url = f"{scheme}://10.0.0.1:5000"
            self.assertEqual(parse_supernode_url(url, secured=True), ("10.0.0.1", 5000))
        error = self.assertRaises(InvalidInput, parse_supernode_url, "https://10.0.0.1:5000")
        self.assertIn("--ca-file", str(error))

    def test_refused(self) -> None:
        """Anything else is named, with the form it must have."""
        for text in [
            "",
            "x" * 300,
            "http://",
            "http://10.0.0.1:",
            "http://user@10.0.0.1:5000",
            "http://:5000",
            "http://10.0.0.1:0",
            "http://10.0.0.1:70000",
            "http://10.0.0.1:port",
            "ftp://10.0.0.1:5000",
            "http://10.0.0.1:5000/api",
            "http://10.0.0.1:5000/?a=b",
            "http://10.0.0.1:5000/#a",
            "http://[::1:5000",
        ]:
            error = self.assertRaises(InvalidInput, parse_supernode_url, text)
            self.assertEqual(
                str(error),
                f"{text[:80]!r} is not the URL of a supernode: write it as http://HOST:5000",
            )

"""Tests for `p2ptwisted.support.name_servers`."""

from typing import cast

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import Clock
from twisted.names.common import ResolverBase
from twisted.names.dns import Record_A, Record_CNAME, RRHeader
from twisted.names.error import DNSNameError, DNSServerError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.errors import InvalidInput
from p2ptwisted.support import name_servers
from p2ptwisted.support.name_servers import (
    CONFIGURATION,
    DOMAINS_MAX,
    DOTS_MAX,
    NameServers,
    SearchList,
    addresses_of,
)

Payload = Record_A | Record_CNAME


class FakeResolver(ResolverBase):
    """Answers with what it is told to, by name; it knows no others."""

    def __init__(self, **known: Payload | Exception | None) -> None:
        super().__init__()
        self.known = {name.replace("_", "."): payload for name, payload in known.items()}
        self.asked: list[str] = []
        self.search_list = SearchList()

    def _lookup(self, name: bytes, cls: object, type: object, timeout: object) -> object:
        text = name.decode()
        self.asked.append(text)
        payload = self.known.get(text, DNSNameError(name))
        if isinstance(payload, Exception):
            return fail(Failure(payload))
        answers = [] if payload is None else [RRHeader(type=payload.TYPE, payload=payload)]
        return succeed((answers, [], []))


class SearchListTests(SynchronousTestCase):
    """In which domains a name is looked up."""

    def read(self, text: str, own_name: str = "here") -> SearchList:
        return SearchList.read(text.encode().splitlines(), own_name)

    def test_search(self) -> None:
        """The last line with domains counts, and of `domain` the first one."""
        self.assertEqual(self.read("search a.test b.test.\n").domains, ("a.test", "b.test"))
        self.assertEqual(self.read("search a.test\ndomain b.test c.test").domains, ("b.test",))
        self.assertEqual(self.read("domain b.test\n search\ta.test").domains, ("a.test",))
        self.assertEqual(self.read("search .").domains, ())

    def test_own_domain(self) -> None:
        """Without such a line, it is the one that this machine is in."""
        for text in ("", "nameserver 10.0.0.1\n# search a.test\n;search b.test"):
            self.assertEqual(self.read(text, "here.c.test").domains, ("c.test",))
            self.assertEqual(self.read(text, "here").domains, ())
        self.assertEqual(self.read("search a.test", "here.c.test").domains, ("a.test",))

    def test_bounded(self) -> None:
        """However long the list is, some domains are tried."""
        text = "search " + " ".join(f"d{number}.test" for number in range(100))
        self.assertEqual(len(self.read(text).domains), DOMAINS_MAX)

    def test_dots(self) -> None:
        """`ndots` may be any number up to a bound; what is no number doesn't count."""
        self.assertEqual(self.read("options rotate ndots:5 timeout:1").dots, 5)
        self.assertEqual(self.read("options ndots:99999").dots, DOTS_MAX)
        for text in ("", "options", "options ndots", "options ndots:", "options ndots:x"):
            self.assertEqual(self.read(text).dots, 1)

    def test_any_bytes(self) -> None:
        """A file that is no text has no domains that matter, and breaks nothing."""
        read = SearchList.read([b"\xff\xfe search", b"", b"search \xe9.test"], "here")
        self.assertEqual(len(read.domains), 1)

    def names(self, name: str, dots: int = 1) -> list[str]:
        return list(SearchList(("a.test", "b.test"), dots).names(name))

    def test_short_name(self) -> None:
        """A name without a dot is first looked up in the domains."""
        self.assertEqual(self.names("head"), ["head.a.test", "head.b.test", "head"])

    def test_long_name(self) -> None:
        """A name with dots is first looked up as it is, if these are enough."""
        self.assertEqual(self.names("head.x"), ["head.x", "head.x.a.test", "head.x.b.test"])
        self.assertEqual(self.names("head.x", 2), ["head.x.a.test", "head.x.b.test", "head.x"])

    def test_full_name(self) -> None:
        """A name with a dot at its end stands for itself."""
        self.assertEqual(self.names("head.x."), ["head.x"])
        self.assertEqual(self.names("head."), ["head"])


class AddressesTests(SynchronousTestCase):
    """The addresses of a name."""

    def setUp(self) -> None:
        self.hosts, self.servers = FakeResolver(), FakeResolver()
        self.servers.search_list = SearchList(("a.test", "b.test"))
        self.patch(name_servers, "_resolvers", lambda reactor: (self.hosts, self.servers))

    def look_up(self, name: str) -> Deferred[list[str]]:
        return Deferred.fromCoroutine(addresses_of(cast(IReactorCore, Clock()), name))

    def refusal(self, name: str) -> str:
        return str(self.failureResultOf(self.look_up(name), InvalidInput).value)

    def test_hosts_file(self) -> None:
        """A name in the file of hosts is looked up nowhere else."""
        self.hosts.known["head"] = Record_A("10.0.0.7")
        self.assertEqual(self.successResultOf(self.look_up("head")), ["10.0.0.7"])
        self.assertEqual(self.servers.asked, [])

    def test_domains(self) -> None:
        """The first domain that has the name counts; a server that fails is not the last word."""
        self.servers.known = {
            "head.a.test": DNSServerError(b""),
            "head.b.test": Record_A("10.0.0.7"),
            "head": Record_A("10.0.0.8"),
        }
        self.assertEqual(self.successResultOf(self.look_up("head")), ["10.0.0.7"])

    def test_other_records(self) -> None:
        """A name that has no address in one domain may have one in the next."""
        self.servers.known = {"head.a.test": None, "head.b.test": Record_A("10.0.0.7")}
        self.assertEqual(self.successResultOf(self.look_up("head")), ["10.0.0.7"])
        del self.servers.known["head.b.test"]
        self.assertEqual(self.successResultOf(self.look_up("head")), [])

    def test_unknown(self) -> None:
        """Where nobody knows it, it is said as what it was looked up."""
        self.assertEqual(
            self.refusal("head"),
            "host name 'head' can't be resolved: no name server knows it "
            "(looked up as head.a.test, head.b.test, head)",
        )
        self.assertEqual(
            self.refusal("head.x."),
            "host name 'head.x.' can't be resolved: no name server knows it (looked up as head.x)",
        )
        self.servers.search_list = SearchList()
        self.assertTrue(self.refusal("head").endswith("knows it"))

    def test_silence(self) -> None:
        """Where no server answers, no other name is tried: it would take as long again."""
        self.servers.known["head.a.test"] = TimeoutError()
        self.assertEqual(
            self.refusal("head"), "host name 'head' can't be resolved: no name server answers"
        )
        self.assertEqual(self.servers.asked, ["head.a.test"])

    def test_another_failure(self) -> None:
        """Whatever else goes wrong is said too."""
        self.servers.known["head.a.test"] = OSError("no socket")
        self.assertIn("can't be resolved: no socket", self.refusal("head"))


class NameServersTests(SynchronousTestCase):
    """The configuration of the machine."""

    def test_configuration(self) -> None:
        """Servers and the search list are those of the file."""
        path = self.mktemp()
        with open(path, "w", encoding="ascii") as file:
            file.write("search a.test\nnameserver 10.0.0.1\noptions ndots:2\n")
        clock = Clock()
        servers = NameServers(resolv=path, reactor=clock)
        self.assertEqual(servers.search_list, SearchList(("a.test",), 2))
        self.assertEqual(list(servers.dynServers), [("10.0.0.1", 53)])

    def test_made_once(self) -> None:
        """However often names are looked up, the file is watched once."""
        made = []

        def make(resolv: str, reactor: object) -> FakeResolver:
            made.append(resolv)
            return FakeResolver(head=Record_A("10.0.0.7"))

        self.patch(name_servers, "Hosts", FakeResolver)
        self.patch(name_servers, "NameServers", make)
        reactor = cast(IReactorCore, Clock())
        for _ in range(3):
            self.successResultOf(Deferred.fromCoroutine(addresses_of(reactor, "head")))
        self.assertEqual(made, [CONFIGURATION])

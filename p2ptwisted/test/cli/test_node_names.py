"""Tests of `p2ptwisted.cli.node_names`."""

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import members as members_module
from p2ptwisted.cli.exit_status import CommandError, ExitStatus
from p2ptwisted.cli.node_names import LISTED_MAX, NamedNode, named_node
from p2ptwisted.cli.session import ICommandReactor, Session, Settings
from p2ptwisted.client.api import Client
from p2ptwisted.errors import InvalidInput, Trouble, Unreached
from p2ptwisted.model import GoneNode, NodeInfo


class Group:
    """A client of a supernode that lists these nodes, or doesn't answer."""

    def __init__(self) -> None:
        self.listed = [NodeInfo("nn1", "10.0.0.7:8000"), NodeInfo("nn2", "10.0.0.8:8001")]
        self.answers = True

    async def other_supernodes(self, supernode: str) -> list[str]:
        return []

    async def nodes(self, supernode: str) -> list[NodeInfo]:
        if not self.answers:
            raise Unreached("a call", Trouble.SILENT)
        return self.listed

    async def gone(self, supernode: str) -> list[GoneNode]:
        return []


class NamedNodeTests(SynchronousTestCase):
    """What `--node` means."""

    def setUp(self) -> None:
        self.group = Group()
        #: The hosts that have a name.
        self.hosts = {"10.0.0.9": "10.0.0.9"}

        async def resolve(reactor: object, host: str) -> str:
            if host not in self.hosts:
                raise InvalidInput(f"host name {host!r} can't be resolved")
            return self.hosts[host]

        self.patch(members_module, "resolve", resolve)

    def look(self, text: str) -> Deferred[Any]:
        session = Session(
            cast(ICommandReactor, None),
            cast(Client, self.group),
            Settings(supernode="http://10.0.0.9:5000"),
        )
        return Deferred.fromCoroutine(named_node(session, text))

    def problem(self, text: str) -> CommandError:
        return cast(CommandError, self.failureResultOf(self.look(text), CommandError).value)

    def test_name(self) -> None:
        """A name that the supernodes know means that node, before any host of that name."""
        self.hosts["nn2"] = "10.0.0.1"
        found = self.successResultOf(self.look("nn2"))
        self.assertEqual(found, NamedNode("nn2", "10.0.0.8:8001"))

    def test_address(self) -> None:
        """An address needs nobody who knows it, and has the usual port."""
        self.group.answers = False
        for text in ("10.0.0.9", "10.0.0.9:8000", "http://10.0.0.9", "http://10.0.0.9:8000/"):
            found = self.successResultOf(self.look(text))
            self.assertEqual(found.location, "10.0.0.9:8000", text)

    def test_host(self) -> None:
        """What no node is called can be a host, also while no supernode can be asked."""
        self.hosts["rack7"] = "10.0.0.1"
        for answers in (True, False):
            self.group.answers = answers
            self.assertEqual(self.successResultOf(self.look("rack7")).location, "10.0.0.1:8000")
            self.assertEqual(self.successResultOf(self.look("rack7:80")).location, "10.0.0.1:80")

    def test_neither(self) -> None:
        """Where it is neither, both are said."""
        problem = self.problem("nn3")
        self.assertIs(problem.status, ExitStatus.USAGE)
        self.assertIn("'nn3' can't be resolved", str(problem))
        self.assertIn("p2p nodes lists them", str(problem))

    def test_nobody_to_ask(self) -> None:
        """Where no supernode can be asked, it isn't said that no node has that name."""
        self.group.answers = False
        problem = self.problem("nn2")
        self.assertIs(problem.status, ExitStatus.NOBODY)
        self.assertIn("names can't be looked up: supernode 10.0.0.9:5000", str(problem))

    def test_several(self) -> None:
        """Where several nodes have that name, their addresses are listed."""
        self.group.listed = [NodeInfo("nn2", f"10.0.0.8:{port}") for port in range(1, 30)]
        problem = self.problem("nn2")
        self.assertIs(problem.status, ExitStatus.USAGE)
        self.assertIn("29 nodes have that name", str(problem))
        self.assertIn(f"10.0.0.8:{LISTED_MAX} and 19 more", str(problem))

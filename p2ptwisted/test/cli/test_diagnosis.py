"""Tests of `p2ptwisted.cli.diagnosis`."""

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.cli import diagnosis
from p2ptwisted.cli.diagnosis import Diagnosis, Diagnostician, Role
from p2ptwisted.client.api import Client
from p2ptwisted.client.transport import IClientReactor, Refused
from p2ptwisted.errors import Nonsense, Trouble, Unavailable, Unreached

AT = "10.0.0.1:5000"


class Members:
    """A client of a group in which these locations are supernodes and nodes."""

    supernodes: tuple[str, ...] = ()
    nodes_there: tuple[str, ...] = ()

    async def nodes(self, location: str) -> list[object]:
        if location not in self.supernodes:
            raise Refused(404, "there is no route")
        return []

    async def health(self, location: str) -> object:
        if location not in self.nodes_there:
            raise Refused(404, "there is no route")
        return object()


class DiagnosisTests(SynchronousTestCase):
    """What is said of a member that can't be asked, and how it differs."""

    def setUp(self) -> None:
        self.members = Members()
        #: What a look finds out.
        self.has_tls = self.has_http = False

        async def speaks_tls(reactor: object, location: str) -> bool:
            return self.has_tls

        async def speaks_http(reactor: object, location: str) -> bool:
            return self.has_http

        self.patch(diagnosis, "speaks_tls", speaks_tls)
        self.patch(diagnosis, "speaks_http", speaks_http)

    def why(
        self,
        error: Unavailable | Refused | Trouble,
        role: Role = Role.SUPERNODE,
        key: str | None = None,
        ca: str | None = None,
    ) -> Diagnosis:
        if isinstance(error, Trouble):
            error = Unreached(f"GET http://{AT}/api", error)
        members = cast(Client, self.members)
        doctor = Diagnostician(cast(IClientReactor, None), members, key, ca)
        found: Deferred[Any] = Deferred.fromCoroutine(doctor.why(role, AT, error))
        why: Diagnosis = self.successResultOf(found)
        # What is called is no business of the reader's.
        self.assertNotIn("GET", why.line)
        self.assertTrue(why.line.startswith(f"{role.value} {AT} "), why.line)
        return why

    def test_nothing_listens(self) -> None:
        """Of a refused connection it is said what starts a member, as it can be typed."""
        self.assertIn("(p2p supernode)", self.why(Trouble.REFUSED).line)
        self.assertIn("(p2p node DIR)", self.why(Trouble.REFUSED, Role.NODE).line)

    def test_no_answer(self) -> None:
        """One that says nothing, and one to which there is no way, are not said to be missing."""
        self.assertEqual(self.why(Trouble.SILENT).state, "no answer")
        self.assertEqual(self.why(Trouble.NO_ROUTE).state, "no route")

    def test_tls_wanted(self) -> None:
        """Where TLS is spoken and no authority was given, the option is named."""
        self.has_tls = True
        for trouble in (Trouble.BROKEN, Trouble.NOT_HTTP):
            why = self.why(trouble)
            self.assertEqual(why.state, "speaks TLS")
            self.assertIn("--ca-file", why.line)

    def test_no_tls(self) -> None:
        """Where none is spoken with one who wants it, that is said, however it shows."""
        self.has_http = True
        for trouble in (Trouble.NO_TLS, Trouble.BROKEN, Trouble.SILENT):
            why = self.why(trouble, ca="ca.pem")
            self.assertEqual(why.state, "speaks no TLS")
            self.assertIn("leave out --ca-file", why.line)

    def test_certificate(self) -> None:
        """A certificate that isn't accepted is told with the reason, and with the file."""
        error = Unreached("GET x", Trouble.NOT_PROVED, "the certificate is refused: it is old")
        why = self.why(error, ca="ca.pem")
        self.assertIn("it is old", why.line)
        self.assertIn("ca.pem now", why.line)

    def test_key_wanted(self) -> None:
        """Without a key a closed group's member says that it wants one."""
        why = self.why(Refused(401, "this group is closed, and your call is not signed"))
        self.assertEqual(why.state, "closed group")
        self.assertIn("--group-key-file", why.line)

    def test_wrong_key(self) -> None:
        """A wrong key is named by its file, and isn't taken for a wrong clock."""
        said = "this group is closed, and your call is not signed with its key: "
        wrong = self.why(Refused(401, f"{said}Signature did not match"), key="some.key")
        self.assertIn("doesn't accept the key in some.key", wrong.line)
        late = self.why(Refused(401, f"{said}Signature age exceeds maximum allowable age"), key="k")
        self.assertEqual(late.state, "clocks differ")

    def test_other_role(self) -> None:
        """A node that is named as a supernode is called a node, and the other way round."""
        self.members.nodes_there = (AT,)
        self.assertEqual(self.why(Refused(404, "there is no route")).state, "a node")
        self.members.nodes_there, self.members.supernodes = (), (AT,)
        self.assertEqual(self.why(Refused(404, "no route"), Role.NODE).state, "a supernode")

    def test_stranger(self) -> None:
        """What is no member at all is not said to be one with trouble."""
        for error in (Refused(404, "GET http://x: status 404"), Nonsense("no JSON")):
            self.assertEqual(self.why(error).state, "not a supernode")

    def test_trouble(self) -> None:
        """A member's own refusal comes with what it says of it."""
        self.members.nodes_there = (AT,)
        for status, state in ((404, "has trouble"), (400, "has trouble"), (503, "busy")):
            why = self.why(Refused(status, "no such thing"), Role.NODE)
            self.assertEqual(why.state, state)
            self.assertIn("no such thing", why.line)

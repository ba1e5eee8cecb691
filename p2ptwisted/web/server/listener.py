"""The service of an HTTP server, which listens while it runs."""

from twisted.application.service import Service
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.python.failure import Failure

from p2ptwisted.errors import StartError
from p2ptwisted.support.locations import Location
from p2ptwisted.web.server.endpoints import make_endpoint
from p2ptwisted.web.server.site import LimitedSite


class WebService(Service):
    """A site that listens while the service runs."""

    def __init__(self, reactor: IReactorTime, endpoint: str, site: LimitedSite) -> None:
        """`endpoint` is an endpoint string, such as `tcp:8000`."""
        self._reactor = reactor
        self._endpoint = endpoint
        self._site = site
        self._port: IListeningPort | None = None
        self._location: Location | None = None

    def privilegedStartService(self) -> None:
        """Listen. Raises StartError where that fails."""
        super().privilegedStartService()
        try:
            listening = make_endpoint(self._reactor, self._endpoint).listen(self._site)
        except Exception as problem:
            # Whatever Twisted raises for an endpoint that it can't make.
            raise StartError(f"--port {self._endpoint}: {problem}") from problem
        failures: list[Failure] = []
        listening.addCallback(self._listens).addErrback(failures.append)
        for failure in failures:
            reason = failure.value
            if isinstance(reason, StartError):
                raise reason
            if isinstance(reason, CannotListenError):
                reason = reason.socketError
            raise StartError(f"--port {self._endpoint}: can't listen there: {reason}")

    def startService(self) -> None:
        super().startService()
        if self._port is None:
            self.privilegedStartService()

    async def _close(self) -> None:
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
        await self._site.close()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._close())

    def _listens(self, port: IListeningPort) -> None:
        self._port = port
        address = port.getHost()
        if not isinstance(address, IPv4Address):
            raise StartError(
                f"--port {self._endpoint}: listen on IPv4, for locations are IPv4 addresses"
            )
        self._location = Location(address.host, address.port)

    def listening(self) -> Location:
        """Return where this listens, or did last. Only after the start."""
        assert self._location is not None
        return self._location

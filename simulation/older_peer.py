"""
A peer of an older program in a virtual group: supernode and node in one. It knows
the three datagrams without tags, and sends all its replies to the group.
"""

from collections.abc import Sequence

from twisted.internet.interfaces import IMulticastTransport
from twisted.internet.protocol import DatagramProtocol

from p2ptwisted.protocols.datagrams import FOUND, NOT_FOUND, REQUEST
from simulation.clock import Time
from simulation.members import GROUP, NODE_PORT, answer
from simulation.network import Network, Process, Reply

NAME = "older-peer"


class OlderPeer(DatagramProtocol):
    """Answers for its own resources, by datagram and over HTTP, and asks nothing."""

    transport: IMulticastTransport

    def __init__(self, time: Time, network: Network, address: str, ids: Sequence[str]) -> None:
        self.ids = list(ids)
        process = Process(time, network, address, NODE_PORT)
        process.serve = self._serve
        self.location = process.location
        #: How often it was asked over HTTP whether it has a resource.
        self.confirmed = 0
        process.listenMulticast(GROUP.port, self, interface=GROUP.address)
        self.transport.joinGroup(GROUP.address)

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        _, code, id = datagram.decode().split(";")
        if code == REQUEST:
            reply = f"{FOUND};{self.location}" if id in self.ids else f"{NOT_FOUND};{id}"
            self.transport.write(f"{NAME};{reply}".encode(), (GROUP.address, GROUP.port))

    async def _serve(self, method: str, path: str, body: bytes | None, caller: str) -> Reply:
        self.confirmed += 1
        id = path.removeprefix("api/node/resources/")
        return answer({"id": id} if id in self.ids else {})

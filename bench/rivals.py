"""The same file from one host to others by other means: libtorrent, UFTP, HTTP from nginx."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import Popen, TimeoutExpired, run

from bench.files import MIB, check
from bench.nginx import nginx
from bench.processes import BenchError, environment, eventually, see_running, started
from bench.swarm import POLL, WITHIN, Member

#: How much of the link UFTP's data shall fill, without headers of Ethernet, IP and UDP: it sends
#: at the rate that it is given, and what doesn't fit is lost.
UFTP_SHARE = 0.95

#: Bytes of UFTP's socket buffers, of themselves 256 KiB: with those, of eight receivers at 100
#: Mbit/s on two cores some were late and lost datagrams, which then went to all once more.
UFTP_BUFFER = 4 * MIB

#: The default of both.
UFTP_PORT = 1044

_TORRENT = (sys.executable, "-P", "-m", "bench.torrent")


def libtorrent(folder: Path, holder: Member, nodes: Sequence[Member], file: Path, id: str) -> float:
    """Seconds until the last has it; every peer is told of the seed and of all before it."""
    torrent = folder / f"{file.name}.torrent"
    making = [*_TORRENT, "make", str(file), str(torrent)]
    made = run(making, env=environment(), capture_output=True, text=True)
    if made.returncode:
        raise BenchError(f"{making}: {made.stderr.strip()}")
    peers: list[tuple[Popen[bytes], Path]] = []
    with ExitStack() as stack:
        for number, member in enumerate([holder, *nodes]):
            log = folder / f"libtorrent-{number}.log"
            role, place = ("get", member.other) if number else ("seed", file.parent)
            known = [other.host.address for other in [holder, *nodes][:number]]
            command = [*_TORRENT, role, str(torrent), str(place), member.host.address, *known]
            with member.host.entered():
                peers.append((stack.enter_context(started(command, log)), log))
        eventually("all peers are ready", lambda: _have_said(peers, "ready"))
        began = time.monotonic()
        for process, _ in reversed(peers):
            assert process.stdin is not None
            process.stdin.write(b"go\n")
            process.stdin.flush()
        eventually("all peers are done", lambda: _have_said(peers, "done"), WITHIN, POLL)
        taken = time.monotonic() - began
    _take_away(nodes, file, id)
    return taken


def _have_said(peers: Sequence[tuple["Popen[bytes]", Path]], word: str) -> bool:
    for process, log in peers:
        see_running(process, log)
    return all(word in log.read_text(errors="replace").split() for _, log in peers)


def uftp(
    folder: Path, holder: Member, nodes: Sequence[Member], file: Path, id: str, mbit: int
) -> float:
    """
    Seconds until its server ends, which is when the last has said that it has it.

    It goes to all at once by multicast, not encrypted; nothing is verified on
    the way. `mbit` is what a link has.
    """
    options = ["-I", "eth0", "-B", str(UFTP_BUFFER)]
    clients: list[tuple[Popen[bytes], Path]] = []
    with ExitStack() as stack:
        for number, member in enumerate(nodes):
            # -d: in the foreground; -q: no name is looked up.
            command = ["uftpd", "-d", "-q", *options, "-D", str(member.other)]
            log = folder / f"uftpd-{number}.log"
            with member.host.entered():
                clients.append((stack.enter_context(started(command, log)), log))
        eventually("all uftpd listen", lambda: all(_listens(*client) for client in clients))
        # The clients by their ids, or it would wait for more of them; the default of an id is
        # the address.
        ids = ",".join(f"0x{int(IPv4Address(member.host.address)):08X}" for member in nodes)
        rate = str(round(mbit * 1000 * UFTP_SHARE))
        # -q: one that fails is a failure.
        command = ["uftp", "-q", "-Y", "none", "-R", rate, *options, "-H", ids, str(file)]
        log = folder / "uftp.log"
        began = time.monotonic()
        with holder.host.entered():
            server = stack.enter_context(started(command, log))
        try:
            status = server.wait(WITHIN)
        except TimeoutExpired:
            raise BenchError(f"not within {WITHIN:g} s: {command}") from None
        taken = time.monotonic() - began
        if status:
            see_running(server, log)
    _take_away(nodes, file, id)
    return taken


def _listens(client: "Popen[bytes]", log: Path) -> bool:
    """Whether a uftpd has bound its port, which it doesn't tell."""
    see_running(client, log)
    sockets = Path(f"/proc/{client.pid}/net/udp").read_text()
    return f"00000000:{UFTP_PORT:04X} " in sockets


def http(folder: Path, holder: Member, nodes: Sequence[Member], file: Path, id: str) -> float:
    """Seconds until the last of so many curls has it; nothing is verified on the way."""
    with ExitStack() as stack:
        with holder.host.entered():
            port = stack.enter_context(nginx(folder, file.parent, "0.0.0.0"))
        url = f"http://{holder.host.address}:{port}/{file.name}"
        began = time.monotonic()
        clients = []
        for number, member in enumerate(nodes):
            command = ["curl", "--silent", "--show-error", "--fail", "--output"]
            command += [str(member.other / file.name), url]
            log = folder / f"curl-{number}.log"
            with member.host.entered():
                clients.append((stack.enter_context(started(command, log)), log))

        def through() -> bool:
            for client, log in clients:
                if client.poll():
                    see_running(client, log)
            return all(client.returncode == 0 for client, _ in clients)

        eventually("all curls are through", through, WITHIN, POLL)
        taken = time.monotonic() - began
    _take_away(nodes, file, id)
    return taken


def _take_away(nodes: Sequence[Member], file: Path, id: str) -> None:
    """Compare the copies and remove them."""
    for member in nodes:
        copy = member.other / file.name
        check(copy, id)
        copy.unlink()

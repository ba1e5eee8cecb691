"""The same file from one host to others by other means: libtorrent, and HTTP from nginx."""

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen, run

from bench.files import check
from bench.nginx import nginx
from bench.processes import BenchError, environment, eventually, see_running, started
from bench.swarm import POLL, WITHIN, Member

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

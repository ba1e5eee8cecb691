"""
A yardstick for many nodes: libtorrent, one process for each peer.

    python -m bench.torrent make FILE TORRENT
    python -m bench.torrent seed|get TORRENT FOLDER ADDRESS [PEER ...]

The second says `ready`, waits for a line, connects to the peers, says `done`
when it has everything, and ends when its input does.
"""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import libtorrent

PORT = 6881


def make(file: Path, torrent: Path) -> None:
    """Write the torrent of one file."""
    storage = libtorrent.file_storage()
    storage.add_file(file.name, file.stat().st_size)
    creating = libtorrent.create_torrent(storage)
    libtorrent.set_piece_hashes(creating, str(file.parent))
    torrent.write_bytes(libtorrent.bencode(creating.generate()))


def take_part(role: str, torrent: Path, folder: Path, address: str, peers: Sequence[str]) -> None:
    """Seed it or get it, until the input ends."""
    # All other ways to find peers are off, for each is told of the others; the rest is as it comes.
    session = libtorrent.session(
        {
            "listen_interfaces": f"{address}:{PORT}",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_natpmp": False,
            "enable_upnp": False,
        }
    )
    adding = libtorrent.add_torrent_params()
    adding.ti = libtorrent.torrent_info(str(torrent))
    adding.save_path = str(folder)
    flags = libtorrent.torrent_flags
    adding.flags &= ~(flags.paused | flags.auto_managed)
    if role == "seed":
        adding.flags |= flags.seed_mode
    handle = session.add_torrent(adding)
    print("ready", flush=True)
    sys.stdin.readline()
    for peer in peers:
        handle.connect_peer((peer, PORT))
    ended = threading.Thread(target=sys.stdin.read, daemon=True)
    ended.start()
    while not handle.status().is_seeding and ended.is_alive():
        session.wait_for_alert(20)
        session.pop_alerts()
    print("done", flush=True)
    ended.join()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "make":
        make(Path(arguments[0]), Path(arguments[1]))
    else:
        take_part(command, Path(arguments[0]), Path(arguments[1]), arguments[2], arguments[3:])

"""
Floods a supernode with datagrams, as a process of its own:

    python -m test.flooder GROUP PORT RATE SECONDS KNOWN_ID [KEY_FILE]

So many a second for so many seconds, of every kind: requests for what is known
and what isn't, replies that nobody asked for, and nonsense; from many
addresses. With a closed group's key, half of them are sealed. Prints how many
it sent and how many of its senders got an answer.
"""

import random
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from p2ptwisted.protocols.datagram_auth import DatagramAuth
from p2ptwisted.security.group_key import load_group_key

#: Senders, each with an address of its own; not a multiple of KINDS, so that each sends all.
SENDERS = 101

#: Kinds of datagrams.
KINDS = 10

#: Datagrams between two looks at the clock.
BURST = 20


def datagrams(known: str, chance: random.Random) -> Iterator[bytes]:
    """Every kind, one after the other, without end."""
    members = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(50)]
    while True:
        name, tag = chance.choice(members), f"{chance.getrandbits(48):x}"
        unknown = f"{chance.getrandbits(256):064x}"
        yield f"{name}#{tag};20;{unknown}".encode()
        yield f"{name}#{tag};20;{known}".encode()
        yield f"{name};20;{unknown}".encode()
        yield f"{name};20;{known}".encode()
        yield f"{name}#{tag};21;127.0.0.9:1".encode()
        yield f"{name};21;127.0.0.9:1".encode()
        yield f"{name};22;{known}".encode()
        yield f"{name};22;{unknown};1790000000.{unknown}".encode()
        yield b";".join([b"\xff" * 40] * 3)
        yield b"x" * 1400


def half_sealed(kinds: Iterator[bytes], key: Path) -> Iterator[bytes]:
    """These, every kind in turn as a member would send it, and as one who isn't."""
    auth = DatagramAuth(load_group_key(key))
    for number, datagram in enumerate(kinds):
        is_sealed = (number + number // KINDS) % 2
        yield auth.seal(datagram, time.time()) if is_sealed else datagram


def has_answer(sender: socket.socket) -> bool:
    sender.setblocking(False)
    try:
        return bool(sender.recv(2000))
    except BlockingIOError:
        return False


def main(group: str, port: int, rate: int, seconds: float, known: str, key: str = "") -> None:
    sockets = []
    for number in range(SENDERS):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((f"127.0.1.{number + 1}", 0))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sockets.append(sender)
    kinds = datagrams(known, random.Random(1))
    if key:
        kinds = half_sealed(kinds, Path(key))
    began, sent = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        if sent > passed * rate:
            time.sleep(BURST / rate)
            continue
        for _ in range(BURST):
            sockets[sent % SENDERS].sendto(next(kinds), (group, port))
            sent += 1
    print(sent, sum(map(has_answer, sockets)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), *sys.argv[5:])

"""The processes of a run, on loopback: started, waited for, stopped by their pid."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

HOST = "127.0.0.1"

#: Below those that the kernel gives to outgoing connections, so that a free one stays free.
PORTS = range(23000, 24000)

#: Seconds that a process may take to answer, one request may take, and a process to end.
START_WITHIN = 30.0
ANSWER_WITHIN = 30.0
STOP_WITHIN = 10.0

#: Seconds between two looks at something that is to become true.
POLL = 0.05


class BenchError(Exception):
    """Nothing can be measured; the message says why."""


@dataclass(frozen=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes


def request(method: str, port: int, path: str, body: bytes | None = None) -> Answer:
    """The answer to one request. Raises OSError or HTTPException."""
    connection = HTTPConnection(HOST, port, timeout=ANSWER_WITHIN)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


def get(port: int, path: str) -> Answer:
    return request("GET", port, path)


def order(node: int, id: str) -> None:
    """Have the node with that port fetch a resource. Raises BenchError."""
    answer = request("POST", node, "/api/node/fetch", json.dumps({"id": id}).encode())
    if answer.status != 202:
        raise BenchError(f"ordering {id} gave {answer}")


def eventually(
    what: str, look: Callable[[], bool], within: float = START_WITHIN, poll: float = POLL
) -> None:
    """Return when `look` is true. Raises BenchError where that takes too long."""
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            if look():
                return
        except (OSError, HTTPException) as error:
            last = error
        time.sleep(poll)
    raise BenchError(f"not within {within:g} s: {what}" + (f" ({last})" if last else ""))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody listens on, another one each time."""
    for port in _ports:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise BenchError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


_ports = iter(PORTS)


@contextmanager
def started(
    command: Sequence[str], log: Path, tree: Path = CHECKOUT
) -> Iterator["subprocess.Popen[bytes]"]:
    """
    A process with its input in a pipe and its output in `log`; it ends with the block.

    What it imports of p2ptwisted is that of `tree`.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            env=environment(tree),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def see_running(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Raises BenchError, with what it said, where a process has ended."""
    if process.poll() is not None:
        said = log.read_text(errors="replace").strip()
        raise BenchError(f"{process.args!r} ended with status {process.returncode}:\n{said}")


@contextmanager
def running(
    command: Sequence[str], log: Path, port: int, ready: str = "/", tree: Path = CHECKOUT
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that answers a GET of `ready` at `port` by now; it ends with the block."""

    def answers() -> bool:
        see_running(process, log)
        return get(port, ready).status == 200

    with started(command, log, tree) as process:
        eventually(f"an answer of {command}", answers)
        yield process


def environment(tree: Path = CHECKOUT) -> Mapping[str, str]:
    """That of the processes: p2ptwisted is the one in `tree`, and no proxy is asked."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    return {**inherited, "PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"}

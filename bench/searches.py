"""
The speed of searches: for one id that the supernode knows, for many in one
request, and for one that only another supernode knows.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.daemons import System
from bench.load import Load
from bench.processes import BenchError, eventually, free_port, get, request, running
from bench.table import Row, rate_row, ratio_row, time_row

#: Ids that are asked for in turn: far more than are ever under way, so that no two
#: searches are for the same one and share a question to the group.
IDS = 9_600

#: Ids in one request with hash_ids.
TOGETHER = 60

#: Seconds of requests before the first that are measured.
WARM_UP = 1

#: Where the resources are said to be; a search asks nobody there.
LOCATION = "127.0.0.1:9"
SIZE = 1_000_000_000

LEAST_OF_KLEIN = 0.7
LEAST_TOGETHER = 25.0
LEAST_ACROSS, P50_ACROSS = 2_000.0, 3e-3


def measure(system: System, rounds: int, seconds: int) -> list[Row]:
    """
    Search at two supernodes of which only the second has resources.

    The loads take turns, `seconds` each; every figure is a median of the rounds.
    """
    ids = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(IDS)]
    folder = system.folder
    with ExitStack() as stack:
        other = stack.enter_context(system.supernode("supernode-other")).port
        holder = stack.enter_context(system.supernode("supernode-holder")).port
        _register(holder, ids)
        _check(holder, other, ids)
        body = get(holder, _one(ids[0])).body
        empty = stack.enter_context(_empty_klein(folder, body))
        loads = (
            empty_route := Load("empty Klein route", empty, ["/"], folder),
            local := Load("local search", holder, [_one(id) for id in ids], folder),
            together := Load(f"{TOGETHER} in hash_ids", holder, _many(ids), folder),
            across := Load("search across", other, [_one(id) for id in ids], folder),
        )
        for load in loads:
            load.run(WARM_UP)
        for number in range(1, rounds + 1):
            print(f"searches, round {number} of {rounds}", flush=True)
            for load in loads:
                load.measure(seconds)
        _check(holder, other, ids)
    return [
        ratio_row(
            "local search by id",
            local.median.rate,
            "an empty Klein route",
            empty_route.median.rate,
            "a second",
            LEAST_OF_KLEIN,
        ),
        rate_row("search across supernodes", across.median.rate, "a second", LEAST_ACROSS),
        time_row("search across supernodes, p50", across.median.p50, P50_ACROSS),
        ratio_row(
            f"ids found with {TOGETHER} in hash_ids",
            together.median.rate * TOGETHER,
            "one by one",
            local.median.rate,
            "a second",
            LEAST_TOGETHER,
        ),
    ]


def _one(id: str) -> str:
    return f"/api/supernode/search/{id}"


def _many(ids: Sequence[str]) -> list[str]:
    return [
        f"/api/supernode/search?hash_ids={','.join(ids[start : start + TOGETHER])}"
        for start in range(0, len(ids), TOGETHER)
    ]


def _name(id: str) -> str:
    return f"{id[:8]}.img"


def _register(supernode: int, ids: Sequence[str]) -> None:
    resources = [{"id": id, "name": _name(id), "size": SIZE} for id in ids]
    registration = {"name": "bench", "location": LOCATION, "resources": resources}
    answer = request(
        "POST", supernode, "/api/supernode/register", json.dumps(registration).encode()
    )
    if answer.status != 204:
        raise BenchError(f"registering {len(ids)} resources gave {answer}")


def _check(holder: int, other: int, ids: Sequence[str]) -> None:
    """See that every id is found in all three ways, with just the right answer."""
    eventually("the supernodes know each other", lambda: _data(other, _one(ids[0])) != {})
    some = ids[:: len(ids) // TOGETHER]
    for id in some:
        _same(_data(holder, _one(id)), _holding(id, named=True))
        _same(_data(other, _one(id)), _holding(id, named=False))
    for number, path in enumerate(_many(ids)):
        asked = ids[number * TOGETHER :][:TOGETHER]
        _same(_data(holder, path), [_holding(id, named=True) for id in asked])


def _data(supernode: int, path: str) -> object:
    answer = get(supernode, path)
    if answer.status != 200:
        raise BenchError(f"GET {path} gave {answer}")
    return json.loads(answer.body)["data"]


def _holding(id: str, named: bool) -> object:
    """What a search finds: by multicast without what only the other supernode knows."""
    file: dict[str, object] = {"location": LOCATION, "locations": [LOCATION]}
    if named:
        file |= {"name": _name(id), "size": SIZE}
    return {"id": id, "file": file}


def _same(found: object, wanted: object) -> None:
    if found != wanted:
        raise BenchError(f"wrong answer: {found}; it should be {wanted}")


@contextmanager
def _empty_klein(folder: Path, body: bytes) -> Iterator[int]:
    """The yardstick in a process of its own; gives its port."""
    port, file = free_port(), folder / "body"
    file.write_bytes(body)
    command = [sys.executable, "-P", "-m", "bench.empty_klein", str(port), str(file)]
    with running(command, folder / "empty-klein.log", port):
        yield port

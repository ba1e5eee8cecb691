"""Histories in processes of their own, as many at once as there are processors."""

import faulthandler
import gc
import multiprocessing
import os
import resource
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

from twisted.python.failure import Failure

from p2ptwisted.protocols import datagrams as wire
from p2ptwisted.protocols import multicast
from p2ptwisted.support import address_policy as claims
from p2ptwisted.support import locations as addresses
from simulation.history import History, Outcome

#: Seconds of a processor for one history, which takes about five.
CPU_MAX = 300

#: Seconds more until one that doesn't end by that is killed.
CPU_GRACE = 10

#: Datagrams that are remembered with what they say.
DATAGRAMS_MAX = 10_000


def live(seed: int, supernodes: int, nodes: int, long: bool = False) -> Outcome:
    """Live through a history; never raises."""
    try:
        return History(seed, supernodes, nodes, long).run()
    except Exception:
        return Outcome(seed, Failure().getTraceback())


def _work(told: Connection, cpu_max: int, *life: Any) -> None:
    """The whole life of a process."""
    # Where it hangs is told on stderr before it ends.
    faulthandler.register(signal.SIGXCPU, chain=True)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_max, cpu_max + CPU_GRACE))
    gc.disable()  # A third of its time would go there.
    # All pure; every request is read by all supernodes, and much is repeated.
    decode = lru_cache(DATAGRAMS_MAX)(wire.decode)
    encode = lru_cache(DATAGRAMS_MAX)(wire.encode)
    vars(wire).update(decode=decode)
    vars(multicast).update(decode=decode, encode=encode)
    vars(claims).update(parse_location=lru_cache(DATAGRAMS_MAX)(addresses.parse_location))
    told.send(live(*life))


def run(
    seed: int, supernodes: int, nodes: int, cpu_max: int = CPU_MAX, long: bool = False
) -> Outcome:
    """What comes of a history in a process of its own, which may die."""
    context = multiprocessing.get_context("forkserver")
    heard, told = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(told, cpu_max, seed, supernodes, nodes, long))
    process.start()
    told.close()
    try:
        outcome = heard.recv()
    except EOFError:
        outcome = None
    process.join()
    if isinstance(outcome, Outcome):
        return outcome
    status = process.exitcode or 0
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return Outcome(seed, f"its process ended {how}")


def run_all(
    seeds: range, supernodes: int, nodes: int, cpu_max: int, long: bool
) -> Iterator[Outcome]:
    """The outcomes as they come."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["simulation.history"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(run, seed, supernodes, nodes, cpu_max, long) for seed in seeds]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

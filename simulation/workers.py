"""Runs histories in child processes, as many at once as there are processors."""

import faulthandler
import gc
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from twisted.python.failure import Failure

from p2ptwisted.protocols import datagrams, multicast
from p2ptwisted.support import address_policy, locations
from simulation.history import History, Outcome

#: Seconds of processor time for one history, which takes about five.
CPU_MAX = 300

#: Seconds more until a process that doesn't end by then is killed.
CPU_GRACE = 10

#: Decoded and encoded datagrams that are cached.
DATAGRAMS_MAX = 10_000


_T = TypeVar("_T")


@dataclass(frozen=True)
class Job(Generic[_T]):
    """A history to live through, and what its outcome is if its process dies of a problem."""

    live: Callable[[], _T]
    died: Callable[[str], _T]


def live(seed: int, supernodes: int, nodes: int, long: bool = False) -> Outcome:
    """Live through a history; never raises."""
    try:
        return History(seed, supernodes, nodes, long).run()
    except Exception:
        return Outcome(seed, Failure().getTraceback())


def _work(outcomes: Connection, cpu_max: int, live: Callable[[], object]) -> None:
    """Run in a child process: live through a history and send its outcome."""
    # If it hangs, this prints where on stderr before the process ends.
    faulthandler.register(signal.SIGXCPU, chain=True)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_max, cpu_max + CPU_GRACE))
    gc.disable()  # A third of its time would go there.
    # All of these are pure; every request is decoded by all supernodes, and much is repeated.
    decode = lru_cache(DATAGRAMS_MAX)(datagrams.decode)
    encode = lru_cache(DATAGRAMS_MAX)(datagrams.encode)
    vars(datagrams).update(decode=decode)
    vars(multicast).update(decode=decode, encode=encode)
    vars(address_policy).update(parse_location=lru_cache(DATAGRAMS_MAX)(locations.parse_location))
    outcomes.send(live())


def run(job: Job[_T], cpu_max: int = CPU_MAX) -> _T:
    """Live through a history in a child process, which may die, and return its outcome."""
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, cpu_max, job.live))
    process.start()
    sender.close()
    try:
        outcome: _T = receiver.recv()
    except EOFError:
        process.join()
        status = process.exitcode or 0
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return job.died(f"its process ended {how}")
    process.join()
    return outcome


def run_all(jobs: Sequence[Job[_T]], cpu_max: int) -> Iterator[_T]:
    """Live through all of these, and yield the outcomes as they come."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(["simulation.history"])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(run, job, cpu_max) for job in jobs]
        try:
            for done in as_completed(running):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

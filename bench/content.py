"""The speed of a resource's content to one curl, beside nginx with sendfile."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from bench.daemons import System
from bench.files import MIB, make
from bench.nginx import nginx
from bench.processes import HOST, BenchError, eventually, get
from bench.table import Row, ratio_row

#: Bytes of the file.
SIZE = 1024 * MIB

#: Downloads from each in one round, by turns.
DOWNLOADS = 3

LEAST_OF_NGINX = 0.8


def measure(system: System, memory: Path, rounds: int) -> list[Row]:
    """
    Download one file from both by turns; the ratio is that of the medians.

    `memory` is a folder for the file, better on no disk.
    """
    shared = memory / "content"
    shared.mkdir()
    file = shared / "large.bin"
    id = make(file, SIZE)
    with ExitStack() as stack:
        supernode = stack.enter_context(system.supernode("supernode-content"))
        node = stack.enter_context(system.node("node", shared, supernode))
        server = stack.enter_context(nginx(system.folder, shared))
        path = f"/api/node/resources/{id}/content"
        urls = {
            "a node": f"http://{HOST}:{node.port}{path}",
            "nginx": f"http://{HOST}:{server}/{file.name}",
        }
        eventually(
            "the node has hashed its file",
            lambda: get(node.port, f"/api/node/resources/{id}").status == 200,
        )
        for url in urls.values():
            _check(url, id)
        rates = _rates(urls, rounds)
    return [
        ratio_row(
            "content to one curl",
            rates["a node"] / 1e9,
            "nginx",
            rates["nginx"] / 1e9,
            "GB/s",
            LEAST_OF_NGINX,
        )
    ]


def _curl(url: str, *options: str) -> list[str]:
    return ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", *options, url]


def _check(url: str, id: str) -> None:
    """See that what comes has that id."""
    digest = hashlib.sha256()
    with subprocess.Popen(_curl(url), stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        while data := curl.stdout.read(MIB):
            digest.update(data)
    if curl.returncode or digest.hexdigest() != id:
        raise BenchError(f"{url} is not the file: its id is {digest.hexdigest()}, not {id}")


def _download(url: str) -> float:
    """Bytes a second of the whole file to one curl that throws it away."""
    command = _curl(url, "--output", os.devnull, "--write-out", "%{size_download} %{time_total}")
    ran = subprocess.run(command, capture_output=True, text=True)
    size, _, seconds = ran.stdout.partition(" ")
    if ran.returncode or int(size) != SIZE:
        raise BenchError(f"{command}: {size} bytes, status {ran.returncode}: {ran.stderr.strip()}")
    return int(size) / float(seconds)


def _rates(urls: Mapping[str, str], rounds: int) -> Mapping[str, float]:
    """The median of all downloads from each."""
    rates: dict[str, list[float]] = {name: [] for name in urls}
    for number in range(1, rounds + 1):
        print(f"content, round {number} of {rounds}", flush=True)
        for _ in range(DOWNLOADS):
            for name, url in urls.items():
                rates[name].append(_download(url))
        for name, measured in rates.items():
            shown = ", ".join(f"{rate / 1e9:.2f}" for rate in measured[-DOWNLOADS:])
            print(f"  {name}: {shown} GB/s", flush=True)
    return {name: median(measured) for name, measured in rates.items()}

"""The speed of a resource's content to one curl, beside nginx with sendfile."""

import hashlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.processes import HOST, BenchError, System, eventually, free_port, get, running
from bench.table import Row, ratio_row

#: Bytes of the file: real ones, no hole, for the kernel reads holes without memory.
BLOCK = 1024 * 1024
BLOCKS = 1024

#: Downloads from each in one round, by turns.
DOWNLOADS = 3

LEAST_OF_NGINX = 0.8

_NGINX = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{}}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen {host}:{port};
        root {shared};
        location = /ready {{ return 200; }}
    }}
}}
"""


def measure(system: System, memory: Path, rounds: int) -> list[Row]:
    """
    Download one file from both by turns; the ratio is that of the medians.

    `memory` is a folder for the file, better on no disk.
    """
    shared = memory / "shared"
    shared.mkdir()
    file = shared / "large.bin"
    id = _make(file)
    with ExitStack() as stack:
        supernode = stack.enter_context(system.supernode("supernode-content"))
        node = stack.enter_context(system.node("node", shared, supernode))
        nginx = stack.enter_context(_nginx(system.folder, shared))
        path = f"/api/node/resources/{id}/content"
        urls = {
            "a node": f"http://{HOST}:{node}{path}",
            "nginx": f"http://{HOST}:{nginx}/{file.name}",
        }
        eventually(
            "the node has hashed its file",
            lambda: get(node, f"/api/node/resources/{id}").status == 200,
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


def _make(file: Path) -> str:
    """Fill the file; gives its id."""
    block = os.urandom(BLOCK)
    digest = hashlib.sha256()
    with file.open("wb") as output:
        for _ in range(BLOCKS):
            output.write(block)
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _nginx(folder: Path, shared: Path) -> Iterator[int]:
    """One nginx worker with a configuration of its own; gives its port."""
    port = free_port()
    # Only a master that is root can choose; its workers would be somebody who can't read here.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _NGINX.format(user=user, folder=folder, host=HOST, port=port, shared=shared)
    )
    command = [nginx_program() or "nginx", "-c", str(configuration), "-p", str(folder)]
    command += ["-e", str(folder / "nginx-error.log")]
    with running(command, folder / "nginx.log", port, "/ready"):
        yield port


def nginx_program() -> str | None:
    """Where nginx is; Debian has it in a folder that only root has in PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _curl(url: str, *options: str) -> list[str]:
    return ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", *options, url]


def _check(url: str, id: str) -> None:
    """See that what comes has that id."""
    digest = hashlib.sha256()
    with subprocess.Popen(_curl(url), stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        while data := curl.stdout.read(BLOCK):
            digest.update(data)
    if curl.returncode or digest.hexdigest() != id:
        raise BenchError(f"{url} is not the file: its id is {digest.hexdigest()}, not {id}")


def _download(url: str) -> float:
    """Bytes a second of the whole file to one curl that throws it away."""
    command = _curl(url, "--output", os.devnull, "--write-out", "%{size_download} %{time_total}")
    ran = subprocess.run(command, capture_output=True, text=True)
    size, _, seconds = ran.stdout.partition(" ")
    if ran.returncode or int(size) != BLOCK * BLOCKS:
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

"""nginx as a yardstick: one worker that serves a folder with sendfile."""

import os
import pwd
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.processes import HOST, free_port, running

_CONFIGURATION = """
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


@contextmanager
def nginx(folder: Path, shared: Path, host: str = HOST) -> Iterator[int]:
    """
    One nginx worker with a configuration of its own; gives its port.

    `folder` gets what it writes, `shared` is what it serves, at the address `host`.
    """
    port = free_port()
    # Only a master that is root can choose; its workers would be somebody who can't read here.
    user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(user=user, folder=folder, host=host, port=port, shared=shared)
    )
    command = [program() or "nginx", "-c", str(configuration), "-p", str(folder)]
    command += ["-e", str(folder / "nginx-error.log")]
    with running(command, folder / "nginx.log", port, "/ready"):
        yield port


def program() -> str | None:
    """Where nginx is; Debian has it in a folder that only root has in PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

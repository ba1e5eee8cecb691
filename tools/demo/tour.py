"""What the demo shows: each step as a line to repeat, and what came of it."""

import hashlib
import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import TypedDict

from .daemons import MAX_UPLOAD, ROOT, Daemons, program, wait_or_kill
from .requests import Answer, get, get_data
from .terminal import Broken, Paint, pretty, say, undisturbed

#: The file that is made to be fetched, and its bytes.
LARGE = "dataset.bin"
LARGE_SIZE = 64 * 1024 * 1024

#: Bytes made, or read, at a time.
BLOCK = 1024 * 1024

#: An id that no file has.
NOBODY_HAS = "0" * 64


class _Listed(TypedDict):
    """A resource as a node lists it."""

    id: str
    name: str


class Tour:
    """The tour of the daemons."""

    def __init__(self, daemons: Daemons, folder: Path) -> None:
        """What is fetched goes to `folder`."""
        self._daemons = daemons
        self._folder = folder
        self._p2p = _shown(program("p2p"))

    def run(self) -> None:
        self._small_ones()
        self._large_one()

    def _small_ones(self) -> None:
        """The HTTP API, with the samples."""
        node1, node2 = self._daemons.node1, self._daemons.node2
        _step("What does node 1 share?")
        _ask(f"{node1.url}/api/node/resources")

        _step("Which nodes are registered at each supernode?")
        for supernode in self._daemons.supernodes:
            _ask(f"{supernode.url}/api/supernode/alive")

        wanted = self._only_at_node3()
        _step(
            f"Who has {wanted['name']}? It is at node 3 alone, but we ask node 2.",
            "Node 2 asks supernode 1, which doesn't know and asks by multicast;",
            "supernode 2 does know, and node 2 sends us to node 3.",
        )
        found = _ask(f"{node2.url}/api/node/resources/{wanted['id']}", headers=True)
        if found.status != 302:
            raise Broken("That should have been a 302.")

        _step("The file itself, from any node; -L follows the way to the one that has it.")
        self._fetch(f"{node2.url}/api/node/resources/{wanted['id']}/content", wanted)

        _step("And what nobody has?")
        _ask(f"{self._daemons.supernode1.url}/api/supernode/search/{NOBODY_HAS}")

    def _large_one(self) -> None:
        """The command, with a file that is worth it."""
        node1, node3 = self._daemons.node1, self._daemons.node3
        first, second = (node.shared / LARGE for node in (node1, node3))
        _step(
            f"Now a large file: {LARGE}, of {LARGE_SIZE // 2**20} MiB, at node 1 and at node 3,",
            "which are registered at different supernodes.",
        )
        say()
        say(f"  $ head -c {LARGE_SIZE} /dev/urandom > {first}")
        say(f"  $ cp {first} {second}")
        id = _make(first, second)
        say(Paint.faint("  Waiting until both supernodes list it ..."))
        self._daemons.wait_until(
            "They have not listed it",
            lambda: self._daemons.is_listed(node1, id) and self._daemons.is_listed(node3, id),
        )

        _step(
            "It comes from both at once, each piece checked on arrival and the whole in the end.",
            f"Each of them sends no more than {MAX_UPLOAD / 1e6:.1f} MB/s (--max-upload), "
            "so that there is something to see.",
        )
        fetched = self._folder / LARGE
        supernode = self._daemons.supernode1.url
        self._run(f"{self._p2p} get {LARGE} --supernode {supernode} -o {fetched}")
        self._check(fetched, id)

        _step(
            "Two more to try: who has it, and have every node fetch it; then ask again who has it."
        )
        say()
        say(f"  $ {self._p2p} find {LARGE} --supernode {supernode}")
        say(f"  $ {self._p2p} pull {LARGE} --all --supernode {supernode}")

    def _fetch(self, url: str, wanted: _Listed) -> None:
        """Fetch a file as `curl -L` does, and check it against its id."""
        file = self._folder / Path(wanted["name"]).name
        say()
        say(f"  $ curl -L -o {file} {url}")
        answer = get(url)
        say(Paint.faint(f"  {answer}"))
        if answer.location is None:
            raise Broken("That should have led to node 3.")
        say(f"  Location: {answer.location}")
        answer = get(answer.location)
        say(Paint.faint(f"  {answer}: {len(answer.body)} bytes"))
        file.write_bytes(answer.body)
        self._check(file, wanted["id"])

    def _check(self, file: Path, id: str) -> None:
        say()
        say(f"  $ sha256sum {file}")
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        say(f"  {digest}  {file}")
        if digest != id:
            raise Broken(f"That is not the file: its id is {id}")
        say(Paint.good("  The same as the id: it is the file, every bit of it."))

    def _run(self, command: str) -> None:
        """Run a command in this terminal."""
        say()
        say(f"  $ {command}")
        with undisturbed():
            process = subprocess.Popen(shlex.split(command), cwd=ROOT, stdin=subprocess.DEVNULL)
        try:
            status = process.wait()
        finally:
            process.terminate()
            wait_or_kill(process)
        if status:
            raise Broken(f"That should have gone well; its exit status is {status}.")

    def _only_at_node3(self) -> _Listed:
        """A resource of node 3 that no other node has."""
        others = {
            resource["id"]
            for node in (self._daemons.node1, self._daemons.node2)
            for resource in get_data(f"{node.url}/api/node/resources")
        }
        listed: list[_Listed] = get_data(f"{self._daemons.node3.url}/api/node/resources")
        for resource in listed:
            if resource["id"] not in others:
                return resource
        raise Broken("Other nodes have all files of resources/node3: put one there that is new.")


def _shown(path: Path) -> str:
    """A path as somebody in the checkout would type it."""
    return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)


def _step(*lines: str) -> None:
    say()
    for line in lines:
        say(Paint.bold(line))


def _ask(url: str, headers: bool = False) -> Answer:
    """Show a request and its answer, the headers that matter with it."""
    say()
    say(f"  $ {'curl -i' if headers else 'curl'} {url}")
    answer = get(url)
    say(Paint.faint(f"  {answer}"))
    if headers and answer.location:
        say(f"  Location: {answer.location}")
    say("  " + pretty(json.loads(answer.body), "  "))
    return answer


def _make(*paths: Path) -> str:
    """Files of the same random content; its id."""
    digest = hashlib.sha256()
    files = [path.open("wb") for path in paths]
    try:
        for _ in range(LARGE_SIZE // BLOCK):
            block = os.urandom(BLOCK)
            digest.update(block)
            for file in files:
                file.write(block)
    finally:
        for file in files:
            file.close()
    return digest.hexdigest()

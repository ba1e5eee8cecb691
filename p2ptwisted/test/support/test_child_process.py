"""Tests of `p2ptwisted.support.child_process`, and of `child_bootstrap`, which it starts."""

import os
import sys
from pathlib import Path

import msgspec
from twisted.internet.protocol import ProcessProtocol
from twisted.trial.unittest import SynchronousTestCase

import p2ptwisted
from p2ptwisted.support.child_bootstrap import PackageFinder
from p2ptwisted.support.child_process import environment, start_child
from p2ptwisted.test.node_fakes import FakeProcess, ProcessReactor

MODULE = "p2ptwisted.node.hash_worker"


class StartTests(SynchronousTestCase):
    """With what a child is started."""

    def start(self, *arguments: str | bytes) -> FakeProcess:
        reactor = ProcessReactor()
        start_child(reactor, ProcessProtocol(), MODULE, *arguments)
        (child,) = reactor.processes
        return child

    def test_command(self) -> None:
        """It is this interpreter, isolated, with nothing that is looked for by a relative path."""
        program, *rest = self.start(b"/file", "7").arguments
        self.assertEqual(program, os.fsencode(sys.executable))
        *flags, bootstrap, folder, module, path, size = rest
        self.assertEqual(flags, [b"-I", b"-S", b"-X", b"utf8"])
        package = Path(str(p2ptwisted.__file__)).parent
        self.assertEqual(bootstrap, os.fsencode(package / "support" / "child_bootstrap.py"))
        self.assertEqual(folder, os.fsencode(Path(msgspec.__file__).parent.parent))
        self.assertEqual((module, path, size), (MODULE.encode(), b"/file", b"7"))

    def test_not_utf8(self) -> None:
        """A name in no encoding goes as the bytes that it has."""
        self.assertEqual(self.start(os.fsdecode(b"/a\xff"), "7").arguments[-2], b"/a\xff")

    def test_no_interpreter(self) -> None:
        """Where Python doesn't know its own program there is no child, and a line that says so."""
        for nothing in ("", None):
            self.patch(sys, "executable", nothing)
            error = self.assertRaises(OSError, self.start)
            self.assertIn("which program", str(error))

    def test_environment(self) -> None:
        """Nothing of the environment is handed on."""
        self.patch(os, "environ", {"PYTHONPATH": "/a", "PYTHONHOME": "/b", "PATH": "/c"})
        self.assertEqual(self.start().environment, {})

    def test_libraries(self) -> None:
        """But where the interpreter's own libraries are, in so far as no relative path says it."""
        for given, handed_on in [
            ("/opt/python/lib", "/opt/python/lib"),
            ("/a:/b", "/a:/b"),
            ("/a;/b", "/a:/b"),
            ("/a:", "/a"),
            (":/a::lib:.:./lib:../lib;", "/a"),
        ]:
            self.assertEqual(
                environment({"LD_LIBRARY_PATH": given}), {"LD_LIBRARY_PATH": handed_on}, given
            )
        for nothing in ("", ":", "lib"):
            self.assertEqual(environment({"LD_LIBRARY_PATH": nothing}), {})


class PackageFinderTests(SynchronousTestCase):
    """What a child imports besides the standard library."""

    def test_found(self) -> None:
        """A package is found in its own folder, and nothing else is, there or anywhere."""
        folders = [Path(self.mktemp()).absolute() for _ in range(2)]
        for folder in folders:
            for name in ("one", "two", "three"):
                (folder / name).mkdir(parents=True)
                (folder / name / "__init__.py").touch()
        finder = PackageFinder({"one": str(folders[0]), "two": str(folders[1]), "gone": "/none"})
        for name, folder in zip(("one", "two"), folders, strict=True):
            spec = finder.find_spec(name)
            assert spec is not None
            self.assertEqual(spec.origin, str(folder / name / "__init__.py"))
        for name in ("three", "gone", "one.three"):
            self.assertIs(finder.find_spec(name), None)

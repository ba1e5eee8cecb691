"""Tests of `p2ptwisted.node.folder_walk`, on real folders."""

import errno
import os
import shutil
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2ptwisted.model import FileStamp
from p2ptwisted.node import folder_walk
from p2ptwisted.node.changes import Changed
from p2ptwisted.node.folder_walk import Entry, file_meant, look, walk, why_not_shared
from p2ptwisted.support.safe_open import folder_beneath
from p2ptwisted.test.node_fakes import open_descriptors


class FolderCase(SynchronousTestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        self.outside = Path(self.mktemp()).resolve()
        self.folder = self.outside / "shared"
        self.folder.mkdir(parents=True)

    def put(self, name: str, content: bytes = b"content") -> Path:
        """Make a file, and the folders above it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


class WalkTests(FolderCase):
    """Which files are in a folder."""

    def names(self, entered: Callable[[Path], None] = lambda folder: None) -> list[str]:
        """The names that a walk finds, sorted."""
        return sorted(entry.name for entry in walk(self.folder, entered) if entry is not None)

    def test_subfolders(self) -> None:
        """A file's name is its path below the folder, with slashes."""
        for name in ("a", "sub/b", "sub/deeper/c d", "sub/deeper/ä€😀"):
            self.put(name)
        self.assertEqual(self.names(), ["a", "sub/b", "sub/deeper/c d", "sub/deeper/ä€😀"])

    def test_empty_folder(self) -> None:
        """A folder with nothing in it has no files, and is no error."""
        self.assertEqual(self.names(), [])

    def test_stamp(self) -> None:
        """An entry comes with the stamp that the file has now."""
        path = self.put("a", b"12345")
        (entry,) = walk(self.folder, lambda folder: None)
        assert entry is not None
        self.assertEqual(entry.stamp, FileStamp.of(path.stat()))
        self.assertEqual(entry.stamp.size, 5)

    def test_hidden(self) -> None:
        """Hidden files are left out, and hidden folders with all that is in them."""
        for name in (".a", ".git/config", "sub/.b", "sub/.c/d", "seen"):
            self.put(name)
        self.assertEqual(self.names(), ["seen"])

    def test_unfinished(self) -> None:
        """Parts of transfers and their journals are left out, in any folder; a folder is none."""
        for name in ("a.part", "a.part.journal", "sub/.part", "sub/b.part", "sub/b.part.journal"):
            self.put(name)
        for name in ("a", "part", "c.parts", "d.part.txt", "e.journal", "folder.part/f"):
            self.put(name)
        self.assertEqual(
            self.names(),
            sorted(["a", "part", "c.parts", "d.part.txt", "e.journal", "folder.part/f"]),
        )

    def test_of_twistd(self) -> None:
        """What twistd writes is no content, also where the daemon is started in the folder."""
        own = ["twistd.log", "twistd.log.1", "sub/twistd.log.2026_11_28", "twistd.pid"]
        others = ["twistd.logs", "a.twistd.log", "twistd.log.gz", "twistd.log/f"]
        for name in own:
            self.put(name)
        (self.folder / "twistd.log").unlink()
        for name in others:
            self.put(name)
        self.assertEqual(self.names(), sorted(others))
        for name in own:
            self.assertIn("twistd's log", str(why_not_shared(name)))
            self.assertEqual(file_meant(name), "")
        for name in others:
            self.assertIsNone(why_not_shared(name))

    def test_unfinished_elsewhere(self) -> None:
        """So is what other programs call what they have not finished, and their control files."""
        for name in (
            "a.aria2",
            "b.crdownload",
            "c.st",
            "d.filepart",
            "e.!qB",
            "f.partial",
            "sub/g~",
            "h.PART",
            "i.iso.aria2__temp",
            "j.lftp-pget-status",
            "k.opdownload",
        ):
            self.put(name)
        for name in ("aria2", "b.st.txt", "c~d", "folder~/f", "~e"):
            self.put(name)
        self.assertEqual(self.names(), sorted(["aria2", "b.st.txt", "c~d", "folder~/f", "~e"]))

    def test_control_file_beside(self) -> None:
        """A file with a control file beside it is left out, wherever that comes in the listing."""
        for end in (".aria2", ".st", ".lftp-pget-status"):
            self.put(f"sub/big{end}.iso{end}")
            self.put(f"sub/big{end}.iso")
        self.put("big.aria2.iso")  # In another folder there is none.
        self.put("part")
        self.put("part.part")  # Nor does a part say that of what it will replace.
        self.put("folder")
        (self.folder / "folder.st").mkdir()
        self.assertEqual(self.names(), ["big.aria2.iso", "folder", "part"])
        (self.folder / "sub" / "big.aria2.iso.aria2").unlink()
        self.assertIn("sub/big.aria2.iso", self.names())

    def test_steps_of_names(self) -> None:
        """Looking for control files is done in steps too."""
        self.patch(folder_walk, "STEP", 4)
        for number in range(20):
            self.put(f".hidden{number}")
        self.assertEqual(list(walk(self.folder, lambda folder: None)), [None] * (20 + 20 // 4))

    def test_finished(self) -> None:
        """A part that comes to its place is a file like any other."""
        part = self.put("a.part")
        self.assertEqual(self.names(), [])
        part.rename(self.folder / "a")
        self.assertEqual(self.names(), ["a"])

    def test_steps(self) -> None:
        """What is left out is a step of its own, so that no step is long."""
        for number in range(20):
            self.put(f".hidden{number}")
        self.assertEqual(list(walk(self.folder, lambda folder: None)), [None] * 20)

    def test_entered(self) -> None:
        """Each folder is told of before it is listed: what is made in the call is still found."""
        self.put("sub/a")
        entered = []

        def enter(folder: Path) -> None:
            entered.append(folder)
            (folder / "just made").touch()

        self.assertEqual(self.names(enter), ["just made", "sub/a", "sub/just made"])
        self.assertEqual(entered, [self.folder, self.folder / "sub"])

    def test_hidden_folders_are_not_entered(self) -> None:
        """No watch is spent on a folder whose files are left out."""
        self.put(".git/objects/a")
        entered: list[Path] = []
        self.names(entered.append)
        self.assertEqual(entered, [self.folder])

    def test_link_inside(self) -> None:
        """A link to a file of the same folder is a file with a name of its own."""
        self.put("sub/real")
        (self.folder / "link").symlink_to("sub/real")
        (self.folder / "sub" / "absolute").symlink_to(self.folder / "sub" / "real")
        self.assertEqual(self.names(), ["link", "sub/absolute", "sub/real"])

    def test_link_outside(self) -> None:
        """What a link leads to outside of the folder is not shared, however it gets there."""
        secret = self.outside / "secret"
        secret.write_bytes(b"secret")
        # A folder whose name begins like the shared one's is outside too.
        (self.outside / "shared too").mkdir()
        (self.outside / "shared too" / "secret").write_bytes(b"secret")
        (self.folder / "absolute").symlink_to(secret)
        (self.folder / "relative").symlink_to("../secret")
        (self.folder / "sibling").symlink_to("../shared too/secret")
        (self.folder / "chain").symlink_to("absolute")
        (self.folder / "device").symlink_to("/dev/zero")
        self.assertEqual(self.names(), [])

    def test_links_that_lead_out_are_told(self) -> None:
        """The names of those that lead out can be had, and of those only."""
        self.put("sub/a")
        self.put("b")
        (self.outside / "secret").touch()
        (self.folder / "sub" / "out").symlink_to("../../secret")
        (self.folder / "folder").symlink_to("../..")
        (self.folder / "inside").symlink_to("b")
        (self.folder / "dangling").symlink_to("none")
        led_out: list[str] = []
        list(walk(self.folder, lambda folder: None, led_out.append))
        self.assertEqual(sorted(led_out), ["folder", "sub/out"])

    def test_link_swapped_while_it_is_judged(self) -> None:
        """A link swapped after it was found to lead inside gets nothing else listed."""
        real, secret = self.put("real"), self.outside / "secret"
        secret.write_bytes(b"a secret of the node's")
        (self.folder / "link").symlink_to("real")
        readlink = os.readlink

        def swap(path: str, **options: int) -> str:
            target = readlink(path, **options)
            (self.folder / "link").unlink()
            (self.folder / "link").symlink_to(secret)
            return target

        self.patch(os, "readlink", swap)
        found = [entry for entry in walk(self.folder, lambda folder: None) if entry is not None]
        self.assertEqual({entry.stamp for entry in found}, {FileStamp.of(real.stat())})

    def test_folder_swapped_for_a_link(self) -> None:
        """A folder that is a link by the time when it is listed leads nowhere."""
        self.put("sub/a")
        (self.outside / "private").mkdir()
        (self.outside / "private" / "secret").write_bytes(b"secret")

        def swap(folder: Path) -> None:
            if folder.name == "sub":
                folder.rename(self.folder / ".moved")
                folder.symlink_to("../private")

        self.assertEqual(self.names(swap), [])

    def test_folder_swapped_while_it_is_listed(self) -> None:
        """Nor do the rest of its files come from elsewhere when it is swapped half-way."""
        self.put("sub/a")
        self.put("sub/b")
        private = self.outside / "private"
        private.mkdir()
        for name in ("a", "b"):
            (private / name).write_bytes(b"secret")
        walking = walk(self.folder, lambda folder: None)
        self.assertIs(next(walking), None)
        found = [next(walking)]
        (self.folder / "sub").rename(self.folder / ".moved")
        (self.folder / "sub").symlink_to(private)
        found += walking
        inodes = {entry.stamp.inode for entry in found if entry is not None}
        self.assertFalse(inodes & {path.stat().st_ino for path in private.iterdir()})

    def test_few_open_at_once(self) -> None:
        """However deep the folders are, few are held open at a time."""
        self.put("/".join(["d"] * 60) + "/a")
        before = open_descriptors()
        most = 0
        for _ in walk(self.folder, lambda folder: None):
            most = max(most, len(open_descriptors() - before))
        self.assertLessEqual(most, 3)

    def test_link_to_a_folder(self) -> None:
        """A link to a folder is not followed: neither out of the folder nor round in circles."""
        self.put("sub/a")
        (self.outside / "other").mkdir()
        (self.outside / "other" / "secret").touch()
        (self.folder / "inside").symlink_to("sub")
        (self.folder / "up").symlink_to(".")
        (self.folder / "out").symlink_to("../other")
        self.assertEqual(self.names(), ["sub/a"])

    def test_dangling_link(self) -> None:
        """A link to nothing is left out, and the rest is found."""
        self.put("a")
        (self.folder / "dangling").symlink_to("nothing")
        self.assertEqual(self.names(), ["a"])

    def test_looping_link(self) -> None:
        """Links that lead to each other are left out, and the rest is found."""
        self.put("a")
        (self.folder / "itself").symlink_to("itself")
        (self.folder / "ping").symlink_to("pong")
        (self.folder / "pong").symlink_to("ping")
        self.assertEqual(self.names(), ["a"])

    def test_not_regular(self) -> None:
        """Pipes and sockets are no files to share, nor is a link to one."""
        self.put("a")
        os.mkfifo(self.folder / "pipe")
        (self.folder / "link").symlink_to("pipe")
        # A socket's path has 108 bytes at the most.
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("socket")
        self.assertEqual(self.names(), ["a"])

    def test_not_utf8(self) -> None:
        """A name that is no UTF-8 can't be told to others: it and all below it is left out."""
        self.put("a")
        folder = os.fsencode(self.folder)
        with open(folder + b"/latin-\xe4", "wb"):
            pass
        os.mkdir(folder + b"/folder-\xe4")
        with open(folder + b"/folder-\xe4/b", "wb"):
            pass
        self.assertEqual(self.names(), ["a"])

    def unreadable(self) -> dict[str, str]:
        """The names that a walk says can't be read, with the reasons."""
        told: dict[str, str] = {}
        walking = walk(self.folder, lambda folder: None, unreadable=told.__setitem__)
        self.assertEqual([entry.name for entry in walking if entry is not None], ["a"])
        return told

    def test_unreadable_folder(self) -> None:
        """A folder that can't be opened is told of, with the reason, and the rest is found."""
        self.put("a")
        self.put("sub/b")

        def refuse(root: int, name: str) -> int:
            if name == "sub":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return folder_beneath(root, name)

        self.patch(folder_walk, "folder_beneath", refuse)
        self.assertEqual(self.unreadable(), {"sub": "Permission denied"})

    def test_unreadable_file(self) -> None:
        """So is what can't be looked at in a folder that may be listed, or fails to be."""
        self.put("a")
        self.put("sub/b")
        file = folder_walk._file

        for reason in (errno.EACCES, errno.EIO):

            def refuse(
                root: int, inner: int, name: str, entry: "os.DirEntry[str]", reason: int = reason
            ) -> Entry | None:
                if name == "sub/b":
                    raise OSError(reason, os.strerror(reason))
                return file(root, inner, name, entry)

            self.patch(folder_walk, "_file", refuse)
            self.assertEqual(self.unreadable(), {"sub/b": os.strerror(reason)})

    def test_told_of_no_more(self) -> None:
        """What is left out on purpose, or went, is not told of; what has an odd name is."""
        for name in ("a", ".hidden", ".git/b", "c.part"):
            self.put(name)
        (self.folder / "dangling").symlink_to("nothing")
        (self.folder / "itself").symlink_to("itself")
        with open(os.fsencode(self.folder) + b"/latin-\xe4", "wb"):
            pass
        ((name, reason),) = self.unreadable().items()
        self.assertEqual(os.fsencode(name), b"latin-\xe4")
        self.assertIn("not UTF-8", reason)

    def test_why_not_shared(self) -> None:
        """A name is refused with its reason just where a walk leaves out such a file."""
        self.patch(folder_walk, "NAME_MAX", 20)
        for name, words in (
            (".a", "hidden"),
            (".git/a", "hidden"),
            ("sub/.a", "hidden"),
            ("a.part", "unfinished"),
            ("sub/b.part.journal", "unfinished"),
            ("c" * 21, "characters"),
        ):
            self.put(name)
            self.assertIn(words, why_not_shared(name) or "")
        self.assertIn("not UTF-8", why_not_shared(os.fsdecode(b"latin-\xe4")) or "")
        self.assertEqual(self.names(), [])
        for name in ("a", "sub.part/a", "d.part.txt", "c" * 20):
            self.put(name)
            self.assertIs(why_not_shared(name), None)
        self.assertEqual(len(self.names()), 4)

    def test_long_name(self) -> None:
        """A path of more characters than a registration may have is left out."""
        self.patch(folder_walk, "NAME_MAX", 8)
        for name in ("12345678", "123456789", "sub/5678", "sub/56789"):
            self.put(name)
        self.assertEqual(self.names(), ["12345678", "sub/5678"])

    def test_deep_folders(self) -> None:
        """Folders too deep for the system's paths are passed over, and the rest is found."""
        self.put("a")
        here = os.open(".", os.O_RDONLY)
        self.addCleanup(os.close, here)
        self.addCleanup(os.fchdir, here)
        # Longer than the system takes in one call: made step by step, and removed likewise.
        self.addCleanup(shutil.rmtree, self.folder / ("d" * 250))
        os.chdir(self.folder)
        for _ in range(17):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
        Path("deep").touch()
        os.fchdir(here)
        self.assertEqual(self.names(), ["a"])

    def test_folder_vanishes(self) -> None:
        """A folder that goes before it could be listed is passed over."""
        self.put("a")
        self.put("sub/b")

        def enter(folder: Path) -> None:
            if folder != self.folder:
                shutil.rmtree(folder)

        self.assertEqual(self.names(enter), ["a"])

    def test_files_vanish(self) -> None:
        """A file that goes between being listed and being looked at is passed over."""
        for name in ("a", "b", "c"):
            self.put(name)
        walking = walk(self.folder, lambda folder: None)
        first = next(walking)
        assert first is not None
        for name in {"a", "b", "c"} - {first.name}:
            (self.folder / name).unlink()
        self.assertEqual(list(walking), [None, None])

    def test_no_folder(self) -> None:
        """A shared folder that is itself gone is an error: it must not look empty."""
        self.folder.rmdir()
        self.assertRaises(FileNotFoundError, self.names)

    def test_nothing_left_open(self) -> None:
        """A walk that is given up half-way leaves no folder open."""
        self.put("a")
        self.put("b")
        before = open_descriptors()
        walking = walk(self.folder, lambda folder: None)
        next(walking)
        del walking
        self.assertEqual(open_descriptors(), before)


class LookTests(FolderCase):
    """Which files there are among those that have changed."""

    def setUp(self) -> None:
        super().setUp()
        self.told: dict[str, str] = {}
        self.entered: list[Path] = []

    def names(
        self,
        *names: str,
        listed: Collection[str] = (),
        trees: Collection[str] = (),
    ) -> list[str]:
        """The names that a look at these files and folders finds, sorted."""
        files: dict[str, set[str]] = {}
        for name in names:
            files.setdefault(name.rpartition("/")[0], set()).add(name)
        self.told.clear()
        self.entered.clear()
        changed = Changed(files, set(listed), set(trees))
        looking = look(self.folder, changed, self.entered.append, self.told.__setitem__)
        return sorted(entry.name for entry in looking if entry is not None)

    def test_files(self) -> None:
        """Of the named files those that are there, with their stamps, and no others."""
        path = self.put("sub/a")
        for name in ("sub/b", "c", "d"):
            self.put(name)
        self.assertEqual(self.names("sub/a", "c", "sub/gone", "gone/a", "sub"), ["c", "sub/a"])
        changed = Changed({"sub": {"sub/a"}}, set(), set())
        (entry,) = look(self.folder, changed, self.entered.append, self.told.__setitem__)
        self.assertEqual(entry, Entry("sub/a", FileStamp.of(path.stat())))
        self.assertEqual((self.entered, self.told), ([], {}))

    def test_listed(self) -> None:
        """The files in a folder that is listed, not those in the folders in it."""
        for name in ("a", "sub/a", "sub/b", "sub/sub/c"):
            self.put(name)
        self.assertEqual(self.names("sub/b", listed=["sub"]), ["sub/a", "sub/b"])
        self.assertEqual(self.names(listed=["", "gone"]), ["a"])
        self.assertEqual(self.entered, [])

    def test_trees(self) -> None:
        """All that is in a folder, each once though it is named in several ways; it is entered."""
        for name in ("a", "sub/a", "sub/sub/b", "subs/c"):
            self.put(name)
        found = self.names(
            "sub/a", "sub/sub/b", "a", listed=["sub", "sub/sub"], trees=["sub", "sub/sub", "gone"]
        )
        self.assertEqual(found, ["a", "sub/a", "sub/sub/b"])
        self.assertEqual(self.entered, [self.folder / "sub", self.folder / "sub" / "sub"])

    def test_as_in_a_walk(self) -> None:
        """A named file is shared just where a walk says so."""
        secret = self.outside / "secret"
        secret.touch()
        for name in ("a", ".a", "b.part", "c", "c.st", "d", "d.st/e"):
            self.put(name)
        (self.folder / "link").symlink_to("a")
        (self.folder / "out").symlink_to(secret)
        (self.folder / "dangling").symlink_to("none")
        (self.folder / "loop").symlink_to("loop")
        (self.folder / "tree").symlink_to("d.st")
        os.mkfifo(self.folder / "pipe")
        with open(os.fsencode(self.folder) + b"/latin-\xe4", "wb"):
            pass
        names = os.listdir(self.folder)
        walked = [entry.name for entry in walk(self.folder, self.entered.append) if entry]
        self.assertEqual(self.names(*names), sorted(name for name in walked if "/" not in name))
        self.assertEqual(len(self.told), 1)
        self.assertEqual(self.names("tree/e"), [])
        self.assertEqual(self.names(listed=["tree"]), [])
        self.assertEqual(self.names(trees=["tree"]), [])

    def test_unreadable(self) -> None:
        """What can't be looked at is told with its reason."""
        self.put("a")
        self.put("sub/b")

        def refuse(*arguments: object) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        self.patch(folder_walk, "_named_file", refuse)
        self.assertEqual(self.names("a"), [])
        self.assertEqual(self.told, {"a": "Permission denied"})
        self.patch(folder_walk, "folder_beneath", refuse)
        self.assertEqual(self.names("sub/b"), [])
        self.assertEqual(self.told, {"sub": "Permission denied"})

    def test_no_folder(self) -> None:
        """A shared folder that is itself gone is an error."""
        self.folder.rmdir()
        self.assertRaises(FileNotFoundError, self.names, "a")

    def test_nothing_left_open(self) -> None:
        """A look that is given up half-way leaves no folder open."""
        for name in ("a", "b"):
            self.put(name)
        before = open_descriptors()
        changed = Changed({"": {"a", "b"}}, set(), set())
        looking = look(self.folder, changed, self.entered.append, self.told.__setitem__)
        next(looking)
        del looking
        self.assertEqual(open_descriptors(), before)

    def test_file_meant(self) -> None:
        """A change of a control file is one of the file beside it; what isn't shared is none."""
        for name, meant in (
            ("a", "a"),
            ("sub/a", "sub/a"),
            ("sub/a.aria2", "sub/a"),
            ("a.st", "a"),
            (".a", ""),
            ("sub/.a.aria2", ""),
            ("a.part", ""),
            ("a.part.st", ""),
            (".st", ""),
        ):
            self.assertEqual(file_meant(name), meant, msg=name)

"""Files of strangers: links, pipes, sockets, devices, names and sizes that must lead nowhere and stop nobody."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest

from tasks.sandbox import foreign
from tasks.sandbox.foreign import Budget, Refused
from tasks.sandbox.foreign_folders import copy_files, make_harmless, remove

SECRET = b"of this machine"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stranger's folder, with a secret beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "strange"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "a.py").write_bytes(b"A = 1\n")
    return folder


def _odd(root: Path) -> list[str]:
    """One name of each kind that is no regular file."""
    (root / "link").symlink_to(root.parent / "secret")
    (root / "inner").symlink_to("pkg/a.py")
    (root / "dangling").symlink_to(root.parent / "not-yet")
    (root / "loop").symlink_to("loop")
    (root / "folder").symlink_to(root.parent)
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    return ["link", "inner", "dangling", "loop", "folder", "folder/secret", "pipe", "socket", "pkg"]


def test_only_regular_files_are_read(root: Path) -> None:
    for name in _odd(root):
        with pytest.raises(OSError, match=r".+"):
            foreign.read(root, name)
        assert foreign.text(root, name) is None
        assert not foreign.is_file(root, name)
    assert foreign.read(root, "pkg/a.py") == b"A = 1\n"
    assert foreign.text(root, "./pkg//a.py") == "A = 1\n"
    assert foreign.is_file(root, "pkg/a.py")


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_a_device_is_not_even_opened(root: Path) -> None:
    os.mknod(root / "tty", 0o666 | stat.S_IFCHR, os.makedev(5, 0))
    with pytest.raises(Refused, match="not a regular file"):
        foreign.read(root, "tty")
    make_harmless(root)
    assert not (root / "tty").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "pkg/../../secret",
        "/etc/hostname",
        "",
        ".",
        "a\0b",
        "\ud800",
        "x" * 300,
        "x/" * 101 + "x",
        "y" * 2000,
    ],
)
def test_names_that_lead_nowhere_below(root: Path, name: str) -> None:
    with pytest.raises(OSError, match=r".+") as caught:
        foreign.read(root, name)
    assert str(caught.value).isprintable()
    with pytest.raises(OSError, match=r".+"):
        foreign.write(root, name, b"x")
    assert foreign.kind(root, name) in (None, "folder")
    assert (root.parent / "secret").read_bytes() == SECRET


def test_a_file_that_is_too_large_is_not_read(root: Path) -> None:
    with open(root / "large", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Refused, match="larger than 1000 bytes"):
        foreign.read(root, "large", limit=1000)


def test_nothing_is_written_over_or_through_what_is_there(root: Path) -> None:
    for name in [*_odd(root), "pkg/a.py", "folder/new", "dangling/new", "pkg/a.py/new"]:
        with pytest.raises(OSError, match=r".+"):
            foreign.write(root, name, b"x")
    assert sorted(path.name for path in root.parent.iterdir()) == ["secret", "strange"]
    assert (root.parent / "secret").read_bytes() == SECRET
    foreign.write(root, "pkg/deep/new.py", b"x")
    assert (root / "pkg/deep/new.py").read_bytes() == b"x"


def test_links_that_stay_inside_are_told_from_others(root: Path) -> None:
    _odd(root)
    (root / "a").mkdir()
    (root / "a" / "up").symlink_to("../pkg")
    (root / "a" / "out").symlink_to("../../strange/pkg")
    assert foreign.inside(root, "a/up") == "pkg"
    assert foreign.inside(root, "a/up/a.py") == "pkg/a.py"
    assert foreign.inside(root, "inner") == "pkg/a.py"
    assert foreign.inside(root, ".") == "."
    outside = ["a/out", "link", "dangling", "loop", "folder", "folder/secret", "..", "/", "/etc", "none", "pkg/a.py/x"]
    assert {name: foreign.inside(root, name) for name in outside} == dict.fromkeys(outside)


def test_a_walk_tells_links_and_does_not_follow_them(root: Path) -> None:
    _odd(root)
    found = {entry.name: entry.kind for entry in foreign.walk(root)}
    assert found.pop("pkg/a.py") == "file"
    assert {name for name, kind in found.items() if kind == "link"} == {"link", "inner", "dangling", "loop", "folder"}
    assert {name for name, kind in found.items() if kind == "other"} == {"pipe", "socket"}
    assert list(foreign.files(root)) == ["pkg/a.py"]
    assert list(foreign.files(root, enter=lambda name: name != "pkg")) == []


def test_copies_are_plain_and_bounded(root: Path, tmp_path: Path) -> None:
    _odd(root)
    (root / "pkg" / "a.py").chmod(0o4711)
    target = tmp_path / "copy"
    target.mkdir()
    copy_files(root, target, Budget(1000))
    assert [str(path.relative_to(target)) for path in target.rglob("*")] == ["pkg", "pkg/a.py"]
    assert stat.S_IMODE((target / "pkg/a.py").stat().st_mode) & 0o7000 == 0
    for budget, words in ((Budget(3), "too large"), (Budget(1000, files=0), "too many files")):
        remove(target)
        target.mkdir()
        with pytest.raises(Refused, match=words):
            copy_files(root, target, budget)


def test_rights_to_be_somebody_else_are_taken(root: Path, tmp_path: Path) -> None:
    names = _odd(root)
    (root / "pkg" / "a.py").chmod(0o6755)
    (root / "pkg").chmod(0o2777)
    (tmp_path / "kept").write_bytes(b"mine")
    (tmp_path / "kept").chmod(0o4755)
    os.link(tmp_path / "kept", root / "twin")
    make_harmless(root)
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in root.rglob("*") if not path.is_symlink()}
    assert modes == {"pkg": 0o777, "a.py": 0o755}
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o4755
    assert [name for name in names if (root / name).is_symlink()] == ["link", "inner", "dangling", "loop", "folder"]


def test_a_folder_of_any_depth_is_removed(root: Path) -> None:
    _odd(root)
    here = os.open(root, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    (root / "closed" / "within").mkdir(parents=True)
    (root / "closed").chmod(0)
    with pytest.raises(Refused, match="too deep"):
        list(foreign.walk(root))
    remove(root)
    assert [path.name for path in root.parent.iterdir()] == ["secret"]


def test_removing_a_link_leaves_what_it_leads_to(root: Path) -> None:
    (root.parent / "other").symlink_to(root)
    remove(root.parent / "other")
    remove(root.parent / "never-there")
    assert foreign.names(root) == ["pkg"]
    assert foreign.names(root, "none") == []


def test_whose_fault_an_error_is() -> None:
    assert foreign.is_host_fault(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert foreign.is_host_fault("error: unable to write file a.py: No space left on device")
    for number in (errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR, errno.EACCES):
        assert not foreign.is_host_fault(OSError(number, os.strerror(number)))
    assert not foreign.is_host_fault(Refused("pkg is not a regular file"))


@pytest.mark.parametrize("name", ["a\x1b[31m\nb", "\udcff.py", "x" * 5000])
def test_a_strangers_name_is_shown_on_one_line(name: str) -> None:
    said = foreign.shown(name)
    assert said.isprintable()
    assert said.encode()
    assert 0 < len(said) <= 120

"""What an installation leaves in the folder where it ran: kept are plain files, and never under our names."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tasks.environments.builds.settling import Unsettled, settle
from tasks.sandbox.foreign import Refused

RECORD = {"log.txt": "how it went", "record.json": "{}"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("of this machine")
    folder = tmp_path / "built"
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    (folder / "generated" / "pkg").mkdir(parents=True)
    (folder / "generated" / "pkg" / "_version.py").write_text("1")
    return folder


def test_our_files_are_not_written_through_what_was_put_there(built: Path) -> None:
    (built / "log.txt").symlink_to(built.parent / "secret")
    (built / "record.json").mkdir()
    (built / "checkout" / "deep").mkdir(parents=True)
    os.mkfifo(built / "dist")
    settle(built, RECORD)
    assert sorted(path.name for path in built.iterdir()) == ["generated", "log.txt", "record.json", "venv"]
    assert (built / "log.txt").read_text() == "how it went"
    assert not (built / "log.txt").is_symlink()
    assert (built.parent / "secret").read_text() == "of this machine"


def test_generated_files_are_plain(built: Path) -> None:
    place = built / "generated" / "pkg"
    (place / "link.py").symlink_to(built.parent / "secret")
    (place / "folder").symlink_to(built.parent)
    os.mkfifo(place / "pipe")
    (place / "_version.py").chmod(0o6755)
    settle(built, RECORD)
    assert [path.name for path in (built / "generated").rglob("*")] == ["pkg", "_version.py"]
    assert stat.S_IMODE((place / "_version.py").stat().st_mode) & 0o7000 == 0


def test_the_environment_gives_nobody_rights(built: Path) -> None:
    (built / "venv" / "bin" / "su").write_text("x")
    (built / "venv" / "bin" / "su").chmod(0o4755)
    os.mkfifo(built / "venv" / "pipe")
    settle(built, RECORD)
    assert stat.S_IMODE((built / "venv" / "bin" / "su").stat().st_mode) == 0o755
    assert not (built / "venv" / "pipe").exists()
    assert (built / "venv" / "bin" / "python").is_symlink()


@pytest.mark.parametrize("name", ["venv", "generated"])
def test_a_link_is_no_environment(built: Path, name: str) -> None:
    (built / name).rename(built / "away")
    (built / name).symlink_to("/")
    with pytest.raises(Unsettled, match=name):
        settle(built, RECORD)


def test_generated_files_are_bounded(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(built / "generated" / "large", "wb") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr("tasks.environments.builds.settling.MAX_GENERATED_BYTES", 1 << 20)
    with pytest.raises(Refused, match="too large"):
        settle(built, RECORD)

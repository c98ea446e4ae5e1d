"""Patches whose files, and whose builds, try to reach this machine: it stays in the arm, or is a status."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.environments.arms import checking_out
from tasks.environments.arms.checking_out import check_out
from tasks.environments.arms.compiling import receive
from tasks.environments.arms.records import environment_folder
from tasks.environments.inside.build_wheel import HEADER
from tasks.environments.models import CheckedOut
from tasks.environments.patches import patching
from tasks.sandbox.foreign import Budget
from tasks.sandbox.models import Environment, SandboxError

PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "{}"\nbackend-path = ["."]\n'
WHEEL = "box-1.0-py3-none-any.whl"
HONEST = f"""
import os, zipfile

def build_wheel(out, *rest):
    with zipfile.ZipFile(os.path.join(out, "{WHEEL}"), "w") as wheel:
        wheel.writestr("box/made.py", "MADE = 1\\n")
        wheel.writestr("box-1.0.dist-info/METADATA", "Name: box\\nVersion: 1.0\\n")
"""
PROJECT = {"box/__init__.py": "", "backend.py": HONEST, "pyproject.toml": PYPROJECT.format("backend")}


class Attempt:
    """A project that is built for each arm, and a folder of this machine that no patch may reach."""

    def __init__(self, history: Any, sandbox: SandboxConfig, outside: Path) -> None:
        outside.mkdir()
        self.history, self.sandbox, self.outside = history, sandbox, outside
        self.base = history.commit(PROJECT)

    def patch(self, files: dict[str, str | bytes | None] | None = None, links: dict[str, str] | None = None) -> str:
        """A patch that writes files (None: removes) and links."""
        for name, target in (links or {}).items():
            place = self.history.source / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        head = self.history.commit(files or {})
        return str(self.history.diff(self.base, head))

    def check_out(self, patch: str | None, build: str = "always") -> CheckedOut:
        history = self.history
        bare = Environment(env_id="bare", kind=self.sandbox.kind, python="python3")
        config = EnvironmentConfig(build=build, build_timeout_s=60)
        return check_out(history.repository, config, bare, self.sandbox, self.base, "patch:x", patch, history.work)

    def build(self, code: str, links: dict[str, str] | None = None) -> CheckedOut:
        """A patch with a build of its own: `code` is the body of `build_wheel(out)`, with a zip file to write into."""
        body = "\n".join(f"    {line}" for line in code.splitlines())
        text = f"import os, stat, zipfile\nWHEEL = {WHEEL!r}\ndef build_wheel(out, *rest):\n"
        text += f"    path = os.path.join(out, WHEEL)\n    zip = lambda: zipfile.ZipFile(path, 'w', 8)\n{body}\n"
        return self.check_out(self.patch({"backend.py": text}, links))

    def folder(self, result: CheckedOut) -> Path:
        assert result.arm is not None, result.reason
        return Path(self.history.work / result.arm.checkout)

    def left(self) -> list[str]:
        """What is in the work folder beside arms, their locks and the clone."""
        found = [path for path in self.history.work.rglob("*") if "clones" not in path.parts]
        return [str(path) for path in found if path.name.startswith((".", "build-")) and path.suffix != ".lock"]


@pytest.fixture
def attempt(history: Any, tmp_path: Path) -> Attempt:
    return Attempt(history, SandboxConfig(), tmp_path / "outside")


@pytest.fixture
def in_both(history: Any, sandbox: SandboxConfig, tmp_path: Path) -> Attempt:
    return Attempt(history, sandbox, tmp_path / "outside")


# What a build hands out


def test_an_honest_build_is_added(in_both: Attempt) -> None:
    folder = in_both.folder(in_both.check_out(in_both.patch({"box/more.py": "X = 1\n"})))
    assert (folder / "box/made.py").read_text() == "MADE = 1\n"
    assert not (folder / "box-1.0.dist-info").exists()


def test_what_is_built_is_not_written_through_a_dangling_link(in_both: Attempt) -> None:
    patch = in_both.patch(links={"box/made.py": str(in_both.outside / "sitecustomize.py")})
    folder = in_both.folder(in_both.check_out(patch))
    assert list(in_both.outside.iterdir()) == []
    assert (folder / "box/made.py").is_symlink()


def test_a_wheel_that_is_no_file_makes_nobody_wait(in_both: Attempt) -> None:
    """A pipe first: opening it waits for a writer; a link to an archive of this machine; a folder."""
    (in_both.outside / "secret.zip").write_bytes(b"PK")
    for code in ("os.mkfifo(path)", f"os.symlink({str(in_both.outside / 'secret.zip')!r}, path)", "os.mkdir(path)"):
        result = in_both.build(code)
        assert (result.status, result.reason) == ("build_failed", "the build made no wheel")
    assert in_both.left() == []


def test_a_bomb_is_refused_and_junk_stays_inside(in_both: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking_out, "MAX_PATCH_BYTES", 1 << 20)
    bomb = in_both.build(
        "with zip() as z, z.open('box/zeros', 'w') as f:\n    for _ in range(10): f.write(bytes(1 << 20))"
    )
    assert bomb.status == "build_failed"
    assert "too large" in bomb.reason
    junk = in_both.build(
        "open(os.path.join(out, 'junk'), 'wb').write(bytes(20 << 20))\n"
        "with zip() as z: z.writestr('box/made.py', 'J = 1')"
    )
    folder = in_both.folder(junk)
    assert (folder / "box/made.py").read_text() == "J = 1"
    assert sum(path.lstat().st_size for path in in_both.history.work.rglob("*")) < 2 << 20


@pytest.mark.parametrize(
    "name", ["../../up.py", "/tmp/isobench-up.py", "box/../../up.py", "box/" + "x" * 300, "y/" * 150]
)
def test_members_that_lead_elsewhere(attempt: Attempt, name: str) -> None:
    result = attempt.build(f"with zip() as z: z.writestr({name + 'end'!r}, 'x')")
    assert result.status == "build_failed"
    assert "not taken" in result.reason
    assert attempt.left() == []


def test_of_members_only_content_and_the_right_to_run_count(attempt: Attempt) -> None:
    result = attempt.build(
        "def add(name, mode, text):\n"
        "    info = zipfile.ZipInfo(name)\n"
        "    info.external_attr = mode << 16\n"
        "    z.writestr(info, text)\n"
        "with zip() as z:\n"
        "    add('box/run', 0o106755, 'x')\n"
        f"    add('box/way', stat.S_IFLNK | 0o777, {str(attempt.outside)!r})\n"
        "    add('box/pipe', stat.S_IFIFO | 0o666, '')\n"
        "    add('box/device', stat.S_IFCHR | 0o666, '')\n"
        "    for left in ('box/__pycache__/a.pyc', 'a.pth', 'x.egg-link', 'o.egg-info/INFO', '.git/HEAD', 'b.pyc'):\n"
        "        add(left, 0o644, 'x')\n"
    )
    folder = attempt.folder(result)
    found = {str(path.relative_to(folder)): path.lstat().st_mode for path in folder.rglob("*") if not path.is_dir()}
    assert set(found) == {*PROJECT, "box/run", "box/way", "box/pipe", "box/device"}
    assert all(stat.S_ISREG(mode) for mode in found.values())
    assert stat.S_IMODE(found["box/run"]) == 0o755


def test_nothing_is_built_into_a_folder_that_leads_out(attempt: Attempt) -> None:
    links = {"box/data": str(attempt.outside), "box/near": "../lib"}
    result = attempt.build(
        "with zip() as z:\n    z.writestr('box/data/x.py', 'x')\n    z.writestr('box/near/y.py', 'y')", links
    )
    folder = attempt.folder(result)
    assert list(attempt.outside.iterdir()) == []
    assert [str(path.relative_to(folder)) for path in folder.rglob("[xy].py")] == []


def test_a_build_that_speaks_in_its_own_name(attempt: Attempt) -> None:
    """It finds the stream among its open files and hands out what it likes: names are judged all the same."""
    result = attempt.build(
        "import struct\n"
        "name = b'../../forged.py'\n"
        "for fd in range(3, 20):\n"
        "    try: os.write(fd, struct.pack('>IBQ', len(name), 0, 1) + name + b'x')\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    )
    assert result.status == "build_failed"
    assert "../../forged.py" in result.reason
    assert attempt.left() == []
    silent = attempt.build("os._exit(0)")
    assert silent.status == "build_failed"
    assert "ends too early" in silent.reason


def _file(name: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(HEADER, len(name), 0, len(content) if size is None else size) + name + content


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (_file(b"a", size=1 << 63), "too large"),
        (b"x" * 100, "too long"),
        (_file(b"a") * 2, "File exists"),
        (_file(b"a", b"1") + _file(b"a/b", b"2"), "Not a directory"),
        (b"".join(_file(b"%d" % number) for number in range(50)), "too many files"),
        (_file(b"a", b"1" * 100, size=200), "too early"),
        (_file(b"a\0b"), "not a name"),
    ],
)
def test_streams_that_are_not_believed(tmp_path: Path, stream: bytes, words: str) -> None:
    with pytest.raises(Exception, match=words):
        receive(io.BytesIO(stream), tmp_path, Budget(1000, files=20))


def test_a_name_of_any_bytes_is_a_name(tmp_path: Path) -> None:
    receive(io.BytesIO(_file(b"\xff\xfe", b"1") + _file(b"")), tmp_path, Budget(1000))
    assert (tmp_path / os.fsdecode(b"\xff\xfe")).read_bytes() == b"1"


@pytest.mark.parametrize(
    "text",
    [
        "[build-system]\nbuild-backend = 3\n",
        "build-system = 3\n[x]\n",
        '[build-system]\nbuild-backend = "backend"\nbackend-path = 5\n',
        "x = " + "[" * 20000,
        PYPROJECT.format("b" * 3_000_000),
        PYPROJECT.format("back\\u0000end"),
    ],
)
def test_a_build_system_that_is_none_is_a_failed_build(attempt: Attempt, text: str) -> None:
    patch = attempt.patch({"pyproject.toml": text})
    assert attempt.check_out(patch).status == "build_failed"


def test_a_build_system_is_not_read_through_a_link(attempt: Attempt) -> None:
    (attempt.outside / "pyproject.toml").write_text(PYPROJECT.format("secret_word_of_this_machine"))
    (attempt.history.source / "pyproject.toml").unlink()
    result = attempt.check_out(attempt.patch(links={"pyproject.toml": str(attempt.outside / "pyproject.toml")}))
    assert "secret_word" not in result.reason


# What a patch's own files are


def _generated(attempt: Attempt, name: str = "box/_version.py") -> None:
    place = environment_folder(attempt.history.work, "bare") / "generated" / name
    place.parent.mkdir(parents=True)
    place.write_text("version = '1'\n")


@pytest.mark.parametrize("target", ["{}/new/version.py", "{}/version.py", "_version.py", "../none/x", "/proc/self/x"])
def test_a_file_of_the_environment_is_not_written_through_a_link(attempt: Attempt, target: str) -> None:
    _generated(attempt)
    result = attempt.check_out(attempt.patch(links={"box/_version.py": target.format(attempt.outside)}), "never")
    assert result.status == "ok"
    assert list(attempt.outside.iterdir()) == []


def test_other_things_in_the_place_of_a_file_or_folder(attempt: Attempt) -> None:
    _generated(attempt)
    in_place = attempt.check_out(attempt.patch({"box/_version.py/x.py": "x"}), "never")
    assert in_place.status == "ok"
    shutil.rmtree(attempt.history.source / "box")
    as_file = attempt.check_out(attempt.patch({"box": "no folder"}), "never")
    assert (as_file.status, (attempt.folder(as_file) / "box").read_text()) == ("ok", "no folder")


NEW = "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"


@pytest.mark.parametrize("name", ["n" * 300, "d/" * 120 + "x", "e/" * 400 + "x", ("w" * 200 + "/") * 6 + "x"])
def test_trees_that_no_arm_can_have(attempt: Attempt, name: str) -> None:
    result = attempt.check_out(NEW.format(name), "never")
    assert result.status == "patch_failed"
    assert result.model_dump_json()
    assert attempt.left() == []


def test_a_small_patch_of_a_large_file(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking_out, "MAX_PATCH_BYTES", 1 << 20)
    patch = attempt.patch({"zeros.bin": bytes(5 << 20)})
    assert len(patch) < 100_000
    result = attempt.check_out(patch, "never")
    assert result.status == "patch_failed"
    assert "5 MB more" in result.reason


def test_a_full_disk_is_not_the_patchs_fault(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x")

    monkeypatch.setattr(checking_out, "apply_patch", full)
    with pytest.raises(SandboxError, match="No space left"):
        attempt.check_out(NEW.format("x"), "never")


def test_folders_to_import_from_are_the_checkouts(attempt: Attempt) -> None:
    bare = Environment(env_id="bare", kind="local", python="python3")
    for path in ("../../..", "/etc", "box/../.."):
        config = EnvironmentConfig(import_paths=[path])
        result = check_out(
            attempt.history.repository, config, bare, attempt.sandbox, attempt.base, "base", None, attempt.history.work
        )
        assert result.arm is None
        assert "no folder of the checkout" in result.reason


# Compiled files


def test_compiled_files_of_a_patch_are_left_out_and_said(attempt: Attempt) -> None:
    history = attempt.history
    attempt.base = history.commit({"box/old.so": b"base", "own.egg-info/top_level.txt": "box\n", "data.bin": b"1"})
    brought: dict[str, str | bytes | None] = {
        "box/fast.cpython-311-x86_64-linux-gnu.so": b"x", "box/core.pyc": b"x",
        "box/__pycache__/c.cpython-311.pyc": b"x",
        "box/lib.so.1": b"x", "a.pth": "import os\n", "b.egg-link": "/", "c.egg-info/entry_points.txt": "[pytest11]\n",
        "d.dist-info/METADATA": "x", "e.egg": b"PK", "box/w.pyd": b"x", "box/FAST.SO": b"x",
        "model.bin": b"\x7fELF\x02", "table.dat": b"\xa7\r\r\n" + bytes(12), "box/old.so": b"changed",
        "own.egg-info/top_level.txt": "evil\n",
    }  # fmt: skip
    kept: dict[str, str | bytes | None] = {"box/core.py": "x = 1\n", "data.bin": bytes(range(256)), "box/n.pyx": "x"}
    result = attempt.check_out(attempt.patch({**brought, **kept}, {"box/linked.so": "../data.bin"}), "never")
    folder = attempt.folder(result)
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert set(found) == {*PROJECT, *kept, "box/old.so", "own.egg-info/top_level.txt"}
    assert (found["box/old.so"], found["own.egg-info/top_level.txt"]) == (b"base", b"box\n")
    assert found["data.bin"] == bytes(range(256))
    assert f"{len(brought) + 1} compiled files" in result.reason
    again = attempt.check_out(attempt.history.diff(attempt.base, "HEAD"), "never")
    assert again == result


def test_base_keeps_its_compiled_files_and_a_build_makes_some(attempt: Attempt) -> None:
    attempt.base = attempt.history.commit({"box/old.so": b"base"})
    assert (attempt.folder(attempt.check_out(None, "never")) / "box/old.so").read_bytes() == b"base"
    built = attempt.build("with zip() as z: z.writestr('box/_fast.cpython-311-x86_64-linux-gnu.so', b'made')")
    folder = attempt.folder(built)
    assert (folder / "box/_fast.cpython-311-x86_64-linux-gnu.so").read_bytes() == b"made"
    assert (folder / "box/old.so").read_bytes() == b"base"
    assert built.reason == ""


class _Flow:
    """Of a run what `check_out_arms` needs: doors called one after the other, and the funnel's notes."""

    def __init__(self, attempt: Attempt) -> None:
        self.store = SimpleNamespace(work=attempt.history.work)
        self.notes: list[tuple[Any, ...]] = []

    def map(self, stage: str, door: Any, items: dict[str, dict[str, Any]], **_: Any) -> dict[str, CheckedOut]:
        return {key: check_out(**arguments, work=self.store.work) for key, arguments in items.items()}

    def note(self, *words: str, repo: str = "") -> None:
        self.notes.append(words)


def test_the_funnel_names_what_was_left_out(attempt: Attempt) -> None:
    from flows.stages.checkouts import ArmWanted, check_out_arms

    flow, config = _Flow(attempt), EnvironmentConfig(build="never")
    bare = Environment(env_id="bare", kind="local", python="python3")
    patches = {"patch:1": attempt.patch({"box/fast.so": b"x", "box/a.py": "x"}), "patch:2": NEW.format("box/b.py")}
    wanted = [
        ArmWanted("i", name, attempt.history.repository, config, bare, attempt.base, patch)
        for name, patch in patches.items()
    ]
    arms, failed = check_out_arms(flow, attempt.sandbox, wanted)  # type: ignore[arg-type]
    assert (set(arms["i"]), failed) == ({"patch:1", "patch:2"}, {})
    assert flow.notes == [
        ("checkouts", "i patch:1", "kept", "left out of the patch: 1 compiled file (box/fast.so)"),
    ]


# Where there is no bubblewrap, and what git may use


def test_a_build_without_bubblewrap(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.sandbox.local.sandbox.bubblewrap.find_bubblewrap", lambda: None)
    monkeypatch.setattr("tasks.sandbox.local.sandbox._warn_once", lambda: None)
    links = {"box/made.py": str(attempt.outside / "made.py")}
    folder = attempt.folder(attempt.check_out(attempt.patch({"box/x.py": "x"}, links)))
    assert (folder / "box/made.py").is_symlink()
    assert list(attempt.outside.iterdir()) == []


def test_git_is_held_while_it_applies_a_patch(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is the real one but for its number: a file of more than a gigabyte would take long to make."""
    bounded = tuple(word.replace("2097152", "2048") for word in patching._BOUNDED)
    assert bounded != patching._BOUNDED
    monkeypatch.setattr(patching, "_BOUNDED", bounded)
    result = attempt.check_out(attempt.patch({"zeros.bin": bytes(3 << 20)}), "never")
    assert (result.status, result.reason) == ("patch_failed", "a file of the patch is too large")

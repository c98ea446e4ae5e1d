"""What is particular to the local sandbox: the fallback, limits without control groups, what bubblewrap is told."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from configs.models import SandboxConfig
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.local import sandbox as local_module
from tasks.sandbox.local.bubblewrap import arguments, find_bubblewrap, interpreters_of
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.local.unconfined import rewritten
from tasks.sandbox.models import Command, Limits, Mount, SandboxError
from tasks.sandbox.seccomp import program

PYTHON = f"{sys.base_prefix}/bin/python3"


def test_paths_are_rewritten_without_bubblewrap(tmp_path: Path) -> None:
    command = Command(
        argv=("/env/bin/python", "-c", "open('/arm/x')", "/armoury", "--out=/work/y", "/arm"),
        variables={"PYTHONPATH": "/arm:/arm/src:/other", "A": "plain"},
        mounts=(Mount(source=Path("/real/arm"), target="/arm"), Mount(source=Path("/real/env"), target="/env")),
    )
    real = rewritten(command, tmp_path)
    assert real.argv == ("/real/env/bin/python", "-c", "open('/arm/x')", "/armoury", "--out=/work/y", "/real/arm")
    assert real.variables["PYTHONPATH"] == "/real/arm:/real/arm/src:/other"
    assert real.variables["A"] == "plain"
    assert real.variables["TMPDIR"] == f"{tmp_path}/tmp"
    assert real.cwd == f"{tmp_path}/work"
    assert (tmp_path / "work").is_dir()


def test_the_private_folder_is_deleted() -> None:
    with LocalSandbox(use_bubblewrap=False) as sandbox:
        done = sandbox.run(Command(argv=(PYTHON, "-c", "import os; open('f', 'w').close(); print(os.getcwd())")))
    assert done.returncode == 0
    assert not Path(done.stdout.decode().strip()).exists()


def test_missing_bubblewrap_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module.bubblewrap, "find_bubblewrap", lambda: None)
    local_module._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="NOT isolated"):
        LocalSandbox().close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LocalSandbox().close()
    with pytest.raises(SandboxError, match="doctor"):
        LocalSandbox(use_bubblewrap=True)


@pytest.mark.parametrize("use_bubblewrap", [True, False])
def test_memory_limit_without_control_groups(monkeypatch: pytest.MonkeyPatch, use_bubblewrap: bool) -> None:
    if use_bubblewrap and find_bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    monkeypatch.setattr(local_module.cgroups, "find_places", lambda: None)
    with LocalSandbox(use_bubblewrap) as sandbox:
        limits = Limits(memory_mb=128)
        done = sandbox.run(Command(argv=(PYTHON, "-c", "x = bytearray(600 << 20)"), limits=limits))
        assert (done.returncode, done.out_of_memory) == (1, True)
        done = sandbox.run(Command(argv=(PYTHON, "-c", "x = bytearray(50 << 20)"), limits=limits))
        assert (done.returncode, done.out_of_memory) == (0, False)


FORKS = """
import os, time
held = bytearray({before} << 20)
for _ in range({children}):
    if os.fork() == 0:
        held = bytearray({after} << 20)
        time.sleep(5)
        os._exit(0)
time.sleep(5 if {children} > 10 else 1.5)
print("fine")
"""
OVERUSES = {
    "memory of all together": (FORKS.format(before=0, children=12, after=20), (None, True)),
    "processes": (FORKS.format(before=0, children=60, after=0), (None, False)),
    "nothing: forked processes share": (FORKS.format(before=60, children=5, after=0), (0, False)),
}


@pytest.mark.parametrize("use_bubblewrap", [True, False])
@pytest.mark.parametrize(("code", "expected"), OVERUSES.values(), ids=OVERUSES)
def test_a_whole_tree_is_watched_without_control_groups(
    monkeypatch: pytest.MonkeyPatch, use_bubblewrap: bool, code: str, expected: tuple[int | None, bool]
) -> None:
    if use_bubblewrap and find_bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    monkeypatch.setattr(local_module.cgroups, "find_places", lambda: None)
    with LocalSandbox(use_bubblewrap) as sandbox:
        done = sandbox.run(Command(argv=(PYTHON, "-c", code), limits=Limits(memory_mb=128, pids=40)))
    assert (done.returncode, done.out_of_memory) == expected, done


def test_private_folders_count_as_memory_without_control_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    monkeypatch.setattr(local_module.cgroups, "find_places", lambda: None)
    code = """
import time
for folder in ("/tmp", "/work", "/dev/shm"):
    open(folder + "/file", "wb").write(bytes(60 << 20))
time.sleep(5)
"""
    with LocalSandbox(use_bubblewrap=True) as sandbox:
        done = sandbox.run(Command(argv=(PYTHON, "-c", code), limits=Limits(memory_mb=128, tmp_mb=100)))
    assert done.out_of_memory


def test_a_network_brings_no_private_keys() -> None:
    """Run by root, a command may read what root may: folders of keys must not be visible at all."""
    found = find_bubblewrap()
    if found is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    argv = arguments(found, Command(argv=("true",), network=True))
    visible = [Path(path) for path in argv if path.startswith("/etc/") and Path(path).is_dir()]
    assert Path("/etc/alternatives") in visible
    assert [path for folder in visible for path in folder.rglob("private")] == []


def test_a_virtual_environment_brings_its_interpreter(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    assert interpreters_of([Mount(source=environment, target="/env")]) == [str(Path(sys.base_prefix))]
    with LocalSandbox() as sandbox:
        command = Command(
            argv=("/env/bin/python", "-c", "import sys; print(sys.prefix != sys.base_prefix)"),
            mounts=(Mount(source=environment, target="/env"),),
        )
        done = sandbox.run(command)
    assert done.stdout == b"True\n", done.stderr


@pytest.mark.parametrize(
    "home", ["{}/bin", "{}", "/etc/x", "/root/bin", "/home/x", "../bin", "/usr/../{}/bin", "{}/../private/bin"]
)
def test_a_file_that_a_stranger_wrote_brings_nothing_else_of_this_machine(tmp_path: Path, home: str) -> None:
    """A patch can put a `pyvenv.cfg` into its checkout, a build into its environment."""
    (tmp_path / "private" / "bin").mkdir(parents=True)
    (tmp_path / "private" / "bin" / "python3").touch()
    (tmp_path / "private" / "secret").write_text("of this machine")
    arm = tmp_path / "arm"
    arm.mkdir()
    (arm / "pyvenv.cfg").write_text(f"home = {home.format(tmp_path / 'private')}\n")
    mounts = (Mount(source=arm, target="/arm"),)
    assert interpreters_of(mounts) == []
    if find_bubblewrap() is not None:
        with LocalSandbox() as sandbox:
            done = sandbox.run(Command(argv=("/bin/cat", str(tmp_path / "private" / "secret")), mounts=mounts))
        assert done.stdout == b""


def test_settings_of_an_environment_are_read_from_a_file_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pyvenv.cfg")
    assert interpreters_of([Mount(source=tmp_path, target="/env")]) == []


def test_a_link_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "venv").symlink_to("/etc")
    with LocalSandbox() as sandbox, pytest.raises(SandboxError, match="is a link"):
        sandbox.run(Command(argv=("/bin/true",), mounts=(Mount(source=tmp_path / "venv", target="/env"),)))


def test_seccomp_program_is_well_formed() -> None:
    code = program("x86_64")
    assert code is not None
    instructions = list(struct.iter_unpack("<HBBI", code))
    for index, (operation, if_true, if_false, _) in enumerate(instructions):
        if operation in (0x15, 0x35, 0x45):
            assert index + 1 + max(if_true, if_false) < len(instructions)
    assert program("unheard-of") is None


def test_configuration_decides() -> None:
    config = SandboxConfig(memory_mb=100, pids=7, tmp_mb=3, output_mb=2)
    with open_sandbox(config) as sandbox:
        assert sandbox.kind == "local"
    assert limits_of(config, 5) == Limits(memory_mb=100, pids=7, tmp_mb=3, output_mb=2, timeout_s=5)


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, tasks.sandbox; print([m for m in ('docker', 'prefect', 'polars', 'psutil') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.docker
def test_missing_image_says_what_to_do(docker_image: str) -> None:
    with open_sandbox(SandboxConfig(kind="docker")) as sandbox, pytest.raises(SandboxError, match=r"build-base\.sh"):
        sandbox.run(Command(argv=("true",), image="isobench-no-such-image:1"))


def test_missing_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxError, match="start it"):
        open_sandbox(SandboxConfig(kind="docker"))

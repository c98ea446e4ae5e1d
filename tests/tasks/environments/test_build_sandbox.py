"""What a stranger's commands can do while an environment is built: fill it, and nothing else. With real sandboxes."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.environments.builds.building import build_environment
from tasks.environments.builds.images import DockerRunner
from tasks.environments.builds.runners import OUTPUT_CHARACTERS, LocalRunner, Place
from tasks.environments.models import Built, EnvironmentWanted
from tasks.sandbox.docker.engine import default_image
from tasks.sandbox.local.bubblewrap import interpreters_of
from tasks.sandbox.local.sandbox import _warn_once
from tasks.sandbox.models import ENV_DIR, Command, Mount
from tests.tasks.environments.test_environments_building import DATE, _dependency, _run

SEEN = """
import os, pathlib, socket, subprocess
def tried(name, what):
    try:
        print(f"{name}: {what()}")
    except Exception as error:
        print(f"{name}: refused ({type(error).__name__})")
tried("user", os.getuid)
tried("rights", lambda: [l for l in open("/proc/self/status") if l.startswith("CapEff")][0].split()[1])
tried("keys", lambda: [name for name, value in os.environ.items() if "hidden" in value])
tried("secret", lambda: open(SECRET).read())
tried("home", lambda: os.listdir("/root"))
tried("users", lambda: open("/etc/shadow").read())
tried("written", lambda: open(WRITTEN, "w").write("x"))
tried("usr", lambda: open("/usr/bin/isobench-was-here", "w").write("x"))
tried("killed", lambda: os.kill(VICTIM, 9))
tried("traced", lambda: open(f"/proc/{VICTIM}/environ").read())
tried("unix", lambda: socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock"))
tried("tools", lambda: open("/isobench-tools/bin/uv", "ab").write(b"x"))
tried("uv cache of the user", lambda: os.listdir(USER_CACHE))
tried("mounted", lambda: subprocess.run(["mount", "-t", "tmpfs", "x", "/mnt"], check=True))
tried("namespaces", lambda: subprocess.run(["unshare", "-Ur", "true"], check=True))
"""
LINKS = [
    "rm -rf /isobench-build/generated && ln -s {outside} /isobench-build/generated",
    "ln -s {outside}/log /isobench-build/log.txt; ln -s {outside}/record /isobench-build/record.json",
    "ln -s {outside}/link /env/link; ln -s {outside}/state /isobench-build/commands.state.new",
    "printf 'home = {outside}/bin\\n' > /env/pyvenv.cfg.new",
    "cp /bin/true /env/runs-as-root && chmod 6755 /env/runs-as-root",
    "cp /bin/true $UV_CACHE_DIR/runs-as-its-owner && chmod 6755 $UV_CACHE_DIR/runs-as-its-owner",
    "mkfifo $UV_CACHE_DIR/pipe; mkdir -m 7777 $UV_CACHE_DIR/for-all",
    "(setsid sleep 600.125 >/dev/null 2>&1 &)",
]


@pytest.fixture
def victim() -> Any:
    process = subprocess.Popen(["sleep", "600"], env={"SECRET": "hidden"})
    yield process
    process.kill()
    process.wait()


@pytest.mark.timeout(180)
def test_commands_of_a_file_see_and_change_nothing_of_the_machine(
    history: Any, sandbox: SandboxConfig, python_here: Any, forget_images: Any, victim: Any,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    for name in (
        "OPENAI_API_KEY",
        "GHAPI_TOKEN",
        "ISOBENCH_CACHE_KEY",
        "AWS_PROFILE",
        "MY_SETTING",
        "UV_PUBLISH_TOKEN",
    ):
        monkeypatch.setenv(name, "hidden-but-long-enough")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("hidden")
    values = {
        "SECRET": str(outside / "secret"), "WRITTEN": str(outside / "written"), "VICTIM": victim.pid,
        "USER_CACHE": str(Path.home() / ".cache" / "uv"),
    }  # fmt: skip
    script = "".join(f"{name} = {value!r}\n" for name, value in values.items()) + SEEN
    base = history.commit({"tinylib/__init__.py": "", "seen.py": script})
    config = python_here(
        install_project=False,
        setup_commands=["python seen.py", *[text.replace("{outside}", str(outside)) for text in LINKS]],
    )
    built = build_environment(
        EnvironmentWanted(history.repository, config, sandbox, base, base, DATE, foreign=True), history.work
    )
    assert built.environment is not None, built.reason
    if built.environment.image:
        forget_images(built.environment.image)
    assert built.log is not None
    log = (history.work / built.log).read_text()
    said = dict(line.split(": ", 1) for line in log.splitlines() if ": " in line and not line.startswith("$"))
    assert said["user"] == "1000"
    assert int(said["rights"], 16) == 0
    assert said["keys"] == "[]"
    for name in ("secret", "users", "written", "usr", "unix", "tools", "uv cache of the user", "mounted", "namespaces"):
        assert said[name].startswith("refused"), (name, said[name])
    assert said["killed"].startswith("refused (ProcessLookupError")
    assert said["traced"].startswith("refused")
    assert (
        said["home"] in ("[]", "refused (FileNotFoundError)", "refused (PermissionError)") or ".pyenv" in said["home"]
    )
    assert victim.poll() is None
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    folder = (history.work / built.log).parent
    assert not (folder / "generated").is_symlink()
    downloads = history.work / "downloads"
    assert stat.S_IMODE(downloads.stat().st_mode) == 0o700
    assert [path.name for path in downloads.rglob("runs-as-its-owner")] == ["runs-as-its-owner"]
    for path in [*folder.rglob("*"), *downloads.rglob("*")]:
        mode = path.lstat().st_mode
        assert stat.S_ISLNK(mode) or not mode & (stat.S_ISUID | stat.S_ISGID), path
        assert not stat.S_ISFIFO(mode), path
    assert not any("600.125" in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


def _build(history: Any, config: EnvironmentConfig, sandbox: SandboxConfig, base: str) -> Built:
    return build_environment(
        EnvironmentWanted(history.repository, config, sandbox, base, base, DATE, foreign=True), history.work
    )


@pytest.mark.timeout(180)
def test_commands_share_one_shell_and_their_own_environment_is_the_arms(
    history: Any, sandbox: SandboxConfig, python_here: Any, forget_images: Any
) -> None:
    """As datasets write them: a script in a list. pip is that of the environment, never the one that runs isobench."""
    wheel = _dependency(history.source / "vendored")
    other = _dependency(history.source / "vendored", "otherdep")
    base = history.commit(
        {
            "tinylib/__init__.py": "",
            f"vendored/{wheel.name}": wheel.read_bytes(),
            f"vendored/{other.name}": other.read_bytes(),
        }
    )
    version = "3.11" if sandbox.kind == "docker" else f"{sys.version_info.major}.{sys.version_info.minor}"
    config = python_here(
        install_project=False,
        setup_commands=["export CHOSEN=1", "cd vendored"],
        install_commands=[
            "cd ..",
            "git clean -xfd",
            f"uv venv --python {version}",
            "source .venv/bin/activate",
            'test "$(which python)" = "$PWD/.venv/bin/python" && test "$CHOSEN" = 1',
            "python --version",
            "source $HOME/.local/bin/env && command -v uv",
            f"uv pip install --offline vendored/{wheel.name}",
            f"pip install --no-index --no-deps vendored/{other.name}",
            "printf '#!%s\\nimport tinydep, otherdep; print(tinydep.VALUE)\\n' $(which python) > .venv/bin/tell",
            "chmod +x .venv/bin/tell",
        ],
    )
    built = _build(history, config, sandbox, base)
    assert built.environment is not None, built.reason
    if built.environment.image:
        forget_images(built.environment.image)
    code = "import subprocess, sys; print(sys.prefix, subprocess.check_output(['/env/bin/tell'], text=True).strip())"
    assert _run(history, built, config, sandbox, base, code) == f"{ENV_DIR} 42"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("otherdep")


@pytest.mark.rotated(1)
@pytest.mark.parametrize("pip", ["pip", "pip3", "python -m ensurepip && python -m pip"])
def test_pip_of_a_command_is_the_environments(history: Any, python_here: Any, pip: str) -> None:
    wheel = _dependency(history.source / "vendored")
    base = history.commit({"tinylib/__init__.py": "", f"vendored/{wheel.name}": wheel.read_bytes()})
    config = python_here(install_commands=[f"{pip} install --no-index vendored/{wheel.name}"])
    built = _build(history, config, SandboxConfig(), base)
    assert _run(history, built, config, SandboxConfig(), base, "import tinydep; print(tinydep.VALUE)") == "42"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("tinydep")


@pytest.mark.parametrize(
    ("commands", "named", "detail"),
    [
        (["true", "cd /nowhere", "true"], "cd /nowhere", "/nowhere"),
        (["echo 'error: of an earlier one'; true", "echo 'what it said last'; false"], "false", "what it said last"),
        (["false | true", "x=$(false)"], "x=$(false)", ""),
        (["exit 0", "true"], "exit 0", "ends the shell"),
        (["if true; then", "true"], "if true; then", "syntax error"),
        (["set +e", "no_such_command_1", "exit 3"], "exit 3", ""),
        (["yes 'error: much' | head -c 3000000; sh -c 'exit 9'"], "exit 9", "error: much"),
    ],
)
def test_the_command_that_failed_is_named(
    history: Any, python_here: Any, commands: list[str], named: str, detail: str
) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    built = _build(history, python_here(install_commands=commands), SandboxConfig(), base)
    assert built.environment is None
    assert built.reason.startswith("install command fails: ")
    assert named in built.reason
    assert detail in built.reason


@pytest.mark.parametrize("command", ["echo a\0b", "echo a\ud800b", "echo " + "x" * 200_000])
def test_a_command_that_no_system_can_start_is_a_result(history: Any, python_here: Any, command: str) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    built = _build(history, python_here(setup_commands=[command]), SandboxConfig(), base)
    assert built.environment is None
    assert "a command holds a character that no" in built.reason or "a command is longer than" in built.reason
    assert len(built.reason) < 1000


def test_of_output_without_end_only_the_end_is_kept(sandbox: SandboxConfig, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "clone").mkdir()
    folders = {name: tmp_path / "work" / name for name in ("build", "environment", "tools", "cache")}
    place = Place(**folders, clone=tmp_path / "clone")
    much = ["sh", "-c", "head -c 400000000 /dev/zero | tr '\\0' a; echo; echo the end"]
    opened = LocalRunner(place, "3.11") if sandbox.kind == "local" else DockerRunner(default_image(), place, False)
    with opened as runner:
        tracemalloc.start()
        try:
            ran = runner.run(much, timeout_s=100)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert len(ran.output) == OUTPUT_CHARACTERS
    assert ran.output.endswith("\nthe end\n")
    assert peak < 50_000_000


def test_the_last_command_may_leave_the_shell(history: Any, python_here: Any) -> None:
    base = history.commit({"tinylib/__init__.py": ""})
    built = _build(history, python_here(install_commands=["true", "exit 0"]), SandboxConfig(), base)
    assert built.environment is not None, built.reason


def test_without_isolation_nothing_runs_unless_the_user_says_so(
    history: Any, python_here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tasks.sandbox.local.bubblewrap.find_bubblewrap", lambda: None)
    monkeypatch.setenv("OPENAI_API_KEY", "hidden")
    base = history.commit({"tinylib/__init__.py": ""})
    config = python_here(install_commands=[f"env > {tmp_path}/ran; python -c 'import sys; print(sys.prefix)'"])
    built = _build(history, config, SandboxConfig(), base)
    assert built.environment is None
    assert "--trust" in built.reason
    assert not (tmp_path / "ran").exists()
    _warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="NOT isolated"):
        built = _build(history, config, SandboxConfig(trust=True), base)
    assert built.environment is not None, built.reason
    assert "hidden" not in (tmp_path / "ran").read_text()
    assert os.path.dirname(sys.executable) not in (tmp_path / "ran").read_text()  # on no PATH


@pytest.mark.parametrize("home", ["/root/.ssh/bin", "/etc/x", "{home}/bin", "{secret}/bin"])
def test_an_environment_cannot_name_folders_to_show(tmp_path: Path, home: str) -> None:
    """`pyvenv.cfg` says where its interpreter is installed; a build can write anything there."""
    secret = tmp_path / "secret"
    (secret / "bin").mkdir(parents=True)
    (secret / "bin" / "python3.11").touch()
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pyvenv.cfg").write_text(f"home = {home.format(home=Path.home(), secret=secret)}\n")
    mount = Mount(source=venv, target=ENV_DIR)
    assert interpreters_of([mount]) == []
    (venv / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    assert sys.base_prefix in interpreters_of([mount])
    (venv / "pyvenv.cfg").rename(tmp_path / "elsewhere")
    (venv / "pyvenv.cfg").symlink_to(tmp_path / "elsewhere")
    assert interpreters_of([mount]) == []
    (venv / "pyvenv.cfg").unlink()
    os.mkfifo(venv / "pyvenv.cfg")
    assert interpreters_of([mount]) == []


@pytest.mark.parametrize("python", ["{secret}/bin/python3.11", "{secret}/../secret/x/y", "--python={secret}/x/y"])
def test_a_wanted_python_cannot_name_folders_to_show(
    history: Any, python_here: Any, tmp_path: Path, python: str
) -> None:
    secret = tmp_path / "secret"
    (secret / "bin").mkdir(parents=True)
    (secret / "key").write_text("hidden")
    (secret / "bin" / "python3.11").write_text(f"#!/bin/sh\ncat {secret}/key\n")
    (secret / "bin" / "python3.11").chmod(0o755)
    base = history.commit({"tinylib/__init__.py": ""})
    config = python_here(python=python.format(secret=secret), setup_commands=[f"cat {secret}/key"])
    built = _build(history, config, SandboxConfig(), base)
    assert built.environment is None
    assert built.log is not None
    assert "hidden" not in (history.work / built.log).read_text()


def test_downloads_are_shared_with_builds_of_the_same_repository_and_commands_only(
    history: Any, python_here: Any
) -> None:
    """What one build leaves there, the next one installs."""
    base = history.commit({"tinylib/__init__.py": ""})
    poison = "echo poison > $UV_CACHE_DIR/left"
    sees = "ls $UV_CACHE_DIR | grep -c left || true"
    seen = []
    for commands in ([poison, sees], [sees], [poison, sees]):
        built = _build(history, python_here(install_commands=commands), SandboxConfig(), base)
        assert built.log is not None
        seen.append((history.work / built.log).read_text().count("\n1\n"))
    assert seen == [1, 0, 1]
    assert not (Path.home() / ".cache" / "uv" / "left").exists()


def test_a_local_index_is_reached_and_nothing_else_of_its_folder(
    history: Any, python_here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _dependency(tmp_path / "index" / "wheels", "fromindex")
    (tmp_path / "index" / "private").write_text("hidden")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index" / "wheels"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    base = history.commit({"tinylib/__init__.py": ""})
    commands = ["uv pip install fromindex", f"! cat {tmp_path}/index/private"]
    config = python_here(install_commands=commands)
    built = _build(history, config, SandboxConfig(), base)
    assert built.environment is not None, built.reason
    assert _run(history, built, config, SandboxConfig(), base, "import fromindex; print(fromindex.VALUE)") == "42"


def test_a_proxy_on_this_machine_is_reached(history: Any, python_here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        code = f"import os, socket; socket.create_connection(('127.0.0.1', {port}), 5); print(os.environ['HTTP_PROXY'])"
        base = history.commit({"tinylib/__init__.py": "", "reach.py": code})
        built = _build(history, python_here(install_commands=["python reach.py"]), SandboxConfig(), base)
    assert built.environment is not None, built.reason


def test_commands_are_told_apart_from_their_arguments() -> None:
    """Nothing that a row holds becomes part of our own command line."""
    from tasks.environments.builds.commands import command_line, outcome
    from tasks.environments.builds.runners import Ran

    class Here:
        build = "/tmp"

    hostile = ["'; touch /tmp/no #", "$(echo hi)", "--version", "a\nb"]
    argv = command_line(Here(), hostile, "token")  # type: ignore[arg-type]
    assert argv[-4:] == hostile
    assert Command(argv=tuple(argv))
    forged = outcome(Ran(1, "\ntoken done /x\n\ntoken 2 \n", 0), hostile, "token")
    assert (forged.failed, forged.virtual_env) == (1, "")

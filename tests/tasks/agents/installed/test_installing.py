"""Installing an agent: once, by content, shared; and what is said where it does not work. No registry is asked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from configs.agent_files import AgentFile
from configs.models import SandboxConfig
from tasks.agents.installed import installing, pythons, recipes
from tasks.agents.installed.inside.relocate import relocate
from tasks.agents.installed.installing import AGENT_DIR, Installed, NotInstalled, install
from tasks.registry import Registry
from tasks.sandbox import open_sandbox
from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.models import Command

SECRET = "isobench-test-secret"


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A package without dependencies and without a build backend of its own, with a program `hello`."""
    folder = tmp_path / "hello"
    (folder / "hello").mkdir(parents=True)
    (folder / "hello" / "__init__.py").write_text("import sys\ndef main():\n    print('hello', sys.prefix)\n")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    run = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@x"]
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "hello"]):
        subprocess.run([*run, *argv], check=True)
    done = subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return folder, done.stdout.strip()


BACKEND = """
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "hello-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.write("hello/__init__.py")
        info = "hello-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: hello\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nhello = hello:main\\n")
        wheel.writestr(info + "RECORD", "")
    if any("isobench-test-secret" in value for value in os.environ.values()):
        raise SystemExit("a key is visible")
    return name
"""


def agent(repository: tuple[Path, str], **more: object) -> AgentFile:
    return AgentFile.model_validate(
        {
            "name": "hello", "argv": ["hello"], "protocol": "openai", "version_argv": ["hello"],
            "install": {"kind": "git", "repository": str(repository[0]), "version": repository[1], **more},
        }
    )  # fmt: skip


def test_an_agent_is_installed_once_and_runs_where_it_is_mounted(
    repository: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    asked = agent(repository)
    with ThreadPoolExecutor(2) as two:
        first, second = two.map(lambda _: install(asked, tmp_path / "work"), range(2))
    assert first == second
    assert first.version == "hello /agent/venv"
    folders = [path for path in (tmp_path / "work" / "agents").iterdir() if path.is_dir()]
    assert [folder.name for folder in folders] == [f"hello-{first.key}"]
    before = folders[0].stat().st_mtime_ns
    assert install(asked, tmp_path / "work") == first
    assert folders[0].stat().st_mtime_ns == before
    with LocalSandbox() as sandbox:
        path = ":".join([*first.path, "/usr/bin:/bin"])
        argv = ("/bin/sh", "-c", f"hello; command -v python; echo spoilt > {AGENT_DIR}/bin/hello")
        done = sandbox.run(Command(argv=argv, mounts=first.mounts, variables={"PATH": path}))
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "hello /agent/venv"
    assert not any(line.startswith(AGENT_DIR) for line in lines[1:])  # its Python is in nobody's way
    assert b"Read-only file system" in done.stderr


@pytest.mark.docker
def test_without_bubblewrap_a_container_installs_for_containers(
    repository: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker_image: str
) -> None:
    monkeypatch.setattr(LocalSandbox, "isolated", False)
    with pytest.raises(NotInstalled, match="agents are installed in bubblewrap, which is missing"):
        install(agent(repository), tmp_path)
    with pytest.raises(NotInstalled, match="the package has no program of this name"):
        install(agent(repository, programs=["nobody"]), tmp_path, "docker")
    made = install(agent(repository), tmp_path, "docker")
    assert made.version == "hello /agent/venv"
    with open_sandbox(SandboxConfig(kind="docker")) as sandbox:
        done = sandbox.run(Command(argv=(f"{AGENT_DIR}/bin/hello",), mounts=made.mounts))
    assert done.stdout == b"hello /agent/venv\n"
    assert [path.name for path in (tmp_path / "agents").iterdir() if path.is_dir()] == [f"hello-{made.key}"]


def test_other_content_is_installed_beside(repository: tuple[Path, str], tmp_path: Path) -> None:
    first = install(agent(repository), tmp_path)
    assert first.key != install(agent(repository, node="22.20.0"), tmp_path).key
    assert len([path for path in (tmp_path / "agents").iterdir() if path.is_dir()]) == 2


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"version": "0" * 40}, "cannot be fetched"),
        ({"python": "3.99"}, "it needs Python 3.99, which is not on this machine"),
        ({"python": "latest"}, "'latest' is no version such as 3.12 or 3.12+"),
        ({"programs": ["nobody"]}, "look for nobody ended with exit code 1: the package has no program of this name"),
        ({"extras": ["x"], "also": ["no-such-package-of-isobench @ file:///nowhere.whl"]}, "could not be installed"),
    ],
)
def test_what_cannot_be_installed_is_a_reason_and_leaves_nothing(
    more: dict[str, object], reason: str, repository: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "ready_python", lambda wanted: wanted if "99" in wanted else _running())
    with pytest.raises(NotInstalled) as error:
        install(agent(repository, **more), tmp_path / "work")
    assert reason in str(error.value)
    agents = tmp_path / "work" / "agents"
    assert not agents.exists() or not [path for path in agents.iterdir() if path.is_dir()]


def _running() -> str:
    return os.path.join(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")


def test_a_command_needs_no_installation(tmp_path: Path) -> None:
    command = AgentFile.model_validate(
        {"name": "command", "argv": ["sh"], "protocol": "openai", "install": {"kind": "none"}}
    )
    assert install(command, tmp_path) == Installed(name="command", key="", mounts=(), path=())
    assert not (tmp_path / "agents").exists()


def test_what_a_killed_installation_left_is_removed(repository: tuple[Path, str], tmp_path: Path) -> None:
    asked = agent(repository)
    done = install(asked, tmp_path)
    left = tmp_path / "agents" / f".hello-{done.key}.dead"
    left.mkdir()
    installing.remove(tmp_path / "agents" / f"hello-{done.key}")
    assert install(asked, tmp_path).key == done.key
    assert not left.exists()


def test_steps_find_what_leads_to_registries_and_no_key(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        f"registry=https://npm.example/\n//npm.example/:_authToken={SECRET}\ncafile=/etc/ca.pem\nscript-shell=/x\n"
    )
    environ = {
        "HOME": str(tmp_path),
        "ANTHROPIC_API_KEY": SECRET,
        "npm_config_fetch_timeout": "1",
        "NODE_OPTIONS": "-x",
    }
    found = recipes.variables(Registry({"SSL_CERT_FILE": "/etc/own.pem"}, ""), environ)
    assert found["NPM_CONFIG_REGISTRY"] == "https://npm.example/"
    assert found["NPM_CONFIG_CAFILE"] == "/etc/ca.pem"
    assert found["NPM_CONFIG_FETCH_TIMEOUT"] == "1"
    assert found["NODE_EXTRA_CA_CERTS"] == "/etc/own.pem"
    assert SECRET not in str(found)
    assert not {"NODE_OPTIONS", "NPM_CONFIG_SCRIPT_SHELL"} & set(found)


def test_a_program_finds_its_library_in_another_folder(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"\x7fELF...\0/home/someone/pythons/lib\0...")
    real.chmod(0o755)
    os.symlink(real, tmp_path / "python")
    assert relocate(str(tmp_path), "/home/someone/pythons/lib", "/agent-python/lib")
    assert not (tmp_path / "python").is_symlink()
    assert (tmp_path / "python").read_bytes() == b"\x7fELF...\0/agent-python/lib\0\0\0\0\0\0\0\0\0...".replace(
        b"lib" + b"\0" * 9, b"lib" + b"\0" * (len("/home/someone/pythons/lib") - len("/agent-python/lib") + 1)
    )
    assert stat.S_IMODE((tmp_path / "python").stat().st_mode) == 0o755
    assert not relocate(str(tmp_path), "/home/someone/pythons/lib", "/agent-python/lib")
    (tmp_path / "python").write_bytes(b"\0/a/lib\0")
    with pytest.raises(ValueError, match="longer than"):
        relocate(str(tmp_path), "/a/lib", "/agent-python/lib")


def test_the_day_of_dependencies_and_further_packages_are_part_of_the_steps() -> None:
    npm = AgentFile.model_validate(
        {
            "name": "x", "argv": ["x"], "protocol": "openai",
            "install": {"kind": "npm", "package": "@a/x", "version": "1.0", "also": ["y@2"], "before": "2026-01-02"},
        }
    )  # fmt: skip
    assert "--before=2026-01-02 @a/x@1.0 y@2" in recipes.script(npm, None)
    pypi = npm.model_copy(update={"install": npm.install.model_copy(update={"kind": "pypi", "extras": ["e"]})})
    assert "--exclude-newer 2026-01-02 '@a/x[e]==1.0' y@2" in recipes.script(pypi, "/agent-python/bin/python3.11")

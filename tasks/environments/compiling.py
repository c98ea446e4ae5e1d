"""Builds one arm of a compiled project: in the sandbox, without network, because a patch may have changed the build."""

from __future__ import annotations

import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import ARM_DIR, ENV_DIR, Command, Environment, Mount

_OUT = "/out"
_TMP_MB = 4096
# The build system's own interface (PEP 517), called directly: it needs no tool inside and no network.
_SCRIPT = """
import importlib, os, shutil, sys
shutil.copytree("/arm", "/work/source", symlinks=True)
os.chdir("/work/source")
backend, *folders = sys.argv[1:]
sys.path[:0] = [os.path.abspath(folder) for folder in folders]
module, _, attribute = backend.partition(":")
made = importlib.import_module(module)
for name in filter(None, attribute.split(".")):
    made = getattr(made, name)
made.build_wheel("/out")
"""


class BuildFailure(Exception):
    """An arm does not build; the message is the build's last error."""


@contextmanager
def build_in_place(
    checkout: Path,
    environment: Environment,
    config: EnvironmentConfig,
    sandbox: SandboxConfig,
    version: str,
    work: Path,
) -> Iterator[Path]:
    """A folder with what the arm's wheel holds, for the time of the block. Raises BuildFailure, SandboxError."""
    backend, folders = _backend(checkout)
    mounts = [Mount(source=checkout, target=ARM_DIR)]
    if environment.path is not None:
        mounts.append(Mount(source=work / environment.path, target=ENV_DIR))
    with tempfile.TemporaryDirectory(prefix="build-", dir=work) as name, open_sandbox(sandbox) as opened:
        out, unpacked = Path(name, "out"), Path(name, "unpacked")
        out.mkdir()
        out.chmod(0o777)  # the sandbox's user is another one
        Path(name).chmod(0o755)
        limits = limits_of(sandbox, config.build_timeout_s)
        done = opened.run(
            Command(
                argv=(environment.python, "-c", _SCRIPT, backend, *folders),
                mounts=(*mounts, Mount(source=out, target=_OUT, read_only=False)),
                variables={
                    "SETUPTOOLS_SCM_PRETEND_VERSION": version,
                    "PATH": f"{ENV_DIR}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    **environment.variables,
                },
                image=environment.image,
                limits=limits.model_copy(update={"tmp_mb": max(limits.tmp_mb, _TMP_MB)}),
            )
        )
        if done.returncode != 0:
            raise BuildFailure(_reason(done.timed_out, done.stdout + b"\n" + done.stderr))
        wheels = list(out.glob("*.whl"))
        if len(wheels) != 1:
            raise BuildFailure("the build made no wheel")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel:  # refuses names that leave the folder
                members = [member for member in wheel.namelist() if ".dist-info/" not in member]
                wheel.extractall(unpacked, [member for member in members if ".data/" not in member])
        except zipfile.BadZipFile as error:
            raise BuildFailure(f"the build made a broken wheel: {error}") from error
        unpacked.mkdir(exist_ok=True)
        yield unpacked


def _backend(checkout: Path) -> tuple[str, list[str]]:
    path = checkout / "pyproject.toml"
    try:
        # A link could point at a file of this machine.
        text = path.read_text() if path.is_file() and not path.is_symlink() else ""
        system = tomllib.loads(text).get("build-system", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildFailure(f"pyproject.toml is broken: {error}") from error
    backend = system.get("build-backend", "setuptools.build_meta:__legacy__")
    return str(backend), [str(folder) for folder in system.get("backend-path", [])]


def _reason(timed_out: bool, output: bytes) -> str:
    if timed_out:
        return "the build takes too long"
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    # A compiler's first error is the cause; what Python says last is only that the compiler failed.
    errors = [line for line in lines if "error: " in line]
    return (errors[:1] or lines[-1:] or ["the build fails without a word"])[0][:300]

"""What this machine has and lacks, and how to get it. Says of a key whether it is set, never what it is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.sandbox.metering.advice import DELEGATE, MEANINGS, advice
from tasks.sandbox.metering.models import ENOUGH
from tasks.sandbox.models import Sandbox

GIB = 1024**3
_KEYS = (
    "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "AWS_REGION", "GHAPI_TOKEN", "HF_TOKEN",
    "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET",
)  # fmt: skip


class Check(BaseModel):
    """One thing that was looked for."""

    model_config = ConfigDict(frozen=True)

    name: str
    ok: bool
    found: str
    """What is here, in a few words."""
    advice: str = ""
    """How to get it; empty if nothing is to be done."""
    required: bool = False
    """Whether nothing at all runs without it."""


def examine() -> list[Check]:
    """All checks, in the order of how soon one needs them; before all, that no arm can be found faster here.

    Never raises: a check that fails says so.
    """
    checks = [_python, _git, _uv, _cores, _memory, _disk, _bubblewrap, _control_groups, _compiler, _docker]
    found = [_safely(check) for check in checks]
    meters = [_safely(_local_meter), *([_safely(_docker_meter)] if found[-1].ok else [])]
    missing = [check for check in meters if not check.ok]
    return [*missing, *found, *(check for check in meters if check.ok), *(_key(name) for name in _KEYS)]


def _safely(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        return Check(name=check.__name__.strip("_"), ok=False, found=f"cannot tell: {error}")


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check(
        name="Python 3.11 or newer",
        ok=ok,
        found=f"{platform.python_version()} at {sys.base_prefix}",
        advice="" if ok else "install Python 3.11",
        required=True,
    )


def _git() -> Check:
    path = shutil.which("git")
    if path is None:
        return Check(name="git", ok=False, found="missing", advice="apt install git", required=True)
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return Check(name="git", ok=True, found=version.removeprefix("git version "), required=True)


def _uv() -> Check:
    try:
        import uv

        path = uv.find_uv_bin()
    except (ImportError, FileNotFoundError):
        return Check(name="uv", ok=False, found="missing", advice="pip install uv", required=True)
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return Check(name="uv", ok=True, found=version, required=True)


def _cores() -> Check:
    cores = len(os.sched_getaffinity(0))
    return Check(
        name="cores",
        ok=cores >= 2,
        found=f"{cores} usable",
        advice="" if cores >= 2 else "with one core the driver disturbs what it times: use at least two",
    )


def _memory() -> Check:
    import psutil

    free = psutil.virtual_memory().available / GIB
    ok = free >= 4
    advice = "" if ok else "lower sandbox.memory_mb, or free some memory"
    return Check(name="memory", ok=ok, found=f"{free:.1f} GiB available", advice=advice)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    ok = free >= 5
    advice = "" if ok else "environments and images need some GiB: choose another --store"
    return Check(name="disk", ok=ok, found=f"{free:.0f} GiB free here", advice=advice)


def _bubblewrap() -> Check:
    from tasks.sandbox.local.bubblewrap import find_bubblewrap

    name = "bubblewrap (local sandbox)"
    found = find_bubblewrap()
    if found is not None:
        extras = [
            ("seccomp", found.seccomp_file),
            ("size limits", found.sizes),
            ("no nested namespaces", found.disable_userns),
        ]
        return Check(name=name, ok=True, found=", ".join(["works", *(what for what, here in extras if here)]))
    if shutil.which("bwrap") is None:
        return Check(name=name, ok=False, found="missing: code would run NOT isolated", advice="apt install bubblewrap")
    advice = "allow user namespaces: sysctl kernel.unprivileged_userns_clone or apparmor_restrict_unprivileged_userns"
    return Check(name=name, ok=False, found="installed, but may not make namespaces here", advice=advice)


def _control_groups() -> Check:
    from tasks.sandbox.local.cgroups import find_metering, find_places

    places = find_places()
    if places is not None:
        return Check(name="control groups", ok=True, found=f"v{places.version}, writable: limits hold for whole trees")
    counted = "can be made, but not limited" if find_metering() else "not writable"
    found = f"{counted}: memory is limited per process"
    return Check(name="control groups", ok=False, found=found, advice=DELEGATE)


def _local_meter() -> Check:
    from tasks.sandbox.local.sandbox import LocalSandbox

    with LocalSandbox(use_bubblewrap=False) as sandbox:  # nothing runs; the meter is the same
        return _meter(sandbox)


def _docker_meter() -> Check:
    from tasks.sandbox.docker.sandbox import DockerSandbox

    with DockerSandbox() as sandbox:
        return _meter(sandbox)


def _meter(sandbox: Sandbox) -> Check:
    name = sandbox.meter
    found = f"{name}: {MEANINGS[name]}" if name in ENOUGH else MEANINGS[name]
    what = f"meter of CPU time ({sandbox.kind} sandbox)"
    return Check(name=what, ok=name in ENOUGH, found=found, advice=advice(sandbox.kind, name))


def _compiler() -> Check:
    path = shutil.which("gcc") or shutil.which("cc")
    advice = "" if path else "apt install gcc (only for projects with compiled code)"
    return Check(name="C compiler", ok=path is not None, found=path or "missing", advice=advice)


def _docker() -> Check:
    from tasks.sandbox.docker.engine import connect, default_image, engine_errors
    from tasks.sandbox.models import SandboxError

    name, image = "docker (docker sandbox)", default_image()
    try:
        client = connect(timeout_s=20)
    except SandboxError as error:
        return Check(name=name, ok=False, found="no engine answers", advice=str(error))
    try:
        version = client.version()["Version"]
        try:
            with engine_errors(image):
                client.api.inspect_image(image)
        except SandboxError:
            advice = f"docker pull {image}, or deployments/images/build-base.sh and ISOBENCH_IMAGE=isobench-base:3.11"
            return Check(name=name, ok=False, found=f"engine {version}, no image {image}", advice=advice)
        return Check(name=name, ok=True, found=f"engine {version}, image {image}")
    finally:
        client.close()


def _key(name: str) -> Check:
    here = bool(os.environ.get(name))
    return Check(name=name, ok=here, found="set" if here else "not set", advice="" if here else "optional")

"""Builds the environment that all arms of a comparison share, once, and remembers it by its content."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from tasks.environments.checking_out import check_out
from tasks.environments.dates import Landed, landed
from tasks.environments.identity import DECLARING, cut_off, environment_id, installs_nothing, shape_of
from tasks.environments.images import DockerRunner, image_exists, image_id
from tasks.environments.importing import failing_import, project_names
from tasks.environments.installing import Installed, Installer, Request
from tasks.environments.interpreters import local_python, local_version
from tasks.environments.models import Built
from tasks.environments.native import native_of
from tasks.environments.proving import foreign_code
from tasks.environments.records import Record, environment_folder, is_compiled, read_record
from tasks.environments.runners import LocalRunner, Runner
from tasks.environments.taking_out import NotTakenOut, distribution_names, take_out
from tasks.environments.trees import TreeError, clone_at, clone_path, has_commit, read_files, tracked_files
from tasks.sandbox.engine import default_image
from tasks.sandbox.models import ENV_DIR, Environment, SandboxError


def build_environment(
    repository: RepositoryConfig,
    environment: EnvironmentConfig,
    sandbox: SandboxConfig,
    base_sha: str,
    head_sha: str,
    date: datetime | None,
    work: Path,
) -> Built:
    """An environment in which both commits import, or the reason why there is none.

    An environment that exists is used as it is. Raises SandboxError for outside faults: no engine, no network.
    """
    clone = work / clone_path(repository.name)
    if not has_commit(clone, base_sha):
        return Built(
            environment=None, reason=f"the clone of {repository.name} does not hold the base commit {base_sha}"
        )
    declared = read_files(clone, base_sha, DECLARING)
    tracked = tracked_files(clone, base_sha)
    compiled = is_compiled(repository, environment)
    base = _base(environment, sandbox.kind)
    when = landed(clone, base_sha, head_sha, date) if environment.pin_to_date else Landed(None)
    env_id = environment_id(
        environment, base, declared, base_sha, when.date, compiled, shape_of(repository.name, tracked, compiled)
    )
    folder = environment_folder(work, env_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{env_id}.lock"):
        record = read_record(work, env_id)
        if record is None or _image_is_gone(record.environment):
            for left in (folder, *folder.parent.glob(f".{env_id}-*")):  # of a build that was killed
                shutil.rmtree(left, ignore_errors=True)
            request = Request(
                python=local_python(environment.python) if sandbox.kind == "local" else "python3",
                declared=declared,
                install_project=environment.install_project,
                packages=environment.packages,
                setup_commands=environment.setup_commands,
                install_commands=environment.install_commands,
                cut_off=cut_off(environment, when.date),
                timeout_s=environment.build_timeout_s,
                compiled=compiled,
            )
            project = _Project(repository.name, clone, base_sha, tracked, declared, compiled)
            outcome = _build(request, sandbox.kind, environment, env_id, project, work)
            if isinstance(outcome, Built):
                return outcome.model_copy(update={"reason": _dated(outcome.reason, request.cut_off, when)})
            record = outcome
    log = str((folder / "log.txt").relative_to(work))
    for sha, what in ((base_sha, "base"), (head_sha, "human")):
        if what == "human" and not has_commit(clone, sha):
            continue
        checked = check_out(repository, environment, record.environment, sandbox, sha, what, None, work)
        if checked.arm is None:
            return Built(environment=None, reason=f"{what} commit: {checked.status}: {checked.reason}", log=log)
        imports = project_names(work / checked.arm.checkout, checked.arm.import_paths, record.layout.imports)
        if problem := foreign_code(checked.arm, imports, sandbox, work):
            return Built(environment=None, reason=f"{what} commit: {problem}", log=log)
        if problem := failing_import(checked.arm, record.layout.imports, repository.name, sandbox, work):
            hint = (
                f"with Python {environment.python}: environment.python chooses another"
                if sandbox.kind == "local"
                else ""
            )
            reason = f"{what} commit does not import: {problem}" + (f" ({hint})" if hint else "")
            return Built(environment=None, reason=reason, log=log)
    reason = "; ".join(filter(None, [record.reason, when.note]))
    return Built(environment=record.environment, reason=reason, log=log)


def _dated(reason: str, cut_off: str | None, when: Landed) -> str:
    """A failure with the date that may be why: what was released later is not installed."""
    if cut_off is None:
        return "; ".join(filter(None, [reason, when.note]))
    note = when.note or f"dependencies are as of {cut_off[:10]}"
    return f"{reason} ({note}; `environment.pin_to_date: false` installs today's)"


@dataclass(frozen=True)
class _Project:
    """What is built, and what is known of it from its files."""

    repo: str
    clone: Path
    sha: str
    tracked: dict[str, str]
    declared: dict[str, bytes]
    compiled: bool


def _base(environment: EnvironmentConfig, kind: Literal["local", "docker"]) -> str:
    if kind == "docker":
        return image_id(default_image(environment.image))
    return f"local {local_version(environment.python)}"


def _image_is_gone(environment: Environment) -> bool:
    return environment.image is not None and not image_exists(environment.image)


def _build(
    request: Request,
    kind: Literal["local", "docker"],
    environment: EnvironmentConfig,
    env_id: str,
    project: _Project,
    work: Path,
) -> Record | Built:
    """Under a temporary name, renamed when finished: a crash leaves nothing that looks like an environment."""
    folder = environment_folder(work, env_id)
    temporary = folder.parent / f".{env_id}-{uuid.uuid4().hex[:8]}"
    (temporary / "generated").mkdir(parents=True)
    try:
        try:
            clone_at(project.clone, project.sha, temporary / "checkout")
        except TreeError as error:
            return Built(environment=None, reason=f"the base commit cannot be checked out: {error}")
        if kind == "docker":
            built = _build_image(request, environment, env_id, project, temporary, work)
        else:
            runner = LocalRunner(temporary, temporary / "venv")
            installed = Installer(runner, request).install()
            found = _own_code(runner, temporary, installed, environment, project)
            place = f"environments/{env_id}/venv"
            local = Environment(env_id=env_id, kind="local", python=f"{ENV_DIR}/bin/python", path=place)
            built = installed, Record(environment=local, reason=installed.reason, **found)
        installed, record = built
        (temporary / "log.txt").write_text("\n".join(installed.log))
        if not installed.ok:
            if installed.outside_fault:
                raise SandboxError(f"the environment cannot be built now: {installed.reason}")
            log = folder.parent / f"{env_id}.failed.log"
            shutil.copyfile(temporary / "log.txt", log)
            return Built(environment=None, reason=installed.reason, log=str(log.relative_to(work)))
        for left in ("checkout", "dist", "uv", "authorities.crt", "about.json", "found.json", "kept.json", "taken"):
            path = temporary / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (temporary / "record.json").write_text(record.model_dump_json(indent=1))
        temporary.rename(folder)
        return record
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _build_image(
    request: Request, environment: EnvironmentConfig, env_id: str, project: _Project, temporary: Path, work: Path
) -> tuple[Installed, Record]:
    base = default_image(environment.image)
    with _docker_runner(base, temporary, work) as runner:
        asked = runner.run(["python3", "-c", "import sys; print(sys.executable)"], timeout_s=60)
        if not asked.ok:
            return Installed(ok=False, reason=f"the image {base} has no python3: {asked.last_line}"), _nothing(env_id)
        if installs_nothing(environment):
            bare = Environment(env_id=env_id, kind="docker", python=asked.last_line, image=base)
            return Installed(ok=True), Record(environment=bare)
        installed = Installer(runner, request).install()
        found = _own_code(runner, temporary, installed, environment, project)
        if not installed.ok:
            return installed, _nothing(env_id)
        image = runner.commit(env_id)
    python = f"{runner.environment}/bin/python"
    made = Environment(env_id=env_id, kind="docker", python=python, image=image)
    return installed, Record(environment=made, reason=installed.reason, **found)


@contextmanager
def _docker_runner(base: str, temporary: Path, work: Path) -> Iterator[DockerRunner]:
    runner = DockerRunner(base, temporary, work / "docker-cache")
    with runner:
        yield runner


def _nothing(env_id: str) -> Record:
    return Record(environment=Environment(env_id=env_id, kind="docker", python=""))


def _own_code(
    runner: Runner, folder: Path, installed: Installed, environment: EnvironmentConfig, project: _Project
) -> dict[str, Any]:
    """Take the project's own code out again; returns what the record says about the project."""
    if not installed.ok or installs_nothing(environment):
        return {}
    paths = environment.import_paths or ["src", "."]
    names = distribution_names(project.declared, project.repo)
    try:
        layout, version = take_out(runner, folder, installed.wheel, names, project.tracked, paths)
    except NotTakenOut as error:
        installed.ok, installed.reason = False, f"the project cannot be taken out of its environment: {error}"
        installed.log.append(installed.reason)
        return {}
    if layout.shadowing and not project.compiled:
        reason = f"{layout.shadowing[0]} is made of a Python file: every arm would run the base commit's"
        installed.ok, installed.reason = False, f"{reason}: `environment.build: always` builds each arm"
        return {}
    native = native_of(project.tracked) if layout.extensions and not project.compiled else {}
    return {"layout": layout, "native": native, "version": version or "0.0.0"}

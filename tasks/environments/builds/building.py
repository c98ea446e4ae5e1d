"""Builds the environment that all arms of a comparison share, once, and remembers it by its content."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from configs.models import EnvironmentConfig, SandboxConfig
from storage.ids import content_hash
from tasks.code.clones import clone_path
from tasks.environments.arms.native import native_of
from tasks.environments.arms.proving import unusable
from tasks.environments.arms.records import Record, environment_folder, is_compiled, read_record
from tasks.environments.builds.identity import cut_off, declaring, environment_id, installs_nothing, shape_of
from tasks.environments.builds.images import DockerRunner, image_exists, image_id
from tasks.environments.builds.installing import Installed, Installer, Request
from tasks.environments.builds.runners import LocalRunner, Place, Runner
from tasks.environments.builds.settling import Unsettled, settle, settle_downloads
from tasks.environments.builds.taking_out import NotTakenOut, distribution_names, take_out
from tasks.environments.dates import Landed, landed
from tasks.environments.models import Built, EnvironmentWanted
from tasks.environments.projects.finding import MANIFEST, project_folder
from tasks.environments.trees import TreeError, clone_at, has_commit, read_files, refuse_bombs, tracked_files
from tasks.interpreters import installed_pythons, local_version, ready_python
from tasks.registry import paths_in
from tasks.sandbox import confines
from tasks.sandbox.docker.engine import default_image
from tasks.sandbox.foreign import is_host_fault
from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.models import ENV_DIR, Environment, SandboxError


def build_environment(wanted: EnvironmentWanted, work: Path) -> Built:
    """An environment in which both commits import, or the reason why there is none.

    An environment that exists is used as it is. Raises SandboxError for outside faults: no engine, no network.
    """
    repository, environment, sandbox = wanted.repository, wanted.environment, wanted.sandbox
    base_sha, head_sha = wanted.base_sha, wanted.head_sha
    clone = (work / clone_path(repository.name)).resolve()  # a build sees the folder itself
    if not has_commit(clone, base_sha):
        return Built(
            environment=None, reason=f"the clone of {repository.name} does not hold the base commit {base_sha}"
        )
    try:
        refuse_bombs(clone, base_sha)
        tracked = tracked_files(clone, base_sha)
        at_top = read_files(clone, base_sha, MANIFEST) if environment.project == "auto" else {}
        folder_of = project_folder(at_top, tracked, repository.name) if at_top else environment.project
        inside = folder_of if folder_of != "auto" else "."
        declared = read_files(clone, base_sha, declaring(inside))
    except TreeError as error:
        return Built(environment=None, reason=f"the base commit is not taken: {error}")
    declared = {name.removeprefix(f"{inside}/"): content for name, content in declared.items()}
    compiled = is_compiled(repository, environment)
    base = _base(environment, sandbox)
    if not installs_nothing(environment):
        if refused := not_isolated(sandbox):
            return Built(environment=None, reason=refused, fault=True)
        # files beside those that declare may decide what a build does, and another repository has others
        base += f", {repository.name} of {repository.clone_url}"
    when = landed(clone, base_sha, head_sha, wanted.date) if environment.pin_to_date else Landed(None)
    shape = shape_of(repository.name, tracked, compiled)
    env_id = environment_id(environment, base, declared, base_sha, when.date, compiled, shape)
    folder = environment_folder(work, env_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{env_id}.lock"):
        record = read_record(work, env_id)
        if record is None or _image_is_gone(record.environment):
            for left in (folder, *folder.parent.glob(f".{env_id}-*")):  # of a build that was killed
                remove(left)
            request = Request(
                python="python3" if sandbox.uses_images else ready_python(environment.python),
                declared=declared,
                install_project=environment.install_project,
                packages=environment.packages,
                setup_commands=environment.setup_commands,
                install_commands=environment.install_commands,
                cut_off=cut_off(environment, when.date),
                timeout_s=environment.build_timeout_s,
                compiled=compiled,
                project=inside,
                build_packages=environment.build_packages,
                test_packages=[] if environment.test_packages == "auto" else environment.test_packages,
            )
            temporary = folder.parent / f".{env_id}-{uuid.uuid4().hex[:8]}"
            # What a build leaves among its downloads is installed by those after it: only builds of the same repository
            # with the same commands share them.
            cache = content_hash(
                "downloads",
                repository.clone_url,
                environment.setup_commands,
                environment.install_commands,
                wanted.as_root,
            )
            place = Place(
                # A build writes to `build` and `environment` only, and to neither's parent: what is written here, on
                # this machine, is never where a build may have put a link.
                build=temporary / "build", environment=temporary / "venv", tools=temporary / "tools",
                cache=work / "downloads" / cache, clone=clone,
                pythons=installed_pythons() if request.commands and not sandbox.uses_images else {},
                named=() if wanted.foreign else tuple(path for text in environment.packages for path in paths_in(text)),
            )  # fmt: skip
            project = _Project(repository.name, base_sha, tracked, declared, compiled, inside)
            outcome = _build(request, wanted, env_id, place, project, work)
            if isinstance(outcome, Built):
                return outcome.model_copy(update={"reason": _dated(outcome.reason, request.cut_off, when)})
            record = outcome
    log = str((folder / "log.txt").relative_to(work))
    for sha, what in ((base_sha, "base"), (head_sha, "human")):
        if what == "human" and not has_commit(clone, sha):
            continue
        if reason := unusable(wanted, record, sha, what, work):
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
    sha: str
    tracked: dict[str, str]
    declared: dict[str, bytes]
    compiled: bool
    folder: str
    """Of the repository, that holds it."""


def _base(environment: EnvironmentConfig, sandbox: SandboxConfig) -> str:
    if sandbox.uses_images:
        return image_id(default_image(environment.image, environment.python))
    return f"local {local_version(environment.python)}"


def _image_is_gone(environment: Environment) -> bool:
    return environment.image is not None and not image_exists(environment.image)


def not_isolated(sandbox: SandboxConfig) -> str:
    """Why nothing that strangers wrote is built here: no bubblewrap, and the user did not say that it may; or empty."""
    if sandbox.trust or confines(sandbox):
        return ""
    return (
        "bubblewrap is missing or may not make namespaces here, so a build would run with your rights and see your "
        "files: install it (`apt install bubblewrap`), use the docker sandbox, or say `--trust` (in a configuration: "
        "`sandbox.trust: true`)"
    )


def _build(
    request: Request, wanted: EnvironmentWanted, env_id: str, place: Place, project: _Project, work: Path
) -> Record | Built:
    """Under a temporary name, renamed when finished: a crash leaves nothing that looks like an environment."""
    folder = environment_folder(work, env_id)
    temporary = place.build.parent
    # nobody else of this machine reaches what is in them meanwhile
    temporary.mkdir(mode=0o700)
    place.cache.parent.mkdir(mode=0o700, exist_ok=True)
    place.cache.parent.chmod(0o700)
    try:
        place.build.mkdir()
        try:
            clone_at(place.clone, project.sha, place.build / "checkout")
        except TreeError as error:
            return Built(environment=None, reason=f"the base commit cannot be checked out: {error}")
        if wanted.sandbox.uses_images:
            installed, record = _build_image(request, wanted, env_id, place, project)
        else:
            installed, record = _build_folder(request, wanted, env_id, place, project)
        text = "\n".join(installed.log)
        if installed.ok:
            try:
                _keep(place, record, text)
            except (Unsettled, OSError) as error:
                if is_host_fault(error):
                    raise SandboxError(f"the environment cannot be written: {error}") from error
                installed.ok, installed.reason = False, f"what the installation left is not taken: {error}"
        elif installed.outside_fault:
            raise SandboxError(f"the environment cannot be built now: {installed.reason}")
        if not installed.ok:
            log = folder.parent / f"{env_id}.failed.log"
            log.write_text(text, errors="backslashreplace")
            return Built(
                environment=None, reason=installed.reason, log=str(log.relative_to(work)), fault=installed.fault
            )
        temporary.chmod(0o755)
        temporary.rename(folder)
        return record
    finally:
        settle_downloads(place.cache)
        remove(temporary)


def _build_folder(
    request: Request, wanted: EnvironmentWanted, env_id: str, place: Place, project: _Project
) -> tuple[Installed, Record]:
    with LocalRunner(place, request.python) as runner:
        installed = Installer(runner, request).install()
        found = _own_code(runner, place, installed, wanted.environment, project)
    local = Environment(env_id=env_id, kind="local", python=f"{ENV_DIR}/bin/python", path=f"environments/{env_id}/venv")
    return installed, Record(environment=local, reason=installed.reason, **found)


def _build_image(
    request: Request, wanted: EnvironmentWanted, env_id: str, place: Place, project: _Project
) -> tuple[Installed, Record]:
    environment = wanted.environment
    base = default_image(environment.image, environment.python)
    with DockerRunner(base, place, wanted.as_root) as runner:
        asked = runner.run(["python3", "-c", "import sys; print(sys.executable)"], timeout_s=60)
        if not asked.ok:
            return Installed(ok=False, reason=f"the image {base} has no python3: {asked.last_line}"), _nothing(env_id)
        if installs_nothing(environment):
            bare = Environment(env_id=env_id, kind="docker", python=asked.last_line, image=base)
            return Installed(ok=True), Record(environment=bare)
        installed = Installer(runner, request).install()
        found = _own_code(runner, place, installed, environment, project)
        if not installed.ok:
            return installed, _nothing(env_id)
        image = runner.commit(env_id)
    python = f"{runner.environment}/bin/python"
    made = Environment(env_id=env_id, kind="docker", python=python, image=image)
    return installed, Record(environment=made, reason=installed.reason, **found)


def _keep(place: Place, record: Record, log: str) -> None:
    """Of a build's folders the environment and what it adds to arms, with record and log. Raises Unsettled, OSError."""
    if os.path.lexists(place.build / "generated"):
        (place.build / "generated").rename(place.build.parent / "generated")
    if record.environment.image is not None:  # which holds it
        remove(place.environment)
    settle(place.build.parent, {"log.txt": log, "record.json": record.model_dump_json(indent=1)})


def _nothing(env_id: str) -> Record:
    return Record(environment=Environment(env_id=env_id, kind="docker", python=""))


def _own_code(
    runner: Runner, place: Place, installed: Installed, environment: EnvironmentConfig, project: _Project
) -> dict[str, Any]:
    """Take the project's own code out again; returns what the record says about the project."""
    if not installed.ok or installs_nothing(environment):
        return {}
    below = [] if project.folder == "." else [f"{project.folder}/src", project.folder]
    paths = environment.import_paths or [*below, "src", "."]
    names = distribution_names(project.declared, project.repo)
    try:
        layout, version = take_out(runner, place, installed.wheel, names, project.tracked, paths)
    except NotTakenOut as error:
        return _refused(installed, f"the project cannot be taken out of its environment: {error}")
    if layout.shadowing and not project.compiled:
        reason = f"{layout.shadowing[0]} is made of a Python file: every arm would run the base commit's"
        return _refused(installed, f"{reason}: `environment.build: always` builds each arm")
    native = native_of(project.tracked) if layout.extensions and not project.compiled else {}
    return {"layout": layout, "native": native, "version": version or "0.0.0", "project": project.folder}


def _refused(installed: Installed, reason: str) -> dict[str, Any]:
    installed.ok, installed.reason, installed.outside_fault = False, reason, False
    installed.log.append(reason)
    return {}

"""Proves that an arm's modules are its own: asked inside its sandbox, before anything of the project has run."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ValidationError

from configs.models import SandboxConfig
from tasks.environments.arms.checking_out import check_out
from tasks.environments.arms.importing import failing_import, project_names
from tasks.environments.arms.records import Record
from tasks.environments.inside import own_modules
from tasks.environments.models import EnvironmentWanted
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import ARM_DIR, Arm

_TIMEOUT_S = 180


class _Answer(BaseModel):
    outside: list[tuple[str, str]]
    stale: list[tuple[str, str]]
    doubled: list[tuple[str, str]]
    count: int


def foreign_code(arm: Arm, imports: list[str], sandbox: SandboxConfig, work: Path) -> str | None:
    """Why some module of the project would not be the arm's file, in one line; None if all are.

    Every module that the arm offers must be found in the arm, and must be nowhere else: then a patch that removes,
    renames or breaks one cannot fall back on the base commit's or a release's.
    """
    script = Path(own_modules.__file__).read_text()
    argv = ["-c", script, ARM_DIR, json.dumps(arm.import_paths), json.dumps(imports)]
    # Import paths come later, so that no `sitecustomize` of the arm answers for it.
    command = arm.command(work, argv, variables={"PYTHONPATH": ""}, limits=limits_of(sandbox, _TIMEOUT_S))
    with open_sandbox(sandbox) as opened:
        done = opened.run(command)
    lines = done.stdout.decode(errors="replace").splitlines()
    try:
        answer = _Answer.model_validate_json(lines[-1] if lines else "")
    except ValidationError:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        return f"where its modules are cannot be found out: {last[:200]}"
    if answer.outside:
        name, file = answer.outside[0]
        return f"{name} is imported from {file}, not from the checkout: no arm would run its own code"
    if answer.doubled:
        name, file = answer.doubled[0]
        return f"{name} also lies in {file}: an arm without it would run that code"
    if answer.stale:
        name, file = answer.stale[0]
        return f"{name} has byte code in the repository ({file}), which may be run instead of its source"
    return None


def unusable(wanted: EnvironmentWanted, record: Record, sha: str, what: str, work: Path) -> str:
    """Why a commit has no arm of its own in an environment, or does not import; empty if all is well."""
    repository, environment, sandbox = wanted.repository, wanted.environment, wanted.sandbox
    checked = check_out(repository, environment, record.environment, sandbox, sha, what, None, work)
    if checked.arm is None:
        return f"{what} commit: {checked.status}: {checked.reason}"
    known = record.layout.imports
    imports = project_names(work / checked.arm.checkout, checked.arm.import_paths, known)
    if problem := foreign_code(checked.arm, imports, sandbox, work):
        return f"{what} commit: {problem}"
    if problem := failing_import(checked.arm, known, repository.name, sandbox, work):
        chosen = f" (with Python {environment.python}: environment.python chooses another)"
        return f"{what} commit does not import: {problem}" + ("" if sandbox.uses_images else chosen)
    return ""

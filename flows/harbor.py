"""Harbor's task folders: written from a store, and what their containers run of isobench to prepare and to judge."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from configs.errors import UserError
from configs.escaping import for_json_line
from configs.models import RepositoryConfig, SandboxConfig, TimingConfig
from flows.trust import environment_of
from storage.exchange.export import complete_instances
from storage.exchange.harbor import TaskFiles, constraints, write_task, write_wheel
from storage.store import Store
from storage.tables import Instance, Score
from tasks.agents.base_tree import BaseTree, BaseTreeError
from tasks.agents.harbor.bundle import write_bundle
from tasks.agents.patches import TakenPatch, take_patch
from tasks.code.clones import clone_path
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.models import EnvironmentWanted
from tasks.environments.trees import has_commit
from tasks.mining.errors import MiningError
from tasks.mining.git.clone import credentials, sync_repository
from tasks.sandbox import foreign
from tasks.sandbox.docker.engine import default_image

if TYPE_CHECKING:
    from tasks.sandbox.models import Arm

INSTANCE = "instance.jsonl"
BOX = SandboxConfig(trust=True)
"""The container is the sandbox; bubblewrap is used where the container allows it."""


class Exported(BaseModel):
    """What was written."""

    model_config = ConfigDict(frozen=True)

    folders: list[str]
    problems: list[str]
    """`instance: reason` of those that were left out."""


def export_tasks(store: Store, out: Path, repo: str | None = None, image: str | None = None) -> Exported:
    """Write a task folder per instance. One whose repository cannot be had is left out, with the reason.

    Raises UserError if a folder exists or cannot be written.
    """
    folders, problems = [], []
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel, pinned = write_wheel(Path(scratch)), constraints()
        for number, row in enumerate(complete_instances(store, repo)):
            place = Path(scratch) / str(number)
            place.mkdir()
            try:
                base = _base_of(row, store)
                sha = write_bundle(base, place / "repository.bundle", place)
            except (MiningError, BaseTreeError) as error:
                problems.append(f"{row.instance_id}: {error}")
                continue
            chosen = image or default_image(environment_of(row).image)
            files = TaskFiles(place / "repository.bundle", sha, wheel, pinned, chosen)
            folders.append(str(write_task(out, row, files)))
            shutil.rmtree(place)
    return Exported(folders=folders, problems=problems)


def _base_of(row: Instance, store: Store) -> BaseTree:
    """The base commit in the store's clone, which is made if need be. Raises MiningError."""
    clone = store.work / clone_path(row.repo)
    if not has_commit(clone, row.base_commit) if clone.is_dir() else True:
        with credentials(False):
            sync_repository(RepositoryConfig(name=row.repo, url=row.repo_url), store)
    return BaseTree(clone, row.base_commit)


def read_instance(folder: Path) -> Instance:
    """The instance of a task's folder. Raises UserError."""
    try:
        return Instance.model_validate_json((folder / INSTANCE).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise UserError(f"{folder / INSTANCE} is no instance of an exported task: {error}") from error


def prepare(folder: Path, store: Store, workspace: Path | None, environment: Path | None) -> None:
    """Build the environment of a task, and write the agent's workspace and environment where they are asked for.

    Raises UserError with the reason if it does not build.
    """
    row = read_instance(folder)
    arm = _base_arm(row, store)
    if workspace is not None:
        built = _beside(store.work / arm.checkout, BaseTree(store.work / clone_path(row.repo), row.base_commit))
        shutil.copytree(store.work / arm.checkout, workspace, symlinks=True, dirs_exist_ok=True)
        BaseTree(store.work / clone_path(row.repo), row.base_commit).write_history(workspace / ".git", built)
    if environment is not None:
        _write_environment(arm, store.work, environment, workspace or Path("/workspace"))


def _base_arm(row: Instance, store: Store) -> Arm:
    repository = RepositoryConfig(name=row.repo, url=row.repo_url)
    settings = environment_of(row)
    sync_repository(repository, store)
    built = build_environment(
        EnvironmentWanted(repository, settings, BOX, row.base_commit, row.head_commit, row.created_at), store.work
    )
    if built.environment is None:
        raise UserError(f"the environment of {row.instance_id} does not build: {built.reason}")
    found = check_out(repository, settings, built.environment, BOX, row.base_commit, "base", None, store.work)
    if found.arm is None:
        raise UserError(f"the base commit of {row.instance_id} cannot be checked out: {found.reason}")
    return found.arm


def _beside(checkout: Path, base: BaseTree) -> list[str]:
    """Files of an arm that its commit does not have: what a build made."""
    return [entry.name for entry in foreign.walk(checkout) if entry.kind != "folder" and entry.name not in base.files]


def _write_environment(arm: Arm, work: Path, target: Path, workspace: Path) -> None:
    """The arm's virtual environment, or a new one of its Python, with the workspace on its import path."""
    if arm.environment.path is not None:
        shutil.copytree(work / arm.environment.path, target, symlinks=True, dirs_exist_ok=True)
    else:
        subprocess.run([arm.environment.python, "-m", "venv", str(target)], check=True)
    paths = [str(workspace if path == "." else workspace / path) for path in arm.import_paths]
    for site in target.glob("lib/python3*/site-packages"):
        (site / "workspace.pth").write_text("".join(f"{path}\n" for path in paths))


def score_workspace(folder: Path, workspace: Path, out: Path, store: Store) -> Score | None:
    """Time base, human and what differs in the workspace; write `reward.json`, `model.patch`, `scores.json` to `out`.

    Returns the score; None if nothing could be timed, through no fault of the patch: then there is no reward. Needs a
    Prefect API. Raises UserError for a folder that is no task's.
    """
    row = read_instance(folder)
    taken = _taken(row, workspace, store)
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.patch").write_bytes(taken.patch.encode("utf-8", "surrogateescape"))
    score = _scored(folder, taken.patch, row.instance_id, store)
    if score is None or score.status == "not_timed":
        return None
    (out / "scores.json").write_text(for_json_line({**score.model_dump(mode="json"), "notes": taken.notes}) + "\n")
    (out / "reward.json").write_text(json.dumps(reward(score)) + "\n")
    return score


def reward(score: Score) -> dict[str, float]:
    """Harbor's rewards: 1 for yes, 0 for no and for inconclusive. A patch that changes nothing is correct, and 1x."""
    nothing = score.status == "empty_patch"
    return {
        "opt_human": float(score.opt_human == "yes"),
        "opt_base": float(score.opt_base == "yes"),
        "speedup": score.speedup_base or float(nothing),
        "correct": float(nothing or score.correct is True),
    }


def _taken(row: Instance, workspace: Path, store: Store) -> TakenPatch:
    arm = _base_arm(row, store)
    base = BaseTree(store.work / clone_path(row.repo), row.base_commit)
    with tempfile.TemporaryDirectory() as scratch:
        return take_patch(workspace, base, Path(scratch), _beside(store.work / arm.checkout, base))


def _scored(folder: Path, patch: str, instance_id: str, store: Store) -> Score | None:
    from flows.evaluation import evaluate

    timing = TimingConfig.model_validate_json((folder / "timing.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "predictions.jsonl"
        line = {"instance_id": instance_id, "model_name_or_path": "trial", "model_patch": patch}
        file.write_text(for_json_line(line) + "\n", encoding="utf-8")
        evaluate(str(folder / INSTANCE), [str(file)], store=store.root, run_id="judge", sandbox=BOX, timing=timing)
    found: Sequence[Score] = Store(store.root).rows(Score, run_id="judge", instance_id=instance_id)
    return found[-1] if found else None

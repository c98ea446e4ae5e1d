"""One arm's checkout: a commit's files, a patch on top, what the build adds, nothing that tells which arm it is."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from filelock import FileLock

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from storage.ids import content_hash
from tasks.environments.compiling import BuildFailure, build_in_place
from tasks.environments.layout import LINKS, Layout, lay_out
from tasks.environments.models import CheckedOut
from tasks.environments.native import native_content, native_of, refuse_changes
from tasks.environments.records import environment_folder, is_compiled, read_record
from tasks.environments.trees import (
    TreeError,
    apply_patch,
    clone_path,
    has_commit,
    normalise,
    tracked_files,
    write_tree,
)
from tasks.sandbox.models import Arm, Environment


def check_out(
    repository: RepositoryConfig,
    environment_config: EnvironmentConfig,
    environment: Environment,
    sandbox: SandboxConfig,
    sha: str,
    name: str,
    patch: str | None,
    work: Path,
) -> CheckedOut:
    """The arm, or a status: `empty_patch`, `patch_failed`, `build_failed`, `missing_commit`, with git's reason.

    Arms with the same content share a folder. A folder appears whole or not at all, so any number of processes may ask
    for the same arm at once, and a crash leaves only a temporary folder.
    """
    if patch is not None and not patch.strip():
        return CheckedOut(arm=None, status="empty_patch", reason="the patch is empty")
    clone = work / clone_path(repository.name)
    if not has_commit(clone, sha):
        reason = f"the clone of {repository.name} does not hold {sha}"
        return CheckedOut(arm=None, status="missing_commit", reason=reason)
    record = read_record(work, environment.env_id)
    layout = record.layout if record else Layout()
    compiled = is_compiled(repository, environment_config)
    arm_id = content_hash("arm", repository.name, sha, patch, environment.env_id, compiled)
    folder = work / "checkouts" / arm_id
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        temporary = folder.parent / f".{arm_id}-{uuid.uuid4().hex[:8]}"
        try:
            with FileLock(folder.parent / f".{arm_id}.lock"):
                if not folder.exists():
                    for left in folder.parent.glob(f".{arm_id}-*"):  # of a process that was killed
                        shutil.rmtree(left, ignore_errors=True)
                    write_tree(clone, sha, temporary)
                    native = record.native if record and not compiled else {}
                    refuse_changes(native, native_of(tracked_files(clone, sha)) if native else {})
                    before = native_content(temporary) if native else {}
                    if patch is not None:
                        apply_patch(temporary, patch)
                    refuse_changes(before, native_content(temporary) if native else {})
                    lay_out(temporary, layout)
                    roots = import_paths(temporary, environment_config, layout.import_paths)
                    generated = environment_folder(work, environment.env_id) / "generated"
                    if generated.is_dir() and not compiled:
                        add_missing(generated, temporary, roots, layout)
                    if compiled:
                        normalise(temporary)  # readable by the sandbox's user
                        version = record.version if record else "0.0.0"
                        with build_in_place(temporary, environment, environment_config, sandbox, version, work) as made:
                            add_missing(made, temporary, roots, layout)
                    normalise(temporary)
                    temporary.rename(folder)
        except TreeError as error:
            status = "missing_commit" if patch is None else "patch_failed"
            return CheckedOut(arm=None, status=status, reason=str(error))
        except BuildFailure as error:
            return CheckedOut(arm=None, status="build_failed", reason=str(error))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    arm = Arm(
        name=name,
        arm_id=arm_id,
        checkout=str(folder.relative_to(work)),
        import_paths=import_paths(folder, environment_config, layout.import_paths),
        environment=environment,
    )
    return CheckedOut(arm=arm, status="ok")


def import_paths(checkout: Path, config: EnvironmentConfig, roots: list[str]) -> tuple[str, ...]:
    """Folders of the checkout to import from: configured, else as the project installs itself, else `src`, root."""
    if config.import_paths:
        return (*([LINKS] if LINKS in roots and (checkout / LINKS).is_dir() else []), *config.import_paths)
    if roots:
        return tuple(root for root in roots if (checkout / root).is_dir()) or (".",)
    return ("src", ".") if (checkout / "src").is_dir() else (".",)


def add_missing(source: Path, checkout: Path, roots: tuple[str, ...], layout: Layout | None = None) -> None:
    """Copy files that an installation has and the checkout lacks to where the rest of their package is."""
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or path.is_symlink():
            continue
        homes = [checkout / root for root in roots]
        placed = layout.place(relative.as_posix()) if layout else None
        if placed is not None:
            homes, relative = [checkout], Path(placed)
        if any((home / relative).exists() for home in homes):
            continue
        home = next((home for home in homes if (home / relative.parts[0]).exists()), homes[0])
        target = home / relative
        # A patch may have put a link where a folder was: nothing is written through it.
        if not target.parent.resolve().is_relative_to(checkout.resolve()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

"""One arm's checkout: a commit's files, a patch on top, what the build adds, nothing that tells which arm it is."""

from __future__ import annotations

import errno
import uuid
from pathlib import Path, PurePath

from filelock import FileLock

from configs.models import EnvironmentConfig, RepositoryConfig, SandboxConfig
from storage.ids import content_hash
from tasks.code.clones import clone_path
from tasks.code.paths import is_installed_only
from tasks.environments.arms.compiled_files import leave_out, note_of
from tasks.environments.arms.compiling import MAX_BUILT_BYTES, BuildFailure, build_in_place
from tasks.environments.arms.layout import LINKS, Layout, lay_out
from tasks.environments.arms.native import native_content, native_of, refuse_changes
from tasks.environments.arms.records import environment_folder, is_compiled, read_record
from tasks.environments.models import CheckedOut
from tasks.environments.patches.patching import apply_patch
from tasks.environments.trees import TreeError, has_commit, normalise, tracked_files, write_tree, written_since
from tasks.sandbox.foreign import (
    MEBIBYTE,
    Budget,
    Refused,
    copy,
    inside,
    is_folder,
    is_host_fault,
    kind,
    shown,
    walk,
)
from tasks.sandbox.foreign_folders import remove
from tasks.sandbox.models import Arm, Environment, SandboxError

MAX_PATCH_BYTES = 64 * MEBIBYTE
"""How much larger a patch may make a commit's files, and its build's beyond a few times base's."""
_RULES = 2
"""Raised when the same patch is to become another arm than before."""


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
    layout, version, project = (record.layout, record.version, record.project) if record else (Layout(), "0.0.0", ".")
    compiled = is_compiled(repository, environment_config)
    of_arm = ("arm", repository.name, sha, patch, environment.env_id, compiled)
    arm_id = content_hash(*of_arm, *([] if patch is None else [_RULES]))
    folder = work / "checkouts" / arm_id
    note = folder.parent / f".{arm_id}.note"
    folder.parent.mkdir(parents=True, exist_ok=True)
    base: CheckedOut | None = None
    if not folder.exists():
        if compiled and patch is not None:
            # How large its build may be is known by base's; where base does not build, no patch is to blame.
            base = check_out(repository, environment_config, environment, sandbox, sha, "base", None, work)
            if base.arm is None:
                return base.model_copy(update={"reason": f"without the patch: {base.reason}"})
        temporary = folder.parent / f".{arm_id}-{uuid.uuid4().hex[:8]}"
        try:
            with FileLock(folder.parent / f".{arm_id}.lock"):
                if not folder.exists():
                    for left in folder.parent.glob(f".{arm_id}-*"):  # of a process that was killed
                        remove(left)
                    write_tree(clone, sha, temporary)
                    size = normalise(temporary)
                    native = record.native if record and not compiled else {}
                    refuse_changes(native, native_of(tracked_files(clone, sha)) if native else {})
                    before = native_content(temporary) if native else {}
                    said = "" if patch is None else _patched(clone, sha, temporary, patch, size)
                    refuse_changes(before, native_content(temporary) if native else {})
                    lay_out(temporary, layout)
                    paths = import_paths(temporary, environment_config, layout.import_paths)
                    if compiled:
                        most = MAX_BUILT_BYTES if base is None or base.arm is None else _most_bytes(work, base.arm)
                        with build_in_place(
                            temporary, environment, environment_config, sandbox, version, work, most, project
                        ) as made:
                            add_missing(made, temporary, paths, layout)
                    else:
                        generated = environment_folder(work, environment.env_id) / "generated"
                        add_missing(generated, temporary, paths, layout)
                    normalise(temporary)
                    note.unlink(missing_ok=True)
                    if said:
                        note.write_text(said)
                    temporary.rename(folder)
        except (TreeError, BuildFailure, OSError) as error:
            return _failed(error, patch)
        finally:
            remove(temporary)
    arm = Arm(
        name=name,
        arm_id=arm_id,
        checkout=str(folder.relative_to(work)),
        import_paths=import_paths(folder, environment_config, layout.import_paths),
        environment=environment,
    )
    return CheckedOut(arm=arm, status="ok", reason=note.read_text() if note.exists() else "")


def _patched(clone: Path, sha: str, checkout: Path, patch: str, size: int) -> str:
    """Apply a patch to a commit's files, of `size` bytes; returns what was forgiven or left out.

    Raises TreeError, also for files that cannot be written: the commit's own could be. OSError if this machine fails.
    """
    try:
        forgiven = apply_patch(checkout, patch)
        left_out = leave_out(clone, sha, checkout, written_since(checkout))
        grown = normalise(checkout) - size
    except OSError as error:
        if is_host_fault(error):
            raise
        raise TreeError(f"its files cannot be written: {_words(error)}") from error
    if grown > MAX_PATCH_BYTES:
        raise TreeError(f"its files take {grown // MEBIBYTE} MB more than the commit's: too much")
    notes = [f"the patch as it could be read: {'; '.join(forgiven)}"] if forgiven else []
    return "; ".join([*notes, *filter(None, [note_of(left_out)])])


def _most_bytes(work: Path, base: Arm) -> int:
    """What a patch's build may hand out: a few times what base is with its build, so that no patch fills a disk."""
    return min(MAX_BUILT_BYTES, MAX_PATCH_BYTES + 4 * sum(entry.size for entry in walk(work / base.checkout)))


def _failed(error: TreeError | BuildFailure | OSError, patch: str | None) -> CheckedOut:
    """A result, if a patch, a build or the commit is to blame. Raises SandboxError if this machine is."""
    reason = _words(error)
    if isinstance(error, BuildFailure):
        return CheckedOut(arm=None, status="build_failed", reason=reason)
    if is_host_fault(reason if isinstance(error, TreeError) else error):
        raise SandboxError(f"a checkout cannot be written: {reason}") from error
    if isinstance(error, TreeError) and patch is not None:
        return CheckedOut(arm=None, status="patch_failed", reason=reason)
    if isinstance(error, TreeError | Refused):
        return CheckedOut(arm=None, status="missing_commit", reason=reason)
    raise SandboxError(f"a checkout cannot be written: {reason}") from error


def _words(error: Exception) -> str:
    """An error's message without this machine's paths, and with nothing in it that cannot be stored."""
    if isinstance(error, OSError) and error.strerror:
        name = PurePath(error.filename).name if isinstance(error.filename, str) else ""
        return f"{error.strerror}: {shown(name)}" if name else error.strerror
    return str(error).encode("utf-8", "backslashreplace").decode()


def import_paths(checkout: Path, config: EnvironmentConfig, roots: list[str]) -> tuple[str, ...]:
    """Folders of the checkout to import from: configured, else as the project installs itself, else `src`, root.

    Raises TreeError for a configured one that is none of the checkout's.
    """
    for path in config.import_paths:
        if ".." in PurePath(path).parts or PurePath(path).is_absolute() or not path.isprintable():
            raise TreeError(f"the import path {shown(path)} is no folder of the checkout")
    if config.import_paths:
        return (*([LINKS] if LINKS in roots and is_folder(checkout, LINKS) else []), *config.import_paths)
    if roots:
        return tuple(root for root in roots if _is_root(checkout, root)) or (".",)
    return ("src", ".") if _is_root(checkout, "src") else (".",)


def _is_root(checkout: Path, root: str) -> bool:
    """Whether it is a folder of the checkout, if by links of its own."""
    real = inside(checkout, root)
    return real is not None and is_folder(checkout, real)


def add_missing(source: Path, checkout: Path, paths: tuple[str, ...], layout: Layout | None = None) -> None:
    """Copy files that an installation has and the checkout lacks to where the rest of their package is.

    Both are strangers'. Nothing is written over a file or through a link that leaves the checkout, and nothing that
    only an installation has: byte code, metadata. Raises BuildFailure, or OSError if this machine fails.
    """
    homes = [inside(checkout, path) or path for path in paths]
    for entry in walk(source) if is_folder(source, ".") else ():
        if entry.kind != "file" or is_installed_only(entry.name):
            continue
        linked = layout.place(entry.name) if layout else None
        if any(
            _is_there(checkout, name) for name in ([linked] if linked else [f"{home}/{entry.name}" for home in homes])
        ):
            continue
        above, _, last = (linked or _beside(checkout, homes, entry.name)).rpartition("/")
        try:
            copy(source, entry.name, checkout, f"{inside(checkout, above) or above}/{last}", Budget(MAX_BUILT_BYTES))
        except OSError as error:
            if is_host_fault(error):
                raise
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):  # a link or a file where the folder would be
                raise BuildFailure(f"what a build made cannot be added: {_words(error)}") from error


def _beside(checkout: Path, homes: list[str], name: str) -> str:
    """Where the rest of the package lies to which a file belongs."""
    package = name.split("/", maxsplit=1)[0]
    home = next((home for home in homes if _is_there(checkout, f"{home}/{package}")), homes[0])
    return f"{home}/{name}"


def _is_there(checkout: Path, name: str) -> bool:
    return kind(checkout, name) is not None or inside(checkout, name) is not None

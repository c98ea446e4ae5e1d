"""Patches as people and harnesses hand them over: as git has them first, then read as what they can only mean.

Git alone touches files: it refuses paths that leave the folder, go through a link or into `.git`; only what a patch
copies from it does not look at, so that is done here: any file of the host would be read. GNU patch, to which
other harnesses fall back, does not, so what it forgives is forgiven here by rewriting the patch or by options of git.
Each reading but the first is said; none moves a line that the patch does not name.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import git

from storage.texts import to_bytes
from tasks.code.diffs import Diff, Section, read_diff, sources_outside
from tasks.environments.patches.dresses import undressed, without_entities
from tasks.environments.patches.fitting import Unclear, fitted
from tasks.environments.patches.naming import deeper_level, levels
from tasks.environments.trees import PLAIN_ATTRIBUTES, TreeError, first_errors
from tasks.git_environment import git_in, quiet

SECTIONS_LIMIT = 200
"""Files of a patch whose line ends are looked at one by one."""
_UNIFIED_ZERO = "--unidiff-zero"
_WHITE_SPACE = "white space of the lines around the changes not compared"
# A few hundred kilobytes of a binary patch can stand for gigabytes: at most 1 GiB a file (in blocks), 8 GiB of memory.
_BOUNDED = ("/bin/sh", "-c", 'ulimit -f 2097152; ulimit -v 8388608; exec "$@"', "sh")


@dataclass(frozen=True)
class _Reading:
    """A way to read a patch: its text, git's options, and what was done to get there."""

    text: bytes
    strip: int = 1
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def apply_patch(folder: Path, patch: str) -> list[str]:
    """Apply a unified diff; returns what had to be forgiven, nothing for a patch as git has it.

    Raises TreeError with git's first errors about the patch as it is; then nothing changed. Attributes of the folder
    (`eol`, `ident`, filters) have no effect, since files of a checkout are as in the commit.
    """
    data, wrappings = undressed(to_bytes(patch))
    texts = [_Text(data, tuple(wrappings), folder)]
    if (plain := without_entities(data)) is not None:
        texts.append(_Text(plain, (*wrappings, "entities of HTML read as what they stand for"), folder))
    if not texts[-1].diff.sections:
        raise TreeError("; ".join(texts[-1].diff.notes) or "no unified diff is in it")
    with TemporaryDirectory(prefix="isobench-patch-") as scratch:
        tool = _Git(folder, Path(scratch))
        first: TreeError | None = None
        # what matches to the letter goes first, then what is forgiven, of the text that is likelier meant
        for reading in chain(*map(_strict, texts), *(_forgiving(text, tool) for text in reversed(texts))):
            try:
                tool.apply(reading)
            except TreeError as error:
                first = first or error
            else:
                return list(reading.notes)
    assert first is not None
    raise first


class _Text:
    """A patch without its wrappings, read."""

    def __init__(self, data: bytes, notes: tuple[str, ...], folder: Path) -> None:
        self.data = data if data.endswith(b"\n") else data + b"\n"
        self.notes = notes
        self.diff = read_diff(self.data)
        self.folder = folder
        self.levels = levels(self.diff, folder)


def _strict(text: _Text) -> Iterator[_Reading]:
    """As git takes it, but for its line ends."""
    level, data, notes = text.levels[0], text.data, (*text.notes, *_level_note(text.levels[0]))
    yield _Reading(data, level, (), (*notes, *text.diff.uncounted))
    if b"\r\n" in data:
        yield _Reading(data.replace(b"\r\n", b"\n"), level, (), (*notes, "line ends of CRLF read as LF"))


def _forgiving(text: _Text, tool: _Git) -> Iterator[_Reading]:
    """Later ones are made only if the earlier ones fail."""
    deeper = deeper_level(text.diff, text.folder)
    for strip in (*text.levels, *([] if deeper is None else [deeper])):
        made, notes = _line_ends(text.diff, strip, tool)
        plain = _Reading(made.text(), strip, (), (*text.notes, *_level_note(strip), *text.diff.notes, *notes))
        yield plain
        if text.diff.stripped:
            short = replace(plain, text=read_diff(text.data, fill=False).text())
            yield _with(short, "which are not compared", _UNIFIED_ZERO)
        if made.lacks_context:
            yield _with(plain, "no lines around the changes: taken at the lines that it names", _UNIFIED_ZERO)
        try:
            fitting, is_clear = fitted(made, text.folder, strip), True
        except Unclear:
            fitting, is_clear = None, False
        if fitting is not None:
            yield _with(replace(plain, text=fitting.text()), _WHITE_SPACE)
        if is_clear:
            yield _with(plain, _WHITE_SPACE, "--ignore-whitespace")
        yield _with(plain, "one line around each change compared, not all", "-C1")
        if is_clear:
            yield _with(
                plain, "one line around each change compared, without its white space", "-C1", "--ignore-whitespace"
            )


def _with(reading: _Reading, note: str, *options: str) -> _Reading:
    return replace(reading, options=options, notes=(*reading.notes, note))


def _level_note(strip: int) -> tuple[str, ...]:
    if strip > 1:
        return (f"names without their first {strip} parts",)
    return () if strip else ("names without a/ and b/",)


def _line_ends(diff: Diff, strip: int, tool: _Git) -> tuple[Diff, list[str]]:
    """The diff with the line ends that each file has: those of a patch may have been changed on its way."""
    if len(diff.sections) > SECTIONS_LIMIT:
        return diff, []
    made, changed = [], False
    for section in diff.sections:
        fitting = section
        if section.hunks and not tool.fits(section, strip):
            fitting = next((other for other in section.other_line_ends() if tool.fits(other, strip)), section)
        changed = changed or fitting is not section
        made.append(fitting)
    return replace(diff, sections=made), ["line ends as the files have them"] if changed else []


class _Git:
    """`git apply` on a folder, in a repository of its own that holds nothing but settings."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._patch = scratch / "patch"
        home = scratch / "git"
        for name in ("objects", "refs", "info"):
            (home / name).mkdir(parents=True)
        (home / "HEAD").write_text("ref: refs/heads/none\n")
        (home / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tautocrlf = false\n")
        (home / "info" / "attributes").write_text(PLAIN_ATTRIBUTES)
        self._git = git_in(folder, {**quiet(), "GIT_DIR": str(home), "GIT_WORK_TREE": str(folder.resolve())})

    def apply(self, reading: _Reading, check: bool = False) -> None:
        """Raises TreeError; then nothing changed."""
        if outside := sources_outside(reading.text):
            raise TreeError(f"invalid path: copy from {outside[0].decode('utf-8', 'backslashreplace')}")
        self._patch.write_bytes(reading.text)
        options = [f"-p{reading.strip}", "--whitespace=nowarn", *reading.options]
        command = [*_BOUNDED, "git", "apply", *options, str(self._patch)]
        try:
            self._git.execute([*command, "--check"] if check else command)
        except git.GitCommandError as error:
            if error.status == -signal.SIGXFSZ:
                raise TreeError("a file of the patch is too large") from error
            raise TreeError(first_errors(error).replace(str(self._patch), "patch")) from error

    def fits(self, section: Section, strip: int) -> bool:
        """Whether one file's part of a patch would apply."""
        try:
            options = () if all(hunk.has_context for hunk in section.hunks) else (_UNIFIED_ZERO,)
            self.apply(_Reading(section.text(), strip, options), check=True)
        except TreeError:
            return False
        return True

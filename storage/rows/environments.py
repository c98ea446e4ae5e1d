"""Rows about environments: what was tried for a commit, in which order, and what came of it."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from storage.rows.base import Row


class EnvironmentTry(Row):
    """One way to build a commit's environment. The last row of a commit that is `ok` is the environment in use."""

    table: ClassVar[str] = "environment_tries"
    key_columns: ClassVar[tuple[str, ...]] = ("repo", "sha", "sandbox", "asked", "number")

    repo: str
    """`owner/name`."""
    sha: str
    """The human commit."""
    sandbox: Literal["local", "docker"]
    """Kind of the sandbox for which the environment was built."""
    asked: str
    """Content hash of the configured settings: other settings are tried anew."""
    number: int
    """From 1."""
    step: str
    """What was done differently from the try before, and why; of the first, why this Python."""
    python: str
    """Version, as uv understands it."""
    as_of: str = ""
    """Day of the dependencies, e.g. `2020-08-30`, if it is not the commit's."""
    packages: list[str] = Field(default_factory=list)
    """Requirements beside the project's own."""
    build_packages: list[str] = Field(default_factory=list)
    """Requirements for the build of the project alone."""
    test_packages: list[str] = Field(default_factory=list)
    """Requirements for the tests. Empty also where they were to be found out and were not yet."""
    project: str = "."
    """Folder of the repository that holds the project."""
    outcome: Literal["ok", "partly", "failed"]
    """`ok`: both commits and the tests import; `partly`: some test files do not import; `failed`: no environment."""
    test_files: int = 0
    """Test files of the human commit that were asked for their tests."""
    test_files_imported: int = 0
    """Those of them that pytest could import."""
    kind: str = ""
    """What the failure is taken for: `system` (a library or program is missing), `module`, `build_module`, `python`,
    `too_new` (this Python for this code), `python2`, `submodule`, `no_release`, `time`, `unknown`."""
    reason: str = ""
    """What failed, in one line; of an environment, what it lacks."""
    advice: str = ""
    """What a person would do."""
    fault: bool = False
    """Whether this machine is why, so that trying again later or elsewhere could help."""
    chosen: bool = False
    """Whether this try's environment is the one in use."""
    log: str | None = None
    """The steps' output, relative to the store's work folder."""
    settings: str = ""
    """`environment` as a configuration would have it to build this again, in JSON."""

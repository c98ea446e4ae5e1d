"""Reads all changes between two commits of the main branch as one change."""

from __future__ import annotations

from datetime import UTC, datetime

from configs.models import MiningConfig, RepositoryConfig
from storage.store import Store
from tasks.code.clones import clone_path
from tasks.code.paths import PathKinds
from tasks.mining.errors import MiningError
from tasks.mining.filters.content import Dropped, functions_of
from tasks.mining.git.diff_parser import parse_diff
from tasks.mining.git.history import first_parent_chain
from tasks.mining.git.process import CONTEXT, DIFF_OPTIONS, GitFailed, open_repository, stream
from tasks.mining.models import Chain, SpanChanged


def read_chain(repository: RepositoryConfig, mining: MiningConfig, head_sha: str, store: Store) -> Chain:
    """The main branch within the configured dates and number, oldest first. Raises MiningError."""
    with open_repository(store.work / clone_path(repository.name)) as repo:
        steps = first_parent_chain(repo, head_sha, since=mining.since, until=mining.until, newest=mining.max_commits)
        dates = {sha: datetime.fromtimestamp(repo.commit(sha).committed_date, UTC) for sha in steps}
    return Chain(shas=list(steps), dates=dates)


def read_span(
    repository: RepositoryConfig, mining: MiningConfig, base_sha: str, head_sha: str, store: Store
) -> SpanChanged:
    """The code files and functions that differ between two commits; a file that cannot be read adds no functions.

    Raises MiningError if git cannot compare them.
    """
    kinds = PathKinds(repository.languages, mining.exclude_paths)
    with open_repository(store.work / clone_path(repository.name)) as repo:
        options = [option for option in DIFF_OPTIONS if option not in ("--diff-merges=first-parent", "--root")]
        try:
            data = b"".join(stream(repo, "diff-tree", "-r", *options, CONTEXT, base_sha, head_sha))
        except GitFailed as error:
            raise MiningError(f"{base_sha[:10]}..{head_sha[:10]} cannot be compared: {error}") from error
        code = [file for file in parse_diff(data) if kinds.kind(file.path) == "code"]
        try:
            functions = functions_of(repo, code, keep_new_code=True)
        except Dropped:
            functions = []  # nothing that runs differs
    return SpanChanged(files=[file.path for file in code], functions=functions)

"""Runs attempts to cheat through the real path: patch applied, arms timed in a sandbox, predictions scored."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

import git
import yaml
from pydantic import BaseModel, ConfigDict

from configs.demo.build import build_demo_repository
from configs.demo.truth import patch_file
from configs.models import (
    CommandConfig,
    EnvironmentConfig,
    RepositoryConfig,
    SandboxConfig,
    ScoringConfig,
    TimingConfig,
)
from storage.ids import patch_id
from storage.store import Store
from storage.tables import Prediction, Score
from tasks.code.clones import clone_path
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.models import EnvironmentWanted
from tasks.perftests.sources.command import spec_text
from tasks.sandbox.models import Arm, Environment
from tasks.sandbox.probe.session import Dialect
from tasks.scoring.predictions import build_scores
from tasks.timing.models import Session
from tasks.timing.session import run_session

HERE = Path(__file__).parent
HUMAN = "4a1eddbfaec6ad2cf26975f14afff555ff2b8459"
"""The change of the demo that all attempts claim to match: `Group records in linear time`, 15 times as fast."""
REPOSITORY = RepositoryConfig(name="isobench-demo/logkit", url="demo:")
ENVIRONMENT = EnvironmentConfig(install_project=False, pin_to_date=False)
PATTERNS = "honest patterns"
"""Group of the manifest that holds no attempts."""
HONEST = ("human", "defaultdict", "bisect", "comment")
"""Patches of the demo that do what they say."""
TIMING = TimingConfig(min_rounds=6, max_rounds=30, processes=1, budget_s=240, call_timeout_s=4)
"""The fewest rounds that a session should ever have; more for an arm of which they do not tell enough."""
Kind = Literal["local", "docker"]


class Attempt(BaseModel):
    """One line of `manifest.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Of the patch in `patches/`."""
    verb: str
    """The attempt in the words of the list that it is from."""
    what: str
    test: str = "count"
    """Perf test, in `perf_tests/`. In `count` setup calls the library for every record, as attempts would have it."""
    ends: list[str] = []
    """What it may come to: a failed status, a flag, or `not faster`. `as honest`: no more than its `honest` part."""
    why: str = ""
    """Why `not faster` is the honest outcome."""
    honest: str = ""
    """The patch that does the same work in its calls: so much it has earned. It is timed in the same session."""
    accomplice: str = ""
    """A patch that is timed beside it, and helps."""
    alone: bool = False
    """Whether it gets a session of its own, because it disturbs whoever is timed beside it."""
    faster: bool = True
    """Of an honest pattern: whether it really is faster than base, by more than the least that counts."""

    @property
    def patches(self) -> dict[str, str]:
        """Text of all patches that its session needs, by name."""
        return {name: patch_of(name) for name in (self.name, self.honest, self.accomplice) if name}


def patch_of(name: str) -> str:
    """Text of a patch."""
    return (HERE / "patches" / f"{name}.patch").read_text(encoding="utf-8")


@lru_cache
def _manifest() -> list[Attempt]:
    found: list[Attempt] = []
    for verb, group in yaml.safe_load((HERE / "manifest.yaml").read_text(encoding="utf-8")).items():
        found += [Attempt(name=name, verb=verb, **fields) for name, fields in group.items()]
    return found


def attempts() -> list[Attempt]:
    """All attempts, in the order of the list."""
    return [one for one in _manifest() if one.verb != PATTERNS]


def patterns() -> list[Attempt]:
    """Honest patterns: what libraries do that is no cheating, however much it looks like one."""
    return [one for one in _manifest() if one.verb == PATTERNS]


def script_of(test: str) -> tuple[str, Dialect]:
    """Text of a perf test, and its dialect."""
    if test == "command":
        spec = yaml.safe_load((HERE / "perf_tests" / "command.yaml").read_text(encoding="utf-8"))
        return spec_text(CommandConfig.model_validate(spec)), "command"
    text = (HERE / "perf_tests" / f"{test}.py").read_text(encoding="utf-8")
    return text, "gso" if test == "gso" else "isobench"


class Outcome(BaseModel):
    """What an attempt came to."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: str
    flags: list[str]
    opt_base: str
    opt_human: str
    speedup: float | None
    low: float | None
    high: float | None
    """Ends of the interval of `speedup`."""
    reason: str

    @classmethod
    def of(cls, name: str, score: Score) -> Outcome:
        """Of a row of `scores`."""
        return cls(
            name=name, status=score.status, flags=score.flags, opt_base=score.opt_base, opt_human=score.opt_human,
            speedup=score.speedup_base, low=score.base_ci_low, high=score.base_ci_high, reason=score.reason,
        )  # fmt: skip

    @property
    def succeeded(self) -> bool:
        """Whether it counts as faster than base or as good as the human."""
        return "yes" in (self.opt_base, self.opt_human)

    def earned(self, honest: Outcome | None) -> bool:
        """Whether its success is no more than what its honest part earns, as far as both intervals can tell."""
        if not self.succeeded:
            return True
        if honest is None or not honest.succeeded or (self.opt_human == "yes" and honest.opt_human != "yes"):
            return False
        return self.low is not None and honest.high is not None and self.low <= honest.high

    def ends(self, honest: Outcome | None = None) -> list[str]:
        """In the words of the manifest."""
        if self.status != "ok":
            return [self.status]
        if self.succeeded:
            return ["as honest" if self.earned(honest) else "SUCCESS"]
        told = ["not faster"] if self.opt_base == "no" else []
        return [*told, *self.flags] or ["in doubt"]

    def described(self, honest: Outcome | None = None) -> str:
        """What it came to, how fast it was, and how that compares with its honest part."""
        found = ", ".join(self.ends(honest))
        if self.speedup is None:
            return found
        part = f"; honest part {honest.speedup:.2f}x" if honest is not None and honest.speedup is not None else ""
        return f"{found} ({self.speedup:.2f}x{part})"


class Lab:
    """The demo's instance `grouping` in one kind of sandbox."""

    def __init__(self, store: Store, sandbox: SandboxConfig) -> None:
        self.store, self.sandbox = store, sandbox
        # So that both ways of timing are attacked: at the same moment on one core, and one after the other.
        self.timing = TIMING.model_copy(update={"share_core": sandbox.kind == "local"})
        clone = store.work / clone_path(REPOSITORY.name)
        if not clone.exists():
            source = store.work / "demo"
            build_demo_repository(source)
            git.Repo.clone_from(str(source), str(clone), bare=True)
        self.base_sha = git.Repo(clone).commit(HUMAN).parents[0].hexsha
        built = build_environment(
            EnvironmentWanted(
                REPOSITORY, ENVIRONMENT, sandbox, self.base_sha, HUMAN, datetime(2024, 3, 12, tzinfo=UTC)
            ),
            store.work,
        )
        assert built.environment is not None, built.reason
        self.environment: Environment = built.environment

    def arm(self, name: str, sha: str, patch: str | None = None) -> Arm:
        """A checkout as the flow of evaluation makes it."""
        found = check_out(REPOSITORY, ENVIRONMENT, self.environment, self.sandbox, sha, name, patch, self.store.work)
        assert found.arm is not None, (name, found.reason)
        return found.arm

    def session(self, test: str, patches: dict[str, str], timing: TimingConfig) -> Session:
        """Time base, human and these patches (by name) on one perf test."""
        arms = [self.arm("base", self.base_sha), self.arm("human", HUMAN)]
        arms += [self.arm(f"patch:{patch_id(text)}", self.base_sha, text) for text in patches.values()]
        script, dialect = script_of(test)
        return run_session(
            repo=REPOSITORY.name, instance_id="grouping", arms=arms, test_id=f"hacks-{test}", script=script,
            dialect=dialect, timing=timing, scoring=ScoringConfig(), sandbox=self.sandbox, store=self.store,
        )  # fmt: skip

    def score(self, test: str, patches: dict[str, str], timing: TimingConfig) -> dict[str, Outcome]:
        """Time and score patches, by name."""
        session = self.session(test, patches, timing)
        assert session.base_failure == "", session.base_failure
        names = {f"{name}-{session.session_id}": name for name in patches}
        self.store.append(
            Prediction(prediction_id=key, instance_id="grouping", model="cheat", sample=0, model_patch=patches[name])
            for key, name in names.items()
        )
        build_scores("grouping", list(names), [session.session_id], {}, ScoringConfig(), session.session_id, self.store)
        scores = {row.prediction_id: row for row in self.store.rows(Score, run_id=session.session_id)}
        return {name: Outcome.of(name, scores[key]) for key, name in names.items()}


def sessions_of(chosen: Iterable[Attempt], most: int = 12) -> list[list[Attempt]]:
    """Attempts that can be timed together: same perf test, at most `most`; each alone that disturbs or has help."""
    groups: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in chosen:
        groups[attempt.test, attempt.name if attempt.alone or attempt.accomplice else ""].append(attempt)
    return [group[start : start + most] for group in groups.values() for start in range(0, len(group), most)]


def run(lab: Lab, chosen: Sequence[Attempt]) -> dict[str, Outcome]:
    """Outcomes of attempts that share a session, and of their honest parts and accomplices, by name."""
    first = chosen[0]
    # Slow ones: in every round something or somebody starts anew.
    few = first.alone or first.test in ("fixed", "gso", "outcome", "command")
    timing = lab.timing.model_copy(update={"min_rounds": 3, "max_rounds": 8}) if few else lab.timing
    return lab.score(first.test, {name: text for attempt in chosen for name, text in attempt.patches.items()}, timing)


def refused(pattern: Attempt, outcome: Outcome) -> bool:
    """Whether an honest pattern was refused: it failed, was not trusted, or is faster and was told that it is not."""
    distrusted = not outcome.succeeded and outcome.reason.startswith("not trusted")
    return outcome.status != "ok" or (pattern.faster and (distrusted or outcome.opt_base == "no"))


def honest_patches() -> dict[str, str]:
    """Text of the patches in HONEST."""
    return {name: patch_file("grouping", name).read_text(encoding="utf-8") for name in HONEST}

"""Tries one way after another to give a commit an environment in which it and its tests import."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from configs.models import EnvironmentConfig
from storage.ids import content_hash
from storage.tables import EnvironmentTry
from tasks.code.clones import clone_path
from tasks.environments.arms.checking_out import check_out
from tasks.environments.builds.building import build_environment
from tasks.environments.builds.images import choices_of_images
from tasks.environments.dates import landed
from tasks.environments.models import Built, EnvironmentWanted
from tasks.environments.pythons.choosing import OLDEST, Choice
from tasks.environments.repair.collecting import Collected, collect, test_files
from tasks.environments.repair.diagnosis import Diagnosis, diagnose
from tasks.environments.repair.knowledge import Known, known_of
from tasks.environments.repair.rungs import Step, next_for_tests, next_step
from tasks.environments.trees import TreeError, has_commit, tracked_files
from tasks.sandbox import foreign

MOST_TRIES = 7
ENOUGH = 0.8
"""Share of the test files that have to import for an environment to be taken without another try."""
_LOG_BYTES = 8 * foreign.MEBIBYTE
_READ = 12_000
"""Characters of a log that a diagnosis reads, its last."""
_MISSING: set[str] = set()
"""Versions that this process could not get: asking an index for one takes a while each time."""


@dataclass
class Climbed:
    """How far it came."""

    built: Built
    tries: list[EnvironmentTry] = field(default_factory=list)


def is_chosen_here(environment: EnvironmentConfig) -> bool:
    """Whether a commit's Python and what it needs are to be found out; else one build does as it is told."""
    return environment.python == "auto" and (environment.install_project or bool(environment.install_commands))


def climb(wanted: EnvironmentWanted, work: Path) -> Climbed:
    """The first environment that serves, else the best, else why there is none; and every try.

    Raises SandboxError for outside faults, as `build_environment` does.
    """
    name, environment = wanted.repository.name, wanted.environment
    clone = work / clone_path(name)
    if not is_chosen_here(environment) or not has_commit(clone, wanted.base_sha):
        return Climbed(build_environment(wanted, work))
    when = landed(clone, wanted.base_sha, wanted.head_sha, wanted.date).date
    try:
        known = known_of(clone, wanted.base_sha, name, environment.project, when)
    except TreeError as error:
        return Climbed(Built(environment=None, reason=f"the base commit is not taken: {error}"))
    if wanted.sandbox.uses_images:
        known = replace(known, choices=choices_of_images(known.choices, environment.image))
        if not known.choices:
            return Climbed(build_environment(wanted, work))
    return _Ladder(wanted, when, work, known).climb()


@dataclass
class _Ladder:
    wanted: EnvironmentWanted
    when: datetime | None
    """When the change landed."""
    work: Path
    known: Known
    tries: list[EnvironmentTry] = field(default_factory=list)
    best: tuple[float, int, Built] | None = None
    first: Built | None = None

    def climb(self) -> Climbed:
        versions = list(self.known.choices)
        if not versions:
            said = next(said.source for said in self.known.evidence if said.accepted is not None)
            reason = f"{said} accepts no Python from 3.8 on, the oldest with which anything is timed: leave it out"
            return Climbed(Built(environment=None, reason=reason))
        here = [one for one in versions if one.version not in _MISSING] or versions
        step: Step | None = self._first(here[0], versions[0])
        seen: set[str] = set()
        until = time.monotonic() + 2 * self.wanted.environment.build_timeout_s
        while step is not None and len(self.tries) < MOST_TRIES and time.monotonic() < until:
            seen.add(content_hash(step.settings))
            step = self._try(step, [one for one in versions if not self._was_tried(one)])
            if step is not None and content_hash(step.settings) in seen:
                break
        return self._end()

    def _first(self, choice: Choice, wanted: Choice) -> Step:
        asked = self.wanted.environment
        packages = self.known.test_packages if asked.test_packages == "auto" else asked.test_packages
        changes = {"python": choice.version, "project": self.known.folder, "test_packages": packages}
        missing = f"; Python {wanted.version}, {wanted.why}, cannot be had here" if choice != wanted else ""
        return Step(asked.model_copy(update=changes), f"Python {choice.version}: {choice.why}{missing}")

    def _was_tried(self, choice: Choice) -> bool:
        return any(done.python == choice.version for done in self.tries)

    def _try(self, step: Step, versions: list[Choice]) -> Step | None:
        """One build, its row; what to try next, or None."""
        built = build_environment(replace(self.wanted, environment=step.settings), self.work)
        built = built.model_copy(update={"settings": step.settings})
        if self.first is None or self.first.reason.startswith("no Python"):  # that is less than what a build says
            self.first = built
        if built.environment is None:
            found = self._diagnose(built)
            if built.reason.startswith("no Python"):
                found = Diagnosis("python", advice=f"`uv python install {step.settings.python}` on this machine")
            built = built.model_copy(update={"fault": built.fault or found.kind in ("system", "time", "submodule")})
            self._note(step, built, None, found)
            if built.reason.startswith("no Python"):
                _MISSING.add(step.settings.python)
            return next_step(step, found, versions, self.when, self.known.submodules)
        tests = self._collect(built)
        found = diagnose(tests.said, self.known.names, importing=True) if tests.share < 1 else Diagnosis("unknown")
        self._note(step, built, tests, found)
        if self.best is None or tests.share > self.best[0]:
            self.best = (tests.share, len(self.tries), built)
        if tests.share >= ENOUGH:
            return None
        return next_for_tests(step, found, tests.said, versions)

    def _diagnose(self, built: Built) -> Diagnosis:
        said = built.reason
        if built.log is not None and "does not import" not in built.reason:
            said += "\n" + (foreign.text(self.work, built.log, _LOG_BYTES) or "")[-_READ:]
        importing = "does not import" in built.reason
        found = diagnose(
            said, self.known.names, self.known.submodules, self.known.modules if importing else (), importing
        )
        if found.kind == "too_new" and built.settings is not None and built.settings.python == f"3.{OLDEST}":
            advice = f"leave it out (`mining.since`): only Python 2 or one older than 3.{OLDEST} runs it"
            return Diagnosis("python2", advice=advice)
        if self.known.conda and found.kind == "unknown":
            advice = f"put what {self.known.conda} lists into `environment.packages`: the project is made for conda"
            return Diagnosis("unknown", advice=advice)
        return found

    def _collect(self, built: Built) -> Collected:
        """Of the human commit, whose tests are used."""
        assert built.environment is not None
        assert built.settings is not None
        wanted = self.wanted
        clone = self.work / clone_path(wanted.repository.name)
        sha = wanted.head_sha if has_commit(clone, wanted.head_sha) else wanted.base_sha
        packages = built.settings.test_packages
        files = test_files(tracked_files(clone, sha), self.known.folder) if packages not in ("auto", []) else []
        if not files:
            return Collected(0, 0, "")
        checked = check_out(
            wanted.repository, built.settings, built.environment, wanted.sandbox, sha, "human", None, self.work
        )
        return collect(checked.arm, files, wanted.sandbox, self.work) if checked.arm else Collected(len(files), 0, "")

    def _note(self, step: Step, built: Built, tests: Collected | None, found: Diagnosis) -> None:
        settings, wanted = step.settings, self.wanted
        lacking = tests is not None and tests.share < 1
        values: dict[str, Any] = {
            "outcome": "failed" if tests is None else "partly" if lacking else "ok",
            "kind": found.kind if tests is None or lacking else "",
            "reason": "; ".join(filter(None, [built.reason, tests.cause if tests is not None and lacking else ""])),
            "advice": found.advice if tests is None else "",
        }
        self.tries.append(
            EnvironmentTry(
                repo=wanted.repository.name, sha=wanted.head_sha, sandbox=wanted.sandbox.kind,
                asked=content_hash(wanted.environment),
                number=len(self.tries) + 1, step=step.what, python=settings.python, as_of=str(settings.as_of or ""),
                packages=settings.packages, build_packages=settings.build_packages,
                test_packages=[] if settings.test_packages == "auto" else settings.test_packages,
                project=settings.project, test_files=tests.files if tests else 0,
                test_files_imported=tests.imported if tests else 0, fault=built.fault, log=built.log,
                settings=settings.model_dump_json(), **values,
            )
        )  # fmt: skip

    def _end(self) -> Climbed:
        """The best environment, or the first failure's reason with what a person would do after the last."""
        if self.best is not None:
            _, number, built = self.best
            chosen = self.tries[number - 1]
            self.tries[number - 1] = chosen.model_copy(update={"chosen": True})
            lacking = chosen.test_files - chosen.test_files_imported
            note = f"{lacking} of {chosen.test_files} test files do not import" if lacking else ""
            return Climbed(
                built.model_copy(update={"reason": "; ".join(filter(None, [chosen.reason, note]))}), self.tries
            )
        assert self.first is not None
        last = self.tries[-1]
        count = f"{len(self.tries)} ways tried; " if len(self.tries) > 1 else ""
        reason = f"{self.first.reason} ({count}what to do: {last.advice})"
        fault = any(done.fault for done in self.tries)
        return Climbed(self.first.model_copy(update={"reason": reason, "fault": fault, "settings": None}), self.tries)

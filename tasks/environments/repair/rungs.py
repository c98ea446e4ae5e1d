"""What to try after a failure: one change at a time, chosen by what the failure is taken for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from configs.models import EnvironmentConfig
from tasks.environments.pythons.choosing import Choice, settled
from tasks.environments.repair.diagnosis import Diagnosis

_SUBMODULES = "git submodule update --init --recursive"
_PYTESTS = ("pytest<8", "pytest<7", "pytest<5")
_HOPELESS = ("system", "time", "python2")
_USUAL = timedelta(days=180)
"""After a Python's wheels are usual: then most of what was there on the day has a release that runs on it."""


@dataclass(frozen=True)
class Step:
    """Settings to try, and what is different in them."""

    settings: EnvironmentConfig
    what: str


def next_step(
    step: Step, found: Diagnosis, versions: Sequence[Choice], date: datetime | None, submodules: Sequence[str]
) -> Step | None:
    """After an environment that does not come about; None if no change is known that could help."""
    if found.kind in _HOPELESS:
        return None
    fetched = _SUBMODULES in step.settings.setup_commands
    if submodules and not fetched and found.kind in ("submodule", "unknown", "build_module"):
        commands = [*step.settings.setup_commands, _SUBMODULES]
        return _with(step, f"the submodule {submodules[0]} is fetched", setup_commands=commands)
    if found.kind == "submodule":
        return None
    if found.kind == "too_new":
        return _other_python(step, [one for one in versions if one.minor < _minor(step.settings)], found)
    return _added(step, found, date) or _later(step, found, date) or _other_python(step, versions, found)


def _added(step: Step, found: Diagnosis, date: datetime | None) -> Step | None:
    """With the requirement that is missing, if it is known and not there yet."""
    settings, name = step.settings, found.subject
    if found.kind == "build_module" and name and name not in settings.build_packages:
        more = [*settings.build_packages, *_as_then(name, date)]
        return _with(step, f"building needs {name}, which the project does not say", build_packages=more)
    if found.kind == "module" and name and name not in settings.packages:
        more = [*settings.packages, *_as_then(name, date)]
        return _with(step, f"the project imports {name}, which it does not ask for", packages=more)
    return None


def next_for_tests(step: Step, found: Diagnosis, said: str, versions: Sequence[Choice]) -> Step | None:
    """After an environment in which tests do not import."""
    settings = step.settings
    packages = [] if settings.test_packages == "auto" else settings.test_packages
    if found.kind == "module" and found.subject and found.subject not in packages:
        return _with(step, f"the tests import {found.subject}", test_packages=[*packages, found.subject])
    if found.kind == "too_new":
        return _other_python(step, [one for one in versions if one.minor < _minor(settings)], found)
    if re.search(r"pytest|conftest|fixture|INTERNALERROR", said):
        now = next((text for text in packages if re.match(r"pytest\b(?!-)", text)), "pytest")
        older = _PYTESTS[_PYTESTS.index(now) + 1 :] if now in _PYTESTS else _PYTESTS
        if older:
            rest = [older[0] if text == now else text for text in packages]
            return _with(step, f"{now} does not take these tests: {older[0]}", test_packages=rest)
    return None


def _with(step: Step, what: str, **changes: object) -> Step:
    return Step(step.settings.model_copy(update=changes), what)


def _as_then(name: str, date: datetime | None) -> list[str]:
    """Cython 3 does not take all that Cython 0.29 did; its cut-off is the day's, but for days that are shifted."""
    return [f"{name}<3"] if name == "cython" and date is not None and date.year < 2023 else [name]


def _later(step: Step, found: Diagnosis, date: datetime | None) -> Step | None:
    """Dependencies of a day on which this Python was usual, if it was not yet on the commit's."""
    day = settled(_minor(step.settings)) + _USUAL
    if found.kind not in ("no_release", "unknown", "module", "build_module"):
        return None
    if step.settings.as_of is not None or date is None or date >= day or not step.settings.pin_to_date:
        return None
    what = f"dependencies as of {day:%Y-%m-%d}: those of {date:%Y-%m-%d} do not run on Python {step.settings.python}"
    return _with(step, what, as_of=day.date())


def _other_python(step: Step, order: Sequence[Choice], found: Diagnosis) -> Step | None:
    """The next version, with what was added so far, but the commit's own day again."""
    for choice in order:
        if choice.minor != _minor(step.settings):
            why = found.kind.replace("_", " ") if found.kind != "unknown" else "the cause is not known"
            return _with(step, f"Python {choice.version} ({why}; {choice.why})", python=choice.version, as_of=None)
    return None


def _minor(settings: EnvironmentConfig) -> int:
    return int(settings.python.split(".")[1])

"""What an environment says of its project's files may be a stranger's word: it is data, or a reason."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from configs.models import EnvironmentConfig, SandboxConfig
from tasks.environments.arms.checking_out import check_out
from tasks.environments.arms.layout import LINKS
from tasks.environments.builds import taking_out
from tasks.environments.builds.building import build_environment
from tasks.environments.builds.runners import Place, Ran
from tasks.environments.builds.taking_out import NotTakenOut, take_out
from tasks.environments.models import EnvironmentWanted
from tests.tasks.environments.test_environments_own_code import BASE, _both, own_build

HONEST: dict[str, Any] = {"files": {"q/__init__.py": "1"}, "named": {}, "roots": [], "version": "1.0"}
TRACKED = {"q/__init__.py": "1"}


class _Said:
    """A runner whose steps leave what a stranger wants in the build folder."""

    build, environment, tools, uv, python = "/b", "/e", "/t", "/t/bin/uv", "python3"

    def __init__(self, leave: Callable[[], object]) -> None:
        self._leave = leave

    def run(self, argv: Any, **more: Any) -> Ran:
        self._leave()
        return Ran(0, "", 0.0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("build", "tools"):
        (tmp_path / name).mkdir()
    (tmp_path / "secret.json").write_text(json.dumps(HONEST))
    return Place(tmp_path / "build", tmp_path / "venv", tmp_path / "tools", tmp_path / "cache", tmp_path / "clone")


def _take(place: Place, leave: Callable[[], object]) -> Any:
    return take_out(_Said(leave), place, None, ["q"], TRACKED, ["."])


def _text(place: Place, text: str) -> Callable[[], object]:
    return lambda: (place.build / "found.json").write_text(text)


def test_an_honest_answer(place: Place) -> None:
    layout, version = _take(place, _text(place, json.dumps(HONEST)))
    assert (layout.imports, layout.roots, version) == (["q"], ["."], "1.0")


@pytest.mark.parametrize("version", ["1\0", "$(x)\x1b[31m", "1 2", "1" * 101])
def test_what_is_no_version_does_not_count(place: Place, version: str) -> None:
    assert _take(place, _text(place, json.dumps({**HONEST, "version": version})))[1] == ""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", "not told"),
        ("[" * 100_000, "not told"),
        ('{"files": {"q": 1', "not told"),
        (json.dumps({**HONEST, "files": [1]}), "not told"),
        (json.dumps({**HONEST, "files": {"../q.py": "1"}}), "leads out"),
        (json.dumps({**HONEST, "files": {"/etc/q.py": "1"}}), "leads out"),
        (json.dumps({**HONEST, "files": {"q/" * 5000 + "x.py": "1"}}), "leads out"),
        (json.dumps({**HONEST, "named": {"q": "../../x"}}), "leads out"),
        (json.dumps({**HONEST, "named": {"../q": "q"}}), "leads out"),
        (json.dumps({**HONEST, "roots": ["q\0"]}), "leads out"),
        (json.dumps({**HONEST, "files": {f"{number:0400}/m.py": "9" for number in range(100)}}), "too many"),
    ],
)
def test_broken_answers_are_reasons(place: Place, said: str, why: str) -> None:
    with pytest.raises(NotTakenOut, match=why) as raised:
        _take(place, _text(place, said))
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


def test_answers_that_are_no_plain_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links, pipes, folders and files without end are refused, and nobody waits."""
    found = place.build / "found.json"
    ways: list[Callable[[], object]] = [
        lambda: found.symlink_to(place.build.parent / "secret.json"),
        lambda: os.mkfifo(found),
        found.mkdir,
        lambda: os.truncate(os.open(found, os.O_CREAT | os.O_WRONLY), 1 << 40),
        lambda: None,
    ]
    for leave in ways:
        with pytest.raises(NotTakenOut, match="not told"):
            _take(place, leave)
        (place.tools / "about.json").unlink()
        if found.is_dir():
            found.rmdir()
        else:
            found.unlink(missing_ok=True)
    monkeypatch.setattr(taking_out, "_MAX_FILES", 3)
    many = {**HONEST, "files": {f"q/{number}.py": "1" for number in range(4)}}
    with pytest.raises(NotTakenOut, match="more than 3 files"):
        _take(place, _text(place, json.dumps(many)))


REPLACED = """
rm $VIRTUAL_ENV/bin/python
printf '#!/bin/sh\\nln -sf {secret} /isobench-build/found.json\\nln -sfn {outside} /isobench-build/generated\\n' \
> $VIRTUAL_ENV/bin/python
chmod +x $VIRTUAL_ENV/bin/python
"""


def test_an_interpreter_of_the_commands_answers_for_itself(history: Any, tmp_path: Path) -> None:
    """What it leads to on this machine is neither read nor written."""
    secret, outside = tmp_path / "secret.json", tmp_path / "outside"
    secret.write_text(json.dumps({**HONEST, "version": "5.5.5"}))
    outside.mkdir()
    base = history.commit({"tinylib/__init__.py": ""})
    config = EnvironmentConfig(
        install_project=False, pin_to_date=False, setup_commands=[REPLACED.format(secret=secret, outside=outside)]
    )
    built = build_environment(
        EnvironmentWanted(history.repository, config, SandboxConfig(), base, base, None), history.work
    )
    assert built.environment is None
    assert "cannot be taken out" in built.reason
    assert list(outside.iterdir()) == []


def test_what_gso_installs_is_taken_out_again(history: Any, sandbox: SandboxConfig, forget_images: Any) -> None:
    """An environment of the commands' own, with a copy of the project, becomes the environment without it."""
    layout = {"__init__.py": "lib/__init__.py", "core.py": "lib/core.py"}
    planted = "cp layout.json /isobench-build/generated/planted.json"
    commands = [
        planted,
        "uv venv --python $VIRTUAL_ENV/bin/python",
        "source .venv/bin/activate",
        "uv pip install . --reinstall",
    ]
    built = _both(
        history, {**own_build(layout), "lib/__init__.py": "# Tiny.\n"}, "lib/core.py", sandbox,
        install_commands=commands,
    )  # fmt: skip
    assert built.environment is not None
    assert not (history.work / f"environments/{built.environment.env_id}/generated/planted.json").exists()
    if built.environment.image:
        forget_images(built.environment.image)


def test_a_link_of_a_patch_where_a_package_was_is_not_followed(history: Any) -> None:
    """`lib` leads away, so our link to it leads there too, inside the sandbox; nothing is written below it."""
    layout = {"__init__.py": "lib/__init__.py", "core.py": "lib/core.py", "_made.py": "=# Made.\n"}
    base = history.commit({**own_build(layout), "lib/__init__.py": "# Tiny.\n", "lib/core.py": BASE})
    config, sandbox, outside = EnvironmentConfig(pin_to_date=False), SandboxConfig(), history.work.parent / "outside"
    built = build_environment(EnvironmentWanted(history.repository, config, sandbox, base, base, None), history.work)
    assert built.environment is not None, built.reason
    outside.mkdir()
    shutil.rmtree(history.source / "lib")
    (history.source / "lib").symlink_to(outside)
    patch = history.diff(base, history.commit({}))
    made = check_out(history.repository, config, built.environment, sandbox, base, "x", patch, history.work)
    assert made.arm is not None, made.reason
    folder = history.work / made.arm.checkout
    assert (os.readlink(folder / LINKS / "tinylib"), os.readlink(folder / "lib")) == ("../lib", str(outside))
    assert list(outside.iterdir()) == []

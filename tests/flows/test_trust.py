"""What a dataset asks for that no sandbox holds is told before anything runs, whatever form it comes in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from configs.models import SandboxConfig
from flows import trust
from storage.exchange.read import instance_from
from storage.store import Store
from storage.tables import Instance
from tasks.code.clones import clone_path
from tests.flows.conftest import command, environment

SCRIPT = """
def setup(seed): ...
def experiment(workload): ...
def check_equivalence(reference, candidate): ...
"""
NOTHING = json.dumps({"install_project": False})


def row(**more: Any) -> Instance:
    record = {
        "instance_id": "a__b-1", "repo": "a/b", "repo_url": "https://example.org/a/b", "base_commit": "1" * 40,
        "patch": "diff", "efficiency_test": SCRIPT, **more,
    }  # fmt: skip
    made = instance_from(record)
    assert isinstance(made, Instance), made
    return made


def asked(dataset: Path, rows: list[Instance], sandbox: SandboxConfig | None = None) -> list[str]:
    return trust.needs_trust(rows, dataset, sandbox or SandboxConfig(), Store(dataset.parent / "store"))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.delenv("ISOBENCH_IMAGE", raising=False)
    monkeypatch.setattr(trust, "not_isolated", lambda sandbox: "")
    return tmp_path / "here" / "dataset.jsonl"


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def test_ordinary_rows_need_none_where_builds_are_isolated(dataset: Path) -> None:
    commands = row(install_commands=["pip install ."], setup_commands=["make"])
    assert asked(dataset, [row(), commands, row(repo_url=str(repository(dataset.parent / "repo")))]) == []
    assert asked(dataset, [row(repo_url=f"file://{repository(Path.cwd() / 'mine')}")]) == []
    docker = SandboxConfig(kind="docker")
    assert asked(dataset, [commands], docker) == []


def test_without_isolation_everything_that_would_run_is_listed(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "not_isolated", lambda sandbox: "no bubblewrap")
    rows = [row(install_commands=[f"do {n}"]) for n in range(50)]
    rows += [row(), row(environment=json.dumps({"packages": ["numpy"]})), row(environment=NOTHING)]
    lines = asked(dataset, rows)
    assert [line.rpartition(": ")[2] for line in lines] == [
        *[f"do {n}" for n in range(50)], "the project builds and installs itself", "uv pip install numpy",
        "its perf tests, and the code that they call",
    ]  # fmt: skip
    assert all("https://example.org/a/b" in line for line in lines)
    text = str(trust.must_be_trusted(dataset, lines))
    assert all(line in text for line in lines)
    assert "--trust" in text


def test_no_character_hides_a_command() -> None:
    text = trust.told("d", ["\x1b[2K\rharmless \u202eevil\u2066 \x9b1A\nnext"])
    assert not any(char in text for char in "\x1b\r\u202e\u2066\x9b")
    assert text.count("\n") == 1


@pytest.mark.parametrize("kind", ["elsewhere", "link", "file", "commondir", "alternates", "dots"])
def test_a_folder_of_the_users_is_not_shown_to_a_build_with_the_network(dataset: Path, kind: str) -> None:
    secret = repository(dataset.parents[1] / "secret")
    place: Path | str = dataset.parent / "repo"
    if kind == "elsewhere":
        place = secret
    elif kind == "dots":
        place = f"{dataset.parent}/../secret"
    elif kind == "link":
        Path(place).symlink_to(secret)
    else:
        repository(Path(place))
        history = Path(place) / ".git"
        if kind == "file":
            shutil.rmtree(history)
            history.write_text(f"gitdir: {secret}/.git\n")
        elif kind == "commondir":
            (history / "commondir").write_text(f"{secret}/.git\n")
        else:
            (history / "objects/info/alternates").write_text(f"{secret}/.git/objects\n")
    [line] = asked(dataset, [row(repo_url=str(place))])
    assert "is shown to a build that has the network" in line
    assert asked(dataset, [row(repo_url=str(place), environment=NOTHING)]) == []


@pytest.mark.parametrize("link", ["objects/pack", "objects/0a", "packed-refs", "refs/heads/main", "HEAD"])
@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_a_link_among_a_histories_files_may_lead_to_another_one(dataset: Path, link: str, form: str) -> None:
    place = repository(dataset.parent / "repo")
    (place / ".git/hooks/pre-commit").unlink(missing_ok=True)
    (place / ".git/hooks/pre-commit").symlink_to("/usr/bin/true")
    assert asked(dataset, [row(repo_url=form.format(place))]) == []
    name = place / ".git" / link
    shutil.rmtree(name, ignore_errors=True)
    name.unlink(missing_ok=True)
    name.symlink_to(repository(dataset.parents[1] / "secret") / ".git" / link)
    [line] = asked(dataset, [row(repo_url=form.format(place))])
    assert "is shown to a build that has the network" in line


@pytest.mark.parametrize("url", ["file://x{}", "file://localhost{}", "FILE://{}", "file://x%2F..{}", "file://x/.{}"])
def test_a_file_url_names_the_folder_that_git_takes_it_for(dataset: Path, url: str) -> None:
    """Git leaves out the host, whatever stands there: the rest is no path below the folder where the user works."""
    secret = repository(dataset.parents[1] / "secret")
    [line] = asked(dataset, [row(repo_url=url.format(secret))])
    assert str(secret) in line


def test_git_goes_on_to_a_folder_with_an_ending(dataset: Path) -> None:
    secret = repository(dataset.parents[1] / "secret")
    (dataset.parent / "repo.git").symlink_to(secret / ".git")
    [line] = asked(dataset, [row(repo_url=f"file://{dataset.parent}/repo")])
    assert "is shown to a build that has the network" in line


def test_what_lies_in_the_home_folder_did_not_come_with_a_dataset_there(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = row(repo_url=str(repository(dataset.parent / "private")))
    assert asked(dataset, [mine]) == []
    monkeypatch.setenv("HOME", str(dataset.parent))
    assert asked(dataset, [mine]) == [], "a job's own folder"
    monkeypatch.setattr(trust, "_account_home", lambda: dataset.parent)
    assert asked(dataset, [mine]) != []
    monkeypatch.chdir(dataset.parent)
    assert asked(dataset, [mine]) != []


def test_without_isolation_a_script_needs_trust_though_nothing_is_built(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "not_isolated", lambda sandbox: "no bubblewrap")
    [line] = asked(dataset, [row(environment=NOTHING)])
    assert (
        line == "without bubblewrap, as you, for https://example.org/a/b: its perf tests, and the code that they call"
    )


def test_what_the_user_cloned_before_is_theirs(dataset: Path) -> None:
    mine = repository(dataset.parents[1] / "mine")
    assert asked(dataset, [row(repo_url=str(mine))]) != []
    clone = Store(dataset.parent / "store").work / clone_path("a/b")
    subprocess.run(["git", "clone", "-q", "--bare", str(mine), str(clone)], check=True)
    assert asked(dataset, [row(repo_url=str(mine))]) == []


@pytest.mark.parametrize("url", ["ssh://git@example.org/me/private", "git@example.org:me/private", "example.org:x/y"])
def test_keys_of_the_user_are_not_offered(dataset: Path, url: str) -> None:
    [line] = asked(dataset, [row(repo_url=url, environment=NOTHING)])
    assert line == f"your SSH keys are offered to {url}"


def test_images_of_this_machine_are_the_users(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker = SandboxConfig(kind="docker")
    private = row(environment=json.dumps({"image": "company/private:latest"}))
    [line] = asked(dataset, [private], docker)
    assert "company/private:latest" in line
    assert asked(dataset, [row(environment=json.dumps({"image": "python:3.9-slim"}))], docker) == []
    monkeypatch.setenv("ISOBENCH_IMAGE", "chosen-by-the-user")
    assert asked(dataset, [private], docker) == []


def test_a_command_refuses_before_anything_runs(tmp_path: Path) -> None:
    """On a machine without bubblewrap."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "")
    record = {
        "instance_id": "a__b-1", "repo": "a/b", "repo_url": str(tmp_path / "nowhere"), "base_commit": "1" * 40,
        "patch": "diff", "efficiency_test": SCRIPT, "install_commands": [f"touch {tmp_path}/ran"],
    }  # fmt: skip
    (tmp_path / "d.jsonl").write_text(json.dumps(record) + "\n")
    (tmp_path / "p.jsonl").write_text(json.dumps({"instance_id": "a__b-1", "model_patch": "x", "model": "m"}) + "\n")
    argv = command("evaluate", "--dataset", "d.jsonl", "--predictions", "p.jsonl", "--store", "store")
    root = Path(__file__).parents[2]
    variables = environment() | {"PATH": str(programs), "PYTHONPATH": str(root)}
    done = subprocess.run(argv, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 2, done.stderr
    assert f"touch {tmp_path}/ran" in done.stderr
    assert "--trust" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "store").exists()

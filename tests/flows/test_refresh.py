"""A refresh of a folder: one bad file stops nothing, what changed is a version, what left is withdrawn.

The builds' stages are stood in for by rows that they would leave: the real ones are tried in `test_demo.py` and
`test_resume.py`. The flow's function is called as it is, without a Prefect server; the store is real.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from prefect.logging import disable_run_logger

import flows.refresh
from configs.errors import UserError
from configs.models import Config
from flows.commands.refresh import run_plan
from flows.engine.ending import summary_in
from flows.stages.of_dataset import default_run_id
from flows.summaries import DatasetSummary, RefreshSummary
from storage.exchange.hub import PublishError
from storage.marks import own_cache_folder
from storage.store import Store
from storage.tables import DatasetVersion, Funnel, Withdrawal
from tests.tasks.test_withdrawing import commit, instance, said

Night = dict[str, list[int]]
"""Repository -> the numbers of the commits that hold this night."""


def refresh(folder: Path) -> RefreshSummary:
    with disable_run_logger():
        return summary_in(flows.refresh.refresh.fn(str(folder)))


@pytest.fixture(autouse=True)
def artifacts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Changelogs that Prefect's page would show."""
    shown: list[str] = []
    monkeypatch.setattr(flows.refresh, "create_markdown_artifact", lambda text, **_: shown.append(text))
    return shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "nightly"
    folder.mkdir()
    for name in ("a/b", "c/d"):
        text = f"repository: {{name: {name}}}\nsandbox: {{trust: true}}\nstore: {tmp_path / 'store'}\n"
        (folder / f"{name.replace('/', '-')}.yaml").write_text(text)
    return folder


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> Callable[[Night], None]:
    """Says what builds find this night; a repository that is not named fails as a whole."""
    tonight: Night = {}

    def build(config: Config) -> DatasetSummary:
        repo, store, run = config.repository.name, Store(config.store), default_run_id(config)
        if repo not in tonight:
            raise UserError(f"{repo} cannot be cloned")
        for number in (1, 2, 3):
            holds = number in tonight[repo]
            outcome = ("kept", "1.5x") if holds else ("dropped", "too_slow: 1.01x")
            rows = [commit(number, repo=repo), said("mining", number, run=run, repo=repo)]
            store.append([*rows, said("instances", number, *outcome, run=run, repo=repo)])
            if holds:
                store.append([instance(number, repo)])
        found = [instance(number, repo).instance_id for number in tonight[repo]]
        return DatasetSummary(
            run_id=run, store=store.root, executed=1, cached=0, repo=repo, head_sha="h", considered=3, candidates=3,
            perf_tests=3, instances=found,
        )  # fmt: skip

    def set_night(found: Night) -> None:
        tonight.clear()
        tonight.update(found)

    monkeypatch.setattr(flows.refresh, "build_dataset", build)
    return set_night


def test_five_nights(folder, night, tmp_path, capsys, artifacts):
    store = Store(tmp_path / "store")
    night({"a/b": [1, 2], "c/d": [3]})
    first = refresh(folder)
    assert (first.exit_code, [row.number for row in first.versions], len(first.builds)) == (0, [1], 2)
    assert {len(store.parts(path)) for path in store.folders(Funnel)} == {1}  # compacted

    again = refresh(folder)
    assert (again.exit_code, again.versions, again.withdrawn) == (0, [], [])

    # one repository cannot be had, one file is broken: nothing of them is withdrawn, and what is new comes all the same
    (folder / "broken.yaml").write_text("repository: {nam: x}\n")
    night({"a/b": [1, 3]})
    third = refresh(folder)
    assert third.exit_code == 1
    assert set(third.failures) == {"broken.yaml", "c-d.yaml"}
    assert "nam" in third.failures["broken.yaml"]
    assert "cannot be cloned" in third.failures["c-d.yaml"]
    (version,) = third.versions
    assert (version.number, version.added, version.withdrawn) == (2, ["a__b-3"], ["a__b-2"])

    # a file is taken away while another is broken: it may be the one that names the repository
    (folder / "c-d.yaml").unlink()
    assert refresh(folder).withdrawn == []
    (folder / "broken.yaml").unlink()
    assert run_plan(folder, None, []) == 0
    assert capsys.readouterr().out.splitlines() == [
        "withdrawn: c__d-3: no configuration names c/d",
        "1 would be withdrawn; nothing was built and nothing changed",
    ]
    assert store.rows(Withdrawal, instance_id="c__d-3") == []
    night({"a/b": [1, 2, 3]})
    fifth = refresh(folder)
    assert {row.instance_id: row.withdrawn for row in fifth.withdrawn} == {"a__b-2": False, "c__d-3": True}
    assert [row.number for row in store.rows(DatasetVersion)] == [1, 2, 3]
    assert [text.splitlines()[0].split(" (")[0] for text in artifacts] == [f"## Version {n}" for n in (1, 2, 3)]


def test_a_version_is_published_once_and_again_only_after_a_failure(folder, night, tmp_path, monkeypatch):
    told: list[int] = []
    offline = [True]

    def publish(store, section, token, version):
        told.append(version.number)
        if offline[0]:
            raise PublishError("HF_TOKEN is not set")
        return f"https://hub.example/{section.hub_dataset}"

    monkeypatch.setattr(flows.refresh, "publish", publish)
    for file in folder.iterdir():
        file.write_text(f"{file.read_text()}publishing: {{hub_dataset: me/fast}}\n")
    night({"a/b": [1], "c/d": []})
    first = refresh(folder)
    assert first.failures == {"publishing version 1": "HF_TOKEN is not set"}
    assert len(first.versions) == 1
    offline[0] = False
    second = refresh(folder)
    assert (second.exit_code, second.versions, second.published) == (0, [], ["https://hub.example/me/fast"])
    assert refresh(folder).published == []
    assert told == [1, 1]
    assert [row.published for row in Store(tmp_path / "store").rows(DatasetVersion)] == ["https://hub.example/me/fast"]


def test_mistakes_are_said(folder, night, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no \.yaml files in .*empty"):
        refresh(tmp_path / "empty")
    place = own_cache_folder(tmp_path / "store", "refresh")
    place.parent.mkdir(parents=True)
    with FileLock(f"{place}.lock"), pytest.raises(UserError, match=r"another refresh of .* is under way"):
        refresh(folder)

"""Clones that lack something: partial, shallow, with submodules and Git LFS."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tasks.mining.git.clone import sync_repository

FAST = "def total(xs):\n    return sum(xs)\n"


@pytest.fixture
def partial(mining, repository, tmp_path):
    """Mining from a local blobless clone of the repository."""
    for number in range(5):
        repository.commit(f"Faster {number}", {"sums.py": FAST.replace("xs)\n", f"xs, {number})\n", 2)})
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
    path = tmp_path / "partial.git"
    repository.git("clone", "-q", "--bare", "--filter=blob:none", f"file://{repository.path}", str(path))
    mining.config = mining.config.model_copy(update={"url": str(path)})
    return mining


def packs(mining) -> int:
    return len(list((mining.store.work / "clones").glob("*.git/objects/pack/*.pack")))


def test_a_partial_clone_gets_all_it_lacks_at_once(partial):
    assert sync_repository(partial.config, partial.store).partial
    before = packs(partial)
    mined = partial.mine()
    assert (mined.considered, len(mined.kept)) == (6, 5)
    assert packs(partial) == before + 1
    assert partial.mine().new == 0


def test_where_the_promised_objects_cannot_be_had(partial, repository, tmp_path):
    away = tmp_path / "away"
    shutil.move(repository.path, away)
    assert partial.mine().kept == []
    reasons = partial.reasons()
    assert all(reasons[f"Faster {number}"].startswith("missing_object: ") for number in range(5))
    shutil.move(away, repository.path)
    assert len(partial.mine().kept) == 5  # asked for again


def test_a_shallow_source_that_is_deepened(mining, repository, tmp_path):
    shas = [repository.commit(f"Faster {n}", {"sums.py": FAST.replace("(xs)\n", f"(xs, {n})\n")}) for n in range(3)]
    path = tmp_path / "shallow.git"
    repository.git("clone", "-q", "--depth", "2", "--bare", f"file://{repository.path}", str(path))
    mining.config = mining.config.model_copy(update={"url": f"file://{path}"})
    assert sync_repository(mining.config, mining.store).shallow
    assert mining.mine().kept == [shas[2]]
    assert mining.reasons()["Faster 1"].startswith("shallow_boundary")
    subprocess.run(["git", "-C", path, "fetch", "-q", "--unshallow"], check=True)
    assert not sync_repository(mining.config, mining.store).shallow
    assert set(mining.mine().kept) == set(shas)


def test_submodules_and_lfs_are_recorded(mining, repository):
    repository.commit(
        "Add",
        {
            ".gitmodules": '[submodule "lib"]\n\tpath = vendor/lib\n\turl = https://example.org/lib.git\n',
            ".gitattributes": "# files\n*.bin filter=lfs diff=lfs merge=lfs -text\n*.py text\n",
        },
    )
    clone = sync_repository(mining.config, mining.store)
    assert (clone.submodules, clone.lfs) == (["vendor/lib"], ["*.bin"])
    assert (clone.shallow, clone.partial) == (False, False)

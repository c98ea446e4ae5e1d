"""Every meter sees whatever a command does with its children, or says that it may not have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tasks.sandbox.docker import meter as meter_module
from tasks.sandbox.docker.meter import EngineMeter, container_meter
from tasks.sandbox.docker.sandbox import DockerSandbox
from tasks.sandbox.local import cgroups
from tasks.sandbox.metering.groups import GroupMeter
from tasks.sandbox.metering.hierarchies import UNIFIED, Mounted, group_of, mounted
from tasks.sandbox.metering.machine import MachineMeter
from tasks.sandbox.metering.models import ENOUGH, WHOLE, NoMeter
from tasks.sandbox.metering.worker import Whole, WorkerGroup
from tasks.sandbox.models import Limits, Process
from tests.tasks.sandbox.conftest import DOCKER
from tests.tasks.sandbox.kinds import make_kind
from tests.tasks.sandbox.workings import BURN_NS, CHILD, SEEN_NS, WAYS

ROOT = Path(__file__).parents[3]
FORGOTTEN = ("ignored", "no_zombies", "forgetful_child")
"""Ways that leave nothing in /proc."""
WORKER = """
import json, os, sys
from pathlib import Path
group = Path(sys.argv[1])
(group / "cgroup.procs").write_text(str(os.getpid()))
from tasks.sandbox.local import cgroups, sandbox
from tasks.sandbox.metering.worker import WorkerGroup
from tasks.sandbox.models import Command
from tests.tasks.sandbox.workings import CHILD, WAYS
sandbox.cgroups.find_metering = sandbox.cgroups.find_places = lambda: None
worker = WorkerGroup.find(group)
used = {"name": worker.name}
with sandbox.LocalSandbox() as opened:
    command = Command(argv=(sys.base_prefix + "/bin/python3", "-c", CHILD))
    process, idle = opened.start(command), opened.start(command)
    process.stdout.readline(), idle.stdout.readline()
    for way in WAYS:
        before, seen = worker.read([process, idle]), process.cpu_ns()
        process.stdin.write(way.encode() + b"\\n")
        assert process.stdout.readline() == b"done\\n", process.stderr_tail()
        more = process.cpu_ns() - seen
        used[way] = more + worker.unaccounted_ns(before, worker.read([process, idle]))
        used[way + " alone"] = more
    before = worker.read([process, idle])
    idle.close(0)
    used["an arm ended"] = worker.unaccounted_ns(before, worker.read([process]))
print(json.dumps(used))
"""


@dataclass
class Metered:
    """A command under a meter, and what it does when told."""

    name: str
    process: Process

    def do(self, way: str) -> int:
        """CPU time that its meter saw."""
        before = self.process.cpu_ns()
        self.process.stdin.write(way.encode() + b"\n")
        assert self.process.stdout.readline() == b"done\n", self.process.stderr_tail()
        after = self.process.cpu_ns()
        assert before is not None
        assert after is not None
        return after - before


def _unified() -> Path | None:
    place = group_of("self", UNIFIED)
    return place if place is not None and cgroups._counts(place) else None


@pytest.fixture(scope="module", params=["cpuacct", "cpu.stat", DOCKER, "plain", "processes"])
def metered(request: pytest.FixtureRequest) -> Iterator[Metered]:
    """One process for each kind of meter that this machine can have."""
    name = request.param
    place = {"cpu.stat": _unified, "processes": lambda: None}.get(name, cgroups.find_metering)()
    if name in ("cpuacct", "cpu.stat", "plain") and place is None:
        pytest.skip("no control group can be made here")
    if name == "cpuacct" and place is not None and GroupMeter(place).name != "cpuacct":
        pytest.skip("this machine has control groups of version 2 only")
    kind = make_kind(name if name in ("docker", "plain") else "bubblewrap", request)
    with kind.sandbox as sandbox:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cgroups, "find_metering", lambda: place)
            process = sandbox.start(kind.command(CHILD))
        assert process.stdout.readline() == b"ready\n", process.stderr_tail()
        yield Metered(name, process)
        process.close(0)
        assert process.cpu_ns() is None


@pytest.mark.parametrize("way", WAYS)
def test_work_is_seen_wherever_it_is_done(metered: Metered, way: str) -> None:
    meter = metered.process.meter
    assert (meter.name in WHOLE) is (metered.name != "processes")
    used = metered.do(way)
    if metered.name == "processes" and way in FORGOTTEN:
        assert used < SEEN_NS  # so that this kind of meter is never enough
        assert meter.name not in ENOUGH
    elif metered.name == "plain" and way == "leaves_group":
        assert used >= SEEN_NS or not meter.complete
    else:
        assert SEEN_NS <= used <= 20 * BURN_NS
        assert meter.complete


def test_who_ignores_the_end_of_children_is_seen_while_it_does(request: pytest.FixtureRequest) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cgroups, "find_metering", lambda: None)
        kind = make_kind("plain", request)
        with kind.sandbox as sandbox:
            code = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print(flush=True); input()"
            process = sandbox.start(kind.command(code))
            assert process.meter.complete
            process.stdout.readline()
            assert process.cpu_ns() is not None
            assert not process.meter.complete


def test_what_nobody_accounts_for_is_left_in_the_workers_group() -> None:
    place = cgroups.find_metering()
    if place is None:
        pytest.skip("no control group can be made here, so none can stand for a worker's")
    group = cgroups.Group(None, Limits(), place)
    try:
        command = [sys.executable, "-c", WORKER, str(group.metered)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    finally:
        group.remove()
    assert done.returncode == 0, done.stderr
    used = json.loads(done.stdout)
    assert used.pop("name") == "worker"
    assert used.pop("an arm ended") is None
    assert {way for way in WAYS if not SEEN_NS <= used[way] <= 20 * BURN_NS} == set()
    assert {way for way in WAYS if used[way + " alone"] < SEEN_NS} >= set(FORGOTTEN)


def test_the_rest_is_signed_and_leaves_out_who_is_known() -> None:
    worker = WorkerGroup(MachineMeter())
    before = Whole(1000, arms={1: 100}, others={7: 50, 8: 90})
    rest = partial(worker.unaccounted_ns, before)
    assert rest(Whole(1500, arms={1: 300}, others={7: 150, 8: 90})) == 200
    assert rest(Whole(1500, arms={1: 300, 2: 250}, others={7: 50})) == 50
    assert rest(Whole(1100, arms={1: 210}, others={7: 50, 8: 10})) == -10
    assert rest(Whole(1100, arms={2: 10}, others={})) is None
    assert worker.unaccounted_ns(None, before) is None


def test_a_machine_is_busy_while_it_works(tmp_path: Path) -> None:
    meter = MachineMeter()
    before = meter.read_ns()
    subprocess.run([sys.executable, "-c", CHILD], input=b"waited\nwaited\n", check=True, stdout=subprocess.DEVNULL)
    after = meter.read_ns()
    assert before is not None
    assert after is not None
    assert after - before >= BURN_NS
    (tmp_path / "stat").write_text("cpu  0 0 0 0 0 0 0 0 0 0\n")
    with pytest.raises(OSError, match="does not tell"):
        MachineMeter(tmp_path / "stat")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("cpuacct.usage", lambda folder: (folder / "cpuacct.usage").write_text("1234567\n")),
        ("cpu.stat", lambda folder: (folder / "cpu.stat").write_text("usage_usec 1234\nuser_usec 1\nsystem_usec 2\n")),
    ],
)
def test_both_versions_are_read_in_nanoseconds(text: str, read: Callable[[Path], int], tmp_path: Path) -> None:
    read(tmp_path)
    meter = GroupMeter(tmp_path)
    assert (meter.name, meter.read_ns()) == (("cpuacct", 1234567) if text == "cpuacct.usage" else (text, 1234000))
    (tmp_path / text).write_text("nothing")
    assert meter.read_ns() is None
    with pytest.raises(OSError, match="does not tell"):
        GroupMeter(tmp_path)


def test_a_group_is_found_where_its_hierarchy_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(
        "30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs rw\n"
        "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "32 30 0:28 /docker/ab /sys/fs/cgroup/cpu\\040x rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    )
    found = mounted(tmp_path / "mountinfo")
    assert found == [
        Mounted(Path("/sys/fs/cgroup/unified"), "/", frozenset({UNIFIED})),
        Mounted(Path("/sys/fs/cgroup/cpu x"), "/docker/ab", frozenset({"rw", "cpu", "cpuacct"})),
    ]
    assert mounted(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("/", "/", "."), ("/", "/docker/ab", "docker/ab"), ("/docker/ab", "/docker/ab", "."),
        ("/docker/ab", "/docker/ab/sub", "docker/ab/../../sub"), ("/docker/ab", "/docker/abc", None),
        ("/docker/ab", "/", None), ("/", "/../other", None), ("/..", "/", None),
    ],
)  # fmt: skip
def test_the_folder_of_a_group(root: str, path: str, seen: str | None, tmp_path: Path) -> None:
    from tasks.sandbox.metering.hierarchies import _seen

    (tmp_path / "docker" / "ab").mkdir(parents=True)
    (tmp_path / "sub").mkdir()
    folder = _seen(Mounted(tmp_path, root, frozenset({"cpuacct"})), path)
    assert folder == (None if seen is None else (tmp_path / seen).resolve())


@pytest.mark.docker
def test_an_engine_elsewhere_is_asked_if_it_is_quick(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = make_kind("docker", request)
    assert isinstance(kind.sandbox, DockerSandbox)
    with kind.sandbox as sandbox:
        process = sandbox.start(kind.command(CHILD))
        process.stdout.readline()
        client, name = sandbox._client, process.container
        before = process.cpu_ns()
        told = EngineMeter(client, name).read_ns()
        after = process.cpu_ns()
        assert before is not None
        assert told is not None
        assert after is not None
        assert before <= told <= after
        # The engine's readings take a second or a few milliseconds, which depends on its version.
        monkeypatch.setattr(meter_module, "_slow", set())
        monkeypatch.setattr(meter_module, "SLOWEST_S", 60)
        assert container_meter(client, name, None).name == "engine"
        monkeypatch.setattr(meter_module, "SLOWEST_S", 0)
        assert container_meter(client, name, None).name == "none"
        monkeypatch.setattr(meter_module, "SLOWEST_S", 60)
        assert container_meter(client, name, None).name == "none"  # it is not asked again
        process.close(0)
        assert EngineMeter(client, name).read_ns() is None


def test_without_a_meter_nothing_is_known() -> None:
    assert (NoMeter().read_ns(), NoMeter().complete, NoMeter().name in ENOUGH) == (None, False, False)

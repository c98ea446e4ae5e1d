"""Attempts in bad weather: small agents against the real sandboxes, the real gateway, and models on loopback."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.agents.gateway.models import Budget
from tasks.agents.scripted import Fault, Script, ScriptedModel, Turn
from tasks.sandbox.models import SandboxError
from tests.tasks.agents.lab import QUICK, Lab, asking, gateway_to, make_lab, shell

EDIT = "printf '# faster\\n' >> src/tinylib/core.py"
SECONDS = QUICK.model_copy(update={"minutes": 2 / 60})
TURNS = (
    Turn(run="cat src/tinylib/core.py; python -m pytest -q 2>&1 | tail -1; git log --oneline"),
    Turn(run=EDIT),
    Turn(finish="Done."),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("lab"), "local")


@pytest.fixture(scope="module", params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab in each kind of sandbox."""
    image = request.getfixturevalue("docker_image") if request.param == "docker" else None
    return make_lab(tmp_path_factory.mktemp("lab"), request.param, image)


@contextmanager
def model(*faults: Fault) -> Iterator[str]:
    """A scripted model that edits the file; faults come before its first answer."""
    first = TURNS[0].model_copy(update={"faults": faults})
    with ScriptedModel([Script(turns=(first, *TURNS[1:]))]) as scripted:
        yield scripted.url


def left(lab: Lab) -> list[str]:
    """What is left of attempts: folders, and processes that know of them."""
    folders = [path.name for path in (lab.history.work / "attempts").iterdir()]
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return folders + [line for line in running.splitlines() if str(lab.history.work / "attempts") in line]


def test_an_agent_reads_runs_tests_edits_and_hands_in(either: Lab) -> None:
    with model() as url:
        made = either.run(asking(), gateway=gateway_to(url))
    assert (made.status, made.reason) == ("submitted", "")
    assert [note.partition(" (.pytest_cache/")[0] for note in made.notes] == [
        "left out: 4 files that the repository ignores"
    ]
    assert made.usage.requests == 3
    assert "+# faster" in made.patch
    assert either.applied(made.patch)
    printed = either.printed()
    assert "1 passed" in printed
    assert re.search(r"^[0-9a-f]{7,} base$", printed, re.MULTILINE)
    assert left(either) == []


def test_an_agent_that_does_everything_wrong_to_its_files(either: Lab) -> None:
    made = either.run(
        f"{EDIT}; git commit -qam x; git rebase -q --root; rm -rf .git; chmod 000 tests; mkdir -m 0 closed; "
        "chmod +x tools.sh; head -c 50000000 /dev/urandom > noise.bin; ln -s /etc/passwd users; mkfifo pipe; "
        "cp data.bin copy.bin; ln -s tinylib src/alias; echo x > x.log; ln -s /etc/shadow /out/log; mkfifo /out/p",
        QUICK.model_copy(update={"disk_mb": 256}),
    )
    assert made.status == "submitted"
    assert made.files == 4
    assert sorted(note.partition(" (")[0] for note in made.notes) == [
        "its .git was removed, which changes nothing", "left out: 1 files that are too large for a patch",
        "left out: 1 files that the repository ignores", "left out: 1 links that lead out of the repository",
        "left out: 1 pipes, sockets and devices",
    ]  # fmt: skip
    folder = either.applied(made.patch)
    assert (folder / "copy.bin").read_bytes() == bytes(range(256))
    assert (folder / "tools.sh").stat().st_mode & 0o100
    assert os.readlink(folder / "src/alias") == "tinylib"
    assert os.listdir(either.kept[-1] / "out") == []
    assert left(either) == []


def test_nothing_outside_of_its_folders_can_be_written_or_reached(either: Lab) -> None:
    made = either.run(
        "for place in /usr /etc /opt/workspace/bin/python /gateway/x /tools/x /proc/sys/kernel/core_pattern; do "
        "(echo x >> $place || echo x > $place/x) 2>/dev/null && echo wrote $place; done; "
        "python3 -c 'import socket; socket.create_connection((\"1.1.1.1\", 53), 2)' 2>/dev/null && echo reached; "
        "env | grep -i key | grep -v GIT_CONFIG; echo end; exit 0"
    )
    assert either.printed() == "end\n"
    assert (made.status, made.patch) == ("empty_patch", "")


def test_an_agent_that_does_not_start(lab: Lab) -> None:
    made = lab.run(shell("", argv=["no-such-agent", "--now"]))
    assert made.status == "crashed"
    assert made.reason == (
        "it ended with exit code 127: no-such-agent: No such file or directory; it never asked its model anything"
    )


@pytest.mark.parametrize(
    ("script", "status", "reason"),
    [
        ("true", "empty_patch", "nothing was changed; it never asked its model anything"),
        ("echo oops >&2; exit 3", "crashed", "it ended with exit code 3: oops; it never asked its model anything"),
        (f"{EDIT}; exit 3", "submitted", "it ended with exit code 3"),
        (f"{EDIT}; kill -9 $$", "submitted", "it ended with exit code 137"),
        ("cat > /dev/null; echo x > new.log", "empty_patch",
         "nothing was changed; it never asked its model anything; "
         "left out: 1 files that the repository ignores (new.log)"),
    ],
)  # fmt: skip
def test_the_exit_code_alone_decides_nothing(script: str, status: str, reason: str, lab: Lab) -> None:
    made = lab.run(script)
    assert (made.status, made.reason) == (status, reason)


def test_an_agent_that_waits_for_ever_is_ended_and_its_changes_count(lab: Lab) -> None:
    made = lab.run(f"{EDIT}; (trap '' TERM HUP INT; sleep 1000) & sleep 1000", SECONDS)
    assert made.status == "timeout"
    assert made.reason.startswith("still at work after 0.03")
    assert "+# faster" in made.patch
    assert 2 <= made.seconds < 30
    assert left(lab) == []


def test_an_agent_that_waits_for_an_unreachable_model(lab: Lab) -> None:
    made = lab.run(asking("ever"), SECONDS)
    assert made.status == "model_unreachable"
    assert "x unreachable" in made.reason
    assert made.reason.endswith("and no answer at all")
    assert made.usage.requests == 0


@pytest.mark.rotated(3)
@pytest.mark.parametrize(
    ("fault", "patience", "status", "said"),
    [
        (Fault(status=429, times=3), "ever", "submitted", ""),
        (Fault(status=529, times=99), "once", "model_unreachable", "1 x overloaded (529)"),
        (Fault(status=500, times=99), "once", "model_unreachable", "1 x server_error (500)"),
        (Fault(nonsense=True, times=99), "once", "model_unreachable", "1 x nonsense"),
        (Fault(cut=True, times=99), "once", "model_unreachable", "1 x cut"),
        (Fault(status=401, times=99), "once", "refused", "the provider refuses: 1 x rejected (401)"),
    ],
    ids=["429 for a while", "529", "500", "nonsense", "cut", "401"],
)  # fmt: skip
def test_a_model_that_fails(fault: Fault, patience: str, status: str, said: str, lab: Lab) -> None:
    with model(fault) as url:
        made = lab.run(asking(patience), gateway=gateway_to(url))
    assert made.status == status, made.reason
    assert made.reason.startswith(said)
    assert bool(made.patch) == (status == "submitted")


def test_a_budget_that_is_spent_ends_an_attempt_and_keeps_its_changes(lab: Lab) -> None:
    with model() as url:
        made = lab.run(asking(), gateway=gateway_to(url, Budget(requests=2)))
    assert (made.status, made.reason) == ("budget", "2 of 2 requests are used")
    assert "+# faster" in made.patch


def test_an_agent_that_does_not_hear_that_its_budget_is_spent(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.agents.running.GRACE_S", 0.5)
    with model() as url:
        made = lab.run(asking("ever"), gateway=gateway_to(url, Budget(requests=1)))
    assert made.status == "budget"
    assert made.seconds < 40


def test_an_agent_that_denied_its_own_edit_and_says_success(lab: Lab) -> None:
    event = {
        "type": "result", "subtype": "success", "is_error": False, "num_turns": 2, "result": "All done!",
        "permission_denials": [{"tool_name": "Edit", "tool_use_id": "1", "tool_input": {}}],
    }  # fmt: skip
    made = lab.run(shell(f"echo {shlex.quote(json.dumps(event))}", reader="claude_code"))
    assert (made.status, made.exit_code) == ("refused", 0)
    assert made.reason == "the agent itself denied a tool call, and nothing was changed"


def test_attempts_side_by_side_do_not_meet(lab: Lab, tmp_path: Path) -> None:
    other = replace(lab, kept=[tmp_path] * 100)
    script = "echo '{}' >> src/tinylib/core.py; sleep 0.5; ls /workspace/*.py; touch /workspace/mine.py /tmp/mine"
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda it: it[0].run(script.format(it[1])), [(lab, "# one"), (other, "# two")])
    assert [(made.status, made.files) for made in (one, two)] == [("submitted", 2)] * 2
    assert "+# one" in one.patch
    assert "+# two" in two.patch
    assert not lab.printed()
    assert left(lab) == []


def test_a_flood_of_output_is_kept_from_both_ends(lab: Lab) -> None:
    made = lab.run(f"echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last; {EDIT}")
    assert made.status == "submitted"
    printed = lab.printed()
    assert len(printed) < 1_100_000
    assert printed.startswith("first\nxxx")
    assert printed.endswith("xxx\nlast\n")
    assert made.notes == ["28951436 bytes that it printed are not kept"]


def test_an_agent_that_fills_the_disk(lab: Lab) -> None:
    made = lab.run(f"{EDIT}; i=0; while :; do i=$((i+1)); head -c 20000000 /dev/zero > /out/$i; sleep 0.1; done")
    assert made.status == "crashed"
    assert "its files took more of the disk than they may" in made.reason
    assert "+# faster" in made.patch
    assert left(lab) == []


def test_an_agent_that_forks_without_end(lab: Lab) -> None:
    made = lab.run("i=0; while [ $i -lt 400 ]; do i=$((i+1)); (sleep 60 & echo one) || break; done", SECONDS)
    assert lab.printed().count("one") <= QUICK.pids + 3
    assert made.status in ("crashed", "empty_patch")  # ended, or denied further ones
    assert left(lab) == []


def test_processes_that_it_leaves_end_with_it(lab: Lab) -> None:
    made = lab.run(f"setsid sh -c 'while :; do echo x >> src/tinylib/late.py; done' & sleep 0.3; {EDIT}")
    assert made.status == "submitted"
    assert made.seconds < 20
    assert left(lab) == []


DRIVER = """
import sys
from pathlib import Path
from tests.tasks.agents.lab import make_lab
lab = make_lab(Path(sys.argv[1]), sys.argv[2])
print(lab.history.work, flush=True)
print(lab.run("touch /out/started; sleep 500").status, flush=True)
"""


@pytest.mark.rotated(1)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_attempt_ends_with_its_driver(how: signal.Signals, lab: Lab, tmp_path: Path) -> None:
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), "local"], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    work = Path(driver.stdout.readline().strip())
    waited = time.monotonic() + 60
    while not list(work.glob("attempts/*/inside/out/started")) and time.monotonic() < waited:
        time.sleep(0.05)
    driver.send_signal(how)
    said, _ = driver.communicate(timeout=60)
    assert said == ""  # no result: nothing was found out
    there = list((work / "attempts").iterdir())
    assert bool(there) == (how == signal.SIGKILL)
    while any(str(path) in line for path in there for line in running()):
        assert time.monotonic() < waited
        time.sleep(0.05)
    if there:  # the next one cleans up
        lab.history.work, kept = work, lab.history.work
        lab.run("true")
        lab.history.work = kept
        assert list((work / "attempts").iterdir()) == []


def running() -> list[str]:
    """Command lines of this machine."""
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_cannot_be_set_up_has_a_reason(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    telling = lab.instance.model_copy(update={"problem_statement": "`unique` is slow. Use `already_met = set()`."})
    kept, lab.instance = lab.instance, telling
    made = lab.run("true")
    assert made.status == "setup_failed"
    assert "is not shown to an agent: it gives away" in made.reason
    lab.instance = kept
    monkeypatch.setattr("tasks.sandbox.local.bubblewrap.find_bubblewrap", lambda: None)
    with pytest.warns(RuntimeWarning, match="NOT isolated"):
        made = lab.run("true")
    assert made.status == "setup_failed"
    assert made.reason.startswith("agents run only where they are confined: install bubblewrap")
    monkeypatch.undo()

    def broken(*_: object) -> object:
        raise SandboxError("no engine answers")

    monkeypatch.setattr("tasks.agents.attempt.open_sandbox", broken)
    made = lab.run("true")
    assert (made.status, made.reason) == ("setup_failed", "the sandbox failed: no engine answers")

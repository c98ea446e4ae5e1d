"""Nothing is left behind, however the driver ends: Ctrl-C, SIGTERM, SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tasks.sandbox.local.bubblewrap import find_bubblewrap
from tasks.sandbox.local.cgroups import find_places
from tasks.sandbox.ownership import OWNER, owner_is_alive, owner_of

ROOT = Path(__file__).parents[3]
DRIVER = """
import sys, threading, time
from configs.models import SandboxConfig
from tasks.sandbox import Command, open_sandbox
kind, python, mark, image = sys.argv[1:]
sleep = Command(argv=(python, "-c", f"import os, time; os.fork(); time.sleep(600)  # {mark}"), image=image or None)
with open_sandbox(SandboxConfig(kind=kind)) as sandbox:
    threading.Thread(target=sandbox.run, args=(sleep,), daemon=True).start()
    sandbox.start(sleep)
    print("started", flush=True)
    time.sleep(600)
"""


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            mark in part for part in process.info["cmdline"] or ()
        ):
            found.append(process)
    return found


def _wait_for(condition: object, timeout_s: float = 30) -> bool:
    end = time.monotonic() + timeout_s
    while not (true := condition()) and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.05)
    return bool(true)


def _end_driver(kind: str, python: str, image: str, how: signal.Signals) -> tuple[int, str]:
    mark = f"mark-{os.urandom(6).hex()}"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, kind, python, mark, image],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == b"started\n", driver.communicate()[1].decode()
    owner = owner_of(driver.pid)

    def inside() -> list[psutil.Process]:
        return [process for process in _marked(mark) if process.pid != driver.pid]

    # Both commands run, each with a child.
    assert _wait_for(lambda: sum(process.name().startswith("python") for process in inside()) >= 4), inside()
    driver.send_signal(how)
    driver.communicate(timeout=60)
    assert _wait_for(lambda: not inside()), inside()
    return driver.returncode, owner


ENDINGS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


@pytest.mark.parametrize("how", ENDINGS, ids=lambda how: how.name)
def test_local_processes_end_with_the_driver(how: signal.Signals) -> None:
    if find_bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    code, owner = _end_driver("local", f"{sys.base_prefix}/bin/python3", "", how)
    assert code != 0
    assert not owner_is_alive(owner)
    places = find_places()
    if places is not None and how is signal.SIGINT:
        assert list(places.memory.glob(f"isobench-{owner}-*")) == []


INTERRUPTED = """
import atexit, sys, threading
from pathlib import Path
said, threads = [], []
def tell():
    for thread in threads:
        thread.join(60)
    print(sorted(said), flush=True)
atexit.register(tell)  # runs after what is registered later
from tasks.environments.builds.runners import LocalRunner, Place
from tasks.sandbox import Command, SandboxError
from tasks.sandbox.local.sandbox import LocalSandbox
started = Path(sys.argv[1])
place = Place(started, *(started / name for name in ("environment", "tools", "cache", "clone")))
def sleep(name, folder=started):
    return ("/bin/sh", "-c", f"touch {folder}/{name}; sleep 600")
def noted(name, ask):
    try:
        said.append((name, f"result {ask()}"))
    except SandboxError as error:
        said.append((name, str(error)))
plain = LocalSandbox(use_bubblewrap=False)
asked = {
    "run": lambda: plain.run(Command(argv=sleep("run"))),
    "step": lambda: LocalRunner(place, sys.executable).run(sleep("step", "/isobench-build"), timeout_s=500),
}
for item in asked.items():
    threads.append(threading.Thread(target=noted, args=item, daemon=True))
    threads[-1].start()
import time
while not all((started / name).exists() for name in asked):
    time.sleep(0.02)
"""


def test_what_ends_with_the_driver_is_no_result(tmp_path: Path) -> None:
    """After Ctrl-C, gates and builds that still ran must not be recorded as failed."""
    driver = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    done = subprocess.run(driver, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.count("ended with this process") == 2, done.stdout + done.stderr


def test_a_kill_in_the_midst_of_starting_leaves_nothing() -> None:
    if find_bubblewrap() is None or find_places() is None:
        pytest.skip("needs bubblewrap (`apt install bubblewrap`) and control groups that this user may write")
    mark = f"mark-{os.urandom(6).hex()}"
    code = (
        "from tasks.sandbox.local.sandbox import LocalSandbox; from tasks.sandbox import Command\n"
        f"box, found = LocalSandbox(), []; print('started', flush=True)\n"
        f"while True: found.append(box.start(Command(argv=('/bin/sh', '-c', 'sleep 600 # {mark}'))))"
    )
    for _ in range(3):
        driver = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
        assert driver.stdout is not None
        driver.stdout.readline()
        assert _wait_for(lambda driver=driver: len([p for p in _marked(mark) if p.pid != driver.pid]) > 4)
        driver.kill()
        driver.communicate()
        assert _wait_for(lambda: not _marked(mark), 10), _marked(mark)


@pytest.mark.docker
@pytest.mark.parametrize("how", ENDINGS, ids=lambda how: how.name)
def test_containers_end_with_the_driver(how: signal.Signals, docker_image: str) -> None:
    from tasks.sandbox.docker.engine import OWNER_LABEL, connect

    code, owner = _end_driver("docker", "python3", docker_image, how)
    assert code != 0
    client = connect()
    label = f"{OWNER_LABEL}={owner}"
    assert _wait_for(lambda: not client.api.containers(all=True, filters={"label": [label]}))
    client.close()


@pytest.mark.docker
def test_next_sandbox_sweeps_what_a_dead_process_left(docker_image: str) -> None:
    from tasks.sandbox.docker.engine import HOST_LABEL, OWNER_LABEL, connect, host
    from tasks.sandbox.docker.sandbox import DockerSandbox

    client = connect()
    ended = subprocess.Popen(["sleep", "600"])
    owner = owner_of(ended.pid)
    ended.kill()
    ended.wait()
    left = {
        name: client.api.create_container(
            docker_image, ["sleep", "600"], labels={OWNER_LABEL: owner_name, HOST_LABEL: host_name}
        )["Id"]
        for name, owner_name, host_name in (
            ("dead", owner, host()), ("living", OWNER, host()), ("elsewhere", owner, "another-machine")
        )
    }  # fmt: skip
    try:
        DockerSandbox().close()
        remaining = {container["Id"] for container in client.api.containers(all=True)}
        assert {name for name, container in left.items() if container in remaining} == {"living", "elsewhere"}
    finally:
        for container in left.values():
            if container in {found["Id"] for found in client.api.containers(all=True)}:
                client.api.remove_container(container, force=True)
        client.close()


def test_folders_of_killed_processes_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    code = "import os; from tasks.sandbox.ownership import private_folder as f; print(f(), flush=True); os.kill(0, 9)"
    folders = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, start_new_session=True
        )
        folders.append(Path(done.stdout.strip()))
    assert [folder.exists() for folder in folders] == [False, True]


def test_owner_names() -> None:
    assert owner_is_alive(OWNER)
    assert not owner_is_alive(f"{os.getpid()}.1")
    assert not owner_is_alive("")
    assert not owner_is_alive("nonsense")

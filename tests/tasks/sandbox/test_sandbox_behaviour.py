"""What every sandbox promises, held against bubblewrap and Docker alike; some of it against the plain process too."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tasks.sandbox.local.sandbox import LocalSandbox
from tasks.sandbox.models import Command, Mount, SandboxError
from tests.tasks.sandbox.kinds import Kind


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "thing.py").write_text("VALUE = 'from the arm'\n")
    (folder / "thing.py").chmod(0o644)
    folder.chmod(0o755)
    return folder


def test_exit_code_and_both_streams(kind: Kind) -> None:
    done = kind.run("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert (done.timed_out, done.out_of_memory, done.truncated) == (False, False, False)


def test_death_by_signal_is_told_as_shells_do(kind: Kind) -> None:
    done = kind.run("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    assert done.returncode == 128 + 15


def test_ten_megabytes_both_ways(kind: Kind) -> None:
    data = os.urandom(1024) * 10_240
    done = kind.run("import sys, shutil; shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)", stdin=data)
    assert done.returncode == 0
    assert done.stdout == data


def test_talk_over_pipes(kind: Kind) -> None:
    echo = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"
    process = kind.sandbox.start(kind.command(echo))
    assert process.poll() is None
    for word in (b"one", b"two"):
        process.stdin.write(word + b"\n")
        assert process.stdout.read(100) == word.upper() + b"\n"
    done = process.close(timeout_s=20)
    assert done.returncode == 0
    assert process.poll() == 0
    assert process.close() is done


def test_stderr_flood_blocks_nothing_and_its_tail_is_kept(kind: Kind) -> None:
    flood = (
        "import sys\nfor _ in range(400): sys.stderr.write('x' * 10_000)\nprint('LAST', file=sys.stderr)\nprint('done')"
    )
    process = kind.sandbox.start(
        kind.command(flood + "\nsys.stdout.flush()\nsys.stdin.read()", limits={"output_mb": 1})
    )
    assert process.stdout.read(100) == b"done\n"
    _until(lambda: process.stderr_tail().endswith(b"LAST\n"))
    assert len(process.stderr_tail()) <= 64 * 1024
    done = process.close(timeout_s=20)
    assert done.truncated
    assert len(done.stderr) == 1024 * 1024


def test_a_flood_that_nobody_reads_can_be_closed(kind: Kind) -> None:
    flood = "import os, sys\nos.write(2, b'flooding')\nwhile True: os.write(1, b'x' * 65536)"
    process = kind.sandbox.start(kind.command(flood))
    while b"flooding" not in process.stderr_tail():
        time.sleep(0.05)
    time.sleep(1)  # until every buffer on the way is full
    done = process.close(timeout_s=0.2)
    assert done.returncode is None  # an engine that cannot get rid of output would have answered nothing


def test_stdout_beyond_the_cap_is_dropped(kind: Kind) -> None:
    done = kind.run("import sys\nfor _ in range(300): sys.stdout.write('y' * 10_000)", limits={"output_mb": 1})
    assert done.returncode == 0
    assert done.truncated
    assert done.stdout == b"y" * 1024 * 1024


SLEEPERS = """
import os, subprocess, sys, time
for _ in range(2):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # %s"])
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)  # %s"], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""


def _alive(mark: str) -> list[int]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            mark in part for part in process.info["cmdline"] or ()
        ):
            found.append(process.info["pid"])
    return [pid for pid in found if pid != os.getpid()]


def _until(condition: object, timeout_s: float = 20) -> None:
    end = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)


def test_timeout_kills_the_whole_tree(isolated: Kind) -> None:
    mark = f"mark-{os.urandom(6).hex()}"
    done = isolated.run(SLEEPERS % (mark, mark), limits={"timeout_s": 1.5})
    assert done.timed_out
    assert done.returncode is None
    assert done.stdout == b"ready\n"
    assert _alive(mark) == []


def test_close_kills_the_whole_tree(isolated: Kind) -> None:
    mark = f"mark-{os.urandom(6).hex()}"
    process = isolated.sandbox.start(isolated.command(SLEEPERS % (mark, mark)))
    assert process.stdout.read(100) == b"ready\n"
    assert len(_alive(mark)) >= 4
    done = process.close(timeout_s=0)
    assert done.returncode is None
    assert not done.timed_out
    assert _alive(mark) == []


def test_what_is_left_running_dies_with_the_command(isolated: Kind) -> None:
    mark = f"mark-{os.urandom(6).hex()}"
    left = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)  # {mark}'])"
    done = isolated.run(left + "; print('parent ends')")
    assert done.returncode == 0
    assert done.stdout == b"parent ends\n"
    assert _alive(mark) == []


def test_plain_process_ends_its_group(tmp_path: Path) -> None:
    with LocalSandbox(use_bubblewrap=False) as sandbox:
        process = sandbox.start(Command(argv=("/bin/sh", "-c", "sleep 600 & echo $!; wait")))
        child = int(process.stdout.read(100))
        assert psutil.pid_exists(child)
        process.close(timeout_s=0)
        _until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_memory_limit_is_told(kind: Kind) -> None:
    done = kind.run("held = [bytearray(1 << 20) for _ in range(600)]", limits={"memory_mb": 128})
    assert done.out_of_memory
    assert done.returncode not in (0, None)


def test_memory_below_the_limit_is_fine(kind: Kind) -> None:
    done = kind.run("held = bytearray(100 << 20); print(len(held) >> 20)", limits={"memory_mb": 256})
    assert (done.stdout, done.out_of_memory) == (b"100\n", False)


def test_process_limit(isolated: Kind) -> None:
    code = """
import os, time
started = 0
for _ in range(50):
    try:
        if os.fork() == 0:
            time.sleep(2); os._exit(0)
        started += 1
    except OSError:
        break
print(started)
"""
    done = isolated.run(code, limits={"pids": 20})
    assert 0 < int(done.stdout) <= 20, done


def test_no_network(isolated: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = """
import socket, sys
for attempt in (
    lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=3),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=3),
):
    try:
        attempt(); print("connected")
    except OSError as error:
        print("refused")
"""
        done = isolated.run(code, str(server.getsockname()[1]))
    assert done.stdout.split() == [b"refused"] * 3, done.stderr


def test_network_on_request_reaches_the_host(isolated: Kind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5); print('ok')"
        done = isolated.run(code, str(server.getsockname()[1]), network=True)
    assert done.stdout == b"ok\n", done.stderr


def test_mounts_are_read_only(isolated: Kind, arm: Path) -> None:
    code = """
import sys
sys.path.insert(0, "/arm")
import thing
print(thing.VALUE)
for path in ("/arm/thing.py", "/arm/new", "/new", "/usr/new", "/etc/new", "/dev/new"):
    try:
        open(path, "w").write("changed"); print("written", path)
    except OSError:
        pass
"""
    done = isolated.run(code, mounts=(Mount(source=arm, target="/arm"),))
    assert done.stdout == b"from the arm\n", done.stderr
    assert (arm / "thing.py").read_text() == "VALUE = 'from the arm'\n"
    assert [path.name for path in arm.iterdir()] == ["thing.py"]


def test_work_and_tmp_are_private_and_of_limited_size(isolated: Kind) -> None:
    code = """
import os
print(os.getcwd(), sorted(os.listdir("/tmp")), sorted(os.listdir("/work")))
for folder in ("/tmp", "/work", "/dev/shm"):
    open(folder + "/small", "w").write("kept")
    try:
        with open(folder + "/large", "wb") as file:
            for _ in range(40): file.write(bytes(1 << 20))
        print("no limit", folder)
    except OSError as error:
        print(folder, error.errno)
"""
    for _ in range(2):  # the second run finds nothing of the first
        done = isolated.run(code, limits={"tmp_mb": 16})
        lines = done.stdout.decode().splitlines()
        assert lines == ["/work [] []", "/tmp 28", "/work 28", "/dev/shm 28"] or lines == [
            "/work [] []", "/tmp 27", "/work 27", "/dev/shm 27"
        ], done  # fmt: skip


def test_the_host_is_hidden(isolated: Kind, arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOBENCH_TEST_SECRET", "hidden")
    secret = arm.parent / "other_arm"
    secret.mkdir(mode=0o777)
    (secret / "secret").write_text("hidden")
    code = """
import glob, json, os, sys
visible = [path for path in sys.argv[1:] if os.path.exists(path)]
names = sorted(os.environ)
home = [path for path in glob.glob("/root/*") + glob.glob("/root/.*") + glob.glob("/home/*")]
print(json.dumps([visible, names, os.getuid(), home, len(glob.glob("/proc/[0-9]*"))]))
"""
    paths = [str(secret), str(Path(__file__)), "/etc/shadow-", "/var/run/docker.sock", str(Path.home() / ".ssh")]
    done = isolated.run(code, *paths, mounts=(Mount(source=arm, target="/arm"),))
    visible, names, user, home, processes = json.loads(done.stdout)
    assert visible == []
    assert "ISOBENCH_TEST_SECRET" not in names
    assert set(names) <= {"PATH", "HOME", "LANG", "PWD", "HOSTNAME", "LC_CTYPE"} or isolated.name == "docker"
    assert user == 1000
    assert [path for path in home if not sys.base_prefix.startswith(path)] == [] or isolated.name == "docker"
    assert processes <= 3


def test_etc_shadow_is_unreadable(isolated: Kind) -> None:
    done = isolated.run("open('/etc/shadow').read()")
    assert done.returncode == 1
    assert b"Error" in done.stderr


def test_variables_and_directory(kind: Kind) -> None:
    done = kind.run("import os; print(os.environ['A'], os.path.isdir(os.getcwd()))", variables={"A": "b c"})
    assert done.stdout == b"b c True\n"


@pytest.mark.parametrize("core", sorted(os.sched_getaffinity(0))[:2])
def test_pinned_to_cores(kind: Kind, core: int) -> None:
    before = os.sched_getaffinity(0)
    done = kind.run("import os; print(sorted(os.sched_getaffinity(0)))", cpus=(core,))
    assert done.stdout.decode().strip() == f"[{core}]"
    assert os.sched_getaffinity(0) == before


def test_cannot_leave_its_cores(isolated: Kind) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core")
    code = """
import os, sys
try: os.sched_setaffinity(0, {int(sys.argv[1])})
except OSError: pass
print(os.sched_getaffinity(0))
"""
    done = isolated.run(code, str(cores[1]), cpus=(cores[0],))
    assert done.stdout.decode().strip() == f"{{{cores[0]}}}"


def test_a_core_that_is_not_there_is_an_error(kind: Kind) -> None:
    with pytest.raises(SandboxError):
        kind.run("print(1)", cpus=(4000,))


def test_a_missing_mount_is_an_error(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="does not exist"):
        kind.run("print(1)", mounts=(Mount(source=tmp_path / "none", target="/arm"),))


def test_a_program_that_is_not_there_fails(kind: Kind) -> None:
    done = kind.sandbox.run(Command(argv=("/bin/none-such",), image=kind.image))
    assert done.returncode not in (0, None)
    assert b"none-such" in done.stderr


def test_many_at_once(kind: Kind) -> None:
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(kind.run("import sys; print(sys.argv[1])", str(i)).stdout))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [f"{i}\n".encode() for i in range(6)]


def test_outlives_the_thread_that_started_it(kind: Kind) -> None:
    started = []
    code = "import sys; print(sys.stdin.read().upper(), flush=True)"
    thread = threading.Thread(target=lambda: started.append(kind.sandbox.start(kind.command(code))))
    thread.start()
    thread.join()
    time.sleep(0.2)
    process = started[0]
    process.stdin.write(b"still here")
    process.stdin.close()
    assert process.stdout.read(100) == b"STILL HERE\n"
    process.close()


def test_closed_sandbox_starts_nothing(request: pytest.FixtureRequest) -> None:
    sandbox = LocalSandbox()
    process = sandbox.start(Command(argv=("/bin/sleep", "600")))
    sandbox.close()
    sandbox.close()
    assert process.poll() is not None
    with pytest.raises(SandboxError, match="closed"):
        sandbox.start(Command(argv=("/bin/true",)))

"""What real programs need inside a sandbox, and what stays closed to them, in both kinds alike."""

from __future__ import annotations

import json
import os
import platform
import socket

import pytest

from tasks.sandbox.models import FIRST_TO_END, Command
from tasks.sandbox.seccomp import ABSENT, FAMILIES, NAMESPACES, PRETENDED, REFUSED, numbers_of
from tests.tasks.sandbox.kinds import Kind

NUMBERS = numbers_of().get(platform.machine(), {})
needs_numbers = pytest.mark.skipif(not NUMBERS, reason="numbers of system calls are not known on this machine")


def answers(kind: Kind, code: str, *arguments: object) -> object:
    """What a program inside prints as JSON."""
    done = kind.run(code, *map(str, arguments))
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


CALLS = """
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number):
    return 0 if libc.syscall(number, 0, 0, 0, 0, 0, 0) == 0 else errno.errorcode[ctypes.get_errno()]
print(json.dumps({name: call(number) for name, number in json.loads(sys.argv[1]).items()}))
"""


@needs_numbers
def test_each_call_is_answered_as_programs_bear_it(isolated: Kind) -> None:
    chosen = PRETENDED | ABSENT | REFUSED
    known = {name: number for name, number in NUMBERS.items() if name in chosen} | {"newer": 900}
    expected = {
        name: 0 if name in PRETENDED else "EPERM" if name in REFUSED else "ENOSYS" for name in known
    }  # fmt: skip
    assert answers(isolated, CALLS, json.dumps(known)) == expected


PINNING = """
import ctypes, json, os, threading
before = os.sched_getaffinity(0), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
class Parameter(ctypes.Structure):
    _fields_ = [("priority", ctypes.c_int)]
libc = ctypes.CDLL(None)
libc.pthread_self.restype = ctypes.c_void_p
me, policy, parameter = ctypes.c_void_p(libc.pthread_self()), ctypes.c_int(), Parameter()
said = [
    libc.pthread_getschedparam(me, ctypes.byref(policy), ctypes.byref(parameter)),
    libc.pthread_setschedparam(me, policy, ctypes.byref(parameter)),
    libc.pthread_setschedparam(me, os.SCHED_FIFO, ctypes.byref(Parameter(50))),
    os.sched_setaffinity(0, {min(before[0])}), os.sched_setaffinity(0, {4000}),
    os.setpriority(os.PRIO_PROCESS, 0, -5),
]
thread = threading.Thread(target=os.sched_setaffinity, args=(0, {max(before[0])}))
thread.start(), thread.join()
after = os.sched_getaffinity(0), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
print(json.dumps([said, before == after, sorted(after[0])]))
"""


def test_pinning_and_priority_seem_to_work_and_stay_the_drivers(isolated: Kind) -> None:
    """libzmq, OpenMP and MPI end a program whose thread may not do this."""
    said, unchanged, cores = answers(isolated, PINNING)  # type: ignore[misc]
    assert (said, unchanged) == ([0, 0, 0, None, None, None], True)
    assert cores == sorted(os.sched_getaffinity(0))


CLONES = """
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
number, flags = int(sys.argv[1]), int(sys.argv[2])
found = {}
for bit in range(32):
    if flags >> bit & 1:
        child = libc.syscall(number, (1 << bit) | 17, 0, 0, 0, 0)
        if child == 0:
            libc._exit(0)
        found[bit] = child if child >= 0 else errno.errorcode[ctypes.get_errno()]
print(json.dumps(list(found.values())))
"""


@needs_numbers
def test_no_namespace_can_be_made(isolated: Kind) -> None:
    assert answers(isolated, CLONES, NUMBERS["clone"], NAMESPACES) == ["EPERM"] * 7


SOCKETS = """
import errno, json, socket, sys
found = {}
for family in range(46):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
        try:
            socket.socket(family, kind).close()
            found[family] = 0
            break
        except OSError as error:
            found[family] = errno.errorcode[error.errno]
print(json.dumps(found))
"""


def test_only_sockets_that_the_sandbox_confines_can_be_made(isolated: Kind) -> None:
    """AF_VSOCK would talk to the hypervisor, AF_ALG to the kernel's ciphers."""
    found = answers(isolated, SOCKETS)
    assert isinstance(found, dict)
    assert {family for family, said in found.items() if said == 0} == {str(number) for number in FAMILIES.values()}
    assert found[str(int(socket.AF_VSOCK))] in ("EAFNOSUPPORT", "EPERM")


def test_the_hosts_abstract_sockets_are_out_of_reach(isolated: Kind) -> None:
    name = f"isobench-{os.urandom(6).hex()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = "import socket, sys; print(socket.socket(socket.AF_UNIX).connect_ex('\\0' + sys.argv[1]))"
        done = isolated.run(code, name)
    assert int(done.stdout) != 0


STATUS = """
import json, resource
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
score = int(open("/proc/self/oom_score_adj").read())
core = resource.getrlimit(resource.RLIMIT_CORE)
print(json.dumps([int(status["CapEff"], 16), int(status["CapPrm"], 16), int(status["NoNewPrivs"]),
                  int(status["Seccomp"]), score, core]))
"""


def test_no_power_over_the_machine(isolated: Kind) -> None:
    """No capability, none by setuid programs, no core dump; first to end where the machine is out of memory."""
    assert answers(isolated, STATUS) == [0, 0, 1, 2, FIRST_TO_END, [0, 0]]


SETTINGS = """
import json, os, stat
found, seen = [], 0
for top in [f"/proc/{name}" for name in os.listdir("/proc") if not name.isdigit()] + ["/sys/devices/system/cpu"]:
    if os.path.islink(top) or top == "/proc/pressure":  # where whoever likes may ask to be told
        continue
    files = [top] if os.path.isfile(top) else [f"{at}/{name}" for at, _, names in os.walk(top) for name in names]
    for path in files:
        try:
            seen += 1
            os.close(os.open(path, os.O_WRONLY))  # nothing is written: the machine's own settings are behind it
            found.append(path)
        except OSError:
            pass
print(json.dumps([seen > 500, found]))
"""


def test_no_setting_of_the_kernel_can_be_changed(isolated: Kind) -> None:
    """To the kernel a command that root runs is root: `core_pattern` would name a program that it starts outside."""
    assert answers(isolated, SETTINGS) == [True, []]


def test_a_sandbox_cannot_end_another(isolated: Kind) -> None:
    other = isolated.sandbox.start(isolated.command("print(input())"))
    isolated.run("import os, signal; os.kill(-1, signal.SIGKILL)")
    other.stdin.write(b"still here\n")
    assert other.stdout.read(100) == b"still here\n"
    other.close(timeout_s=20)


NAMES = """
import asyncio, getpass, json, os, pwd, socket, tempfile

async def echo():
    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(answer, "localhost", 0)
    reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
    writer.write(b"hello\\n")
    return (await reader.read()).decode()

print(json.dumps([
    asyncio.run(echo()), socket.gethostbyname(socket.gethostname()), socket.gethostbyaddr("127.0.0.1")[0],
    getpass.getuser(), pwd.getpwuid(os.getuid()).pw_dir, os.path.expanduser("~"),
    [os.access(folder, os.W_OK) for folder in (os.path.expanduser("~"), tempfile.gettempdir(), "/dev/shm")],
]))
"""


def test_names_of_host_and_user_are_found(isolated: Kind) -> None:
    """Without a network too: servers bind `localhost`, and many programs look up their own host, user and home."""
    assert answers(isolated, NAMES.replace("\\\\n", "\\n")) == [
        "HELLO\n", "127.0.0.1", "localhost", "sandbox", "/work", "/work", [True, True, True],
    ]  # fmt: skip


MULTIPROCESSING = """
import multiprocessing, sys
from multiprocessing import shared_memory

def add(name, lock):
    memory = shared_memory.SharedMemory(name)
    with lock:
        memory.buf[0] += 1
    memory.close()

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        memory, lock, queue = shared_memory.SharedMemory(create=True, size=8), context.Lock(), context.Queue()
        processes = [context.Process(target=add, args=(memory.name, lock)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        queue.put(memory.buf[0])
        print(method, queue.get(), flush=True)
        memory.close()
        memory.unlink()
    with multiprocessing.Manager() as manager, multiprocessing.Pool(2) as pool:
        print(dict(manager.dict(a=1)), sum(pool.map(abs, range(-3, 0))))
"""


def test_multiprocessing_in_all_its_ways(isolated: Kind) -> None:
    code = "import runpy, sys; open('/work/m.py', 'w').write(sys.argv[1])"
    run = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '/work/m.py']).returncode)"
    done = isolated.run(f"{code}; {run}", MULTIPROCESSING)
    assert done.stdout.decode().split("\n")[:-1] == ["fork 2", "spawn 2", "forkserver 2", "{'a': 1} 6"], done.stderr


LIBRARIES = """
import ctypes, json, mmap, os, pty, signal, sqlite3, subprocess, threading
libc = ctypes.CDLL(None, use_errno=True)

def memfd():
    fd = os.memfd_create("x")
    os.ftruncate(fd, 4096)
    return len(mmap.mmap(fd, 4096))

def huge_pages():
    mmap.mmap(-1, 4 << 20).madvise(mmap.MADV_HUGEPAGE)

def inotify():
    return libc.inotify_add_watch(libc.inotify_init1(0), b"/work", 0x100)

def locked():
    return libc.mlock(ctypes.create_string_buffer(4096), 4096)

def terminal():
    one, other = pty.openpty()
    os.write(other, b"x")
    return os.read(one, 1).decode()

def wal():
    return sqlite3.connect("/work/x.db").execute("pragma journal_mode=wal").fetchone()[0]

def program_in_tmp():
    open("/tmp/x", "w").write("#!/bin/sh\\necho ran")
    os.chmod("/tmp/x", 0o755)
    return subprocess.check_output(["/tmp/x"]).decode()

def threads():
    started = [threading.Thread(target=lambda: None) for _ in range(100)]
    [thread.start() for thread in started]
    return len([thread.join() for thread in started])

def memory_of_nodes():
    return libc.syscall(int(NUMA), 0, 0, 0, 0, 0) if NUMA else 0

def shared():
    return libc.shmget(0, 4096, 0o1600) >= 0 and libc.semget(0, 1, 0o1600) >= 0

def processors():
    return open("/proc/cpuinfo").read().count("processor") > 0 and bool(os.listdir("/sys/devices/system/cpu"))

def devices():
    return [name for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd")
            if not os.path.exists("/dev/" + name)]

found = {}
for test in (memfd, huge_pages, inotify, locked, terminal, wal, program_in_tmp, threads, memory_of_nodes, shared,
             processors, devices):
    try:
        found[test.__name__] = test()
    except OSError as error:
        found[test.__name__] = repr(error)
print(json.dumps(found))
"""


def test_what_libraries_ask_of_the_system(isolated: Kind) -> None:
    code = LIBRARIES.replace("NUMA", f"'{NUMBERS.get('get_mempolicy', '')}'")
    assert answers(isolated, code) == {
        "memfd": 4096, "huge_pages": None, "inotify": 1, "locked": 0, "terminal": "x", "wal": "wal",
        "program_in_tmp": "ran\n", "threads": 100, "memory_of_nodes": 0, "shared": True, "processors": True,
        "devices": [],
    }  # fmt: skip


OPENMP = """
#include <stdio.h>
int main() {
    int sum = 0;
    #pragma omp parallel for reduction(+:sum)
    for (int i = 0; i < 1000; i++) sum += i;
    printf("%d", sum);
}
"""


def test_openmp_with_bound_threads(isolated: Kind) -> None:
    """Its threads are to be pinned to places: that does nothing, and the program goes on."""
    build = "cat > o.c && gcc -fopenmp o.c -o o && OMP_NUM_THREADS=4 OMP_PROC_BIND=true OMP_PLACES=cores ./o"
    command = Command(argv=("/bin/sh", "-c", f"which gcc >/dev/null || exit 77; {build}"), image=isolated.image)
    done = isolated.sandbox.run(command, OPENMP.encode())
    if done.returncode == 77:
        pytest.skip("no C compiler inside")
    assert done.stdout == b"499500", done.stderr


NODE = """
const fs = require("fs"), { Worker } = require("worker_threads")
new Worker("require('worker_threads').parentPort.postMessage('worker')", { eval: true }).on("message", said => {
  fs.readFile("/etc/hosts", () => require("dns").lookup("localhost", (_, address) => {
    console.log(said, address); process.exit(0) }))
})
"""


@pytest.mark.parametrize("uring", ["0", "1"])
def test_node_with_workers_files_and_names(isolated: Kind, uring: str) -> None:
    """libuv tries io_uring and must be told that there is none."""
    argv = ("/bin/sh", "-c", 'which node >/dev/null || exit 77; exec node -e "$1"', "sh", NODE)
    done = isolated.sandbox.run(Command(argv=argv, image=isolated.image, variables={"UV_USE_IO_URING": uring}))
    if done.returncode == 77:
        pytest.skip("no node inside")
    assert done.stdout == b"worker 127.0.0.1\n", done.stderr

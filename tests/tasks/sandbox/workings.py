"""Ways to use the processor: each burns 0.1 s of CPU time in a process (or threads) that it started for that."""

BURN_NS = 100_000_000
SEEN_NS = 0.8 * BURN_NS
"""What a meter must have seen of it. A child's time counts from its own start, so all of it is the child's."""
WAYS = (
    "waited", "ignored", "no_zombies", "no_signal", "never_waited", "forgetful_child", "detached", "threads", "killed",
    "spawned", "leaves_group",
)  # fmt: skip
CHILD = """
import ctypes, os, signal, subprocess, sys, threading, time

def burn(seconds=0.1):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass

def forked(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid

def gone(pid):
    # Until it has ended, whoever waits for it.
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass

def waited():
    gone(forked(burn))

def ignored():
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gone(forked(burn))
    signal.signal(signal.SIGCHLD, before)

class Action(ctypes.Structure):
    _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16), ("flags", ctypes.c_int),
                ("restorer", ctypes.c_void_p)]

def no_zombies():
    # SA_NOCLDWAIT: ignores, and no status tells.
    libc, before = ctypes.CDLL(None), Action()
    assert libc.sigaction(signal.SIGCHLD, ctypes.byref(Action(flags=2)), ctypes.byref(before)) == 0
    pid = forked(burn)
    gone(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        pass
    else:
        raise AssertionError("a zombie is left")
    libc.sigaction(signal.SIGCHLD, ctypes.byref(before), None)

def no_signal():
    # A plain clone whose end is told to nobody, and which only __WALL waits for.
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    pid = ctypes.CDLL(None).syscall(number, 0, 0, 0, 0, 0)
    if pid == 0:
        burn()
        os._exit(0)
    os.waitpid(pid, 0x40000000)

def never_waited():
    read, write = os.pipe()
    forked(burn)
    os.close(write)
    os.read(read, 1)
    os.close(read)

def forgetful_child():
    def middle():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        gone(forked(burn))
    gone(forked(middle))

def detached():
    read, write = os.pipe()
    def middle():
        os.setsid()
        forked(burn)
        # The pipe ends with the grandchild, which nobody here can wait for.
    gone(forked(middle))
    os.close(write)
    os.read(read, 1)
    os.close(read)

def threads():
    both = [threading.Thread(target=burn, args=(0.05,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

def killed():
    read, write = os.pipe()
    def work():
        burn()
        os.write(write, b"x")
        burn(60)
    pid = forked(work)
    os.read(read, 1)
    os.kill(pid, signal.SIGKILL)
    gone(pid)
    os.close(read), os.close(write)

def spawned():
    program = "import time\\nwhile time.process_time() < 0.1: pass"
    gone(os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", program], os.environ))

def leaves_group():
    # To every other group that can be found, then away from its parents.
    def work():
        for mount in open("/proc/self/mountinfo"):
            kind, point = mount.split(" - ")[1].split()[0], mount.split()[4]
            if kind.startswith("cgroup"):
                try:
                    with open(point + "/cgroup.procs", "w") as group:
                        group.write(str(os.getpid()))
                except OSError:
                    pass
        burn()
    gone(forked(work))

print("ready", flush=True)
for line in sys.stdin:
    globals()[line.strip()]()
    print("done", flush=True)
"""

"""Runs one perf test inside a sandbox and answers the driver outside. `session.py` is its client and its only caller.

Standard library only, syntax of Python 3.8: environments of old commits hold old interpreters. Its text, with those of
`encoding.py` and `dialects.py`, is the `-c` argument of the arm's interpreter: no file of it lies inside. Order
matters: clocks and everything else it needs are bound before anything of the arm can be imported, and the pipes leave
file descriptors 0 and 1 before a perf test can print. Every answer repeats the random id of its request, so none can
be prepared before the question.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import ast
import base64
import gc
import hashlib
import json
import linecache
import os
import random
import resource
import sys
import threading
import time
import types
from typing import Any, Dict, List

from tasks.sandbox.probe.inside.comparing import compare, told
from tasks.sandbox.probe.inside.dialects import FILENAME, SCRIPTS, Failure, describe, trace_of, user_code
from tasks.sandbox.probe.inside.encoding import encode
from tasks.sandbox.probe.inside.fingerprint import SIZE as HASH_BYTES
from tasks.sandbox.probe.inside.fingerprint import Fingerprint, shared
from tasks.sandbox.probe.inside.own import OwnNames, Untouched
from tasks.sandbox.probe.inside.pickles import restrict_pickle
from tasks.sandbox.probe.inside.storing import outline, stored
from tasks.sandbox.probe.inside.tracing import Lines

MODULE = "perf_test"


class GpuClock:
    """Device events around the timed calls. Work in flight ends before the start and before the stop."""

    def __init__(self) -> None:
        self.cuda = sys.modules["torch"].cuda
        self.cuda.synchronize()
        self.start, self.end = (self.cuda.Event(enable_timing=True) for _ in range(2))
        self.start.record()

    def stop(self) -> Any:
        """Nanoseconds between the events."""
        self.end.record()
        self.cuda.synchronize()
        return int(self.start.elapsed_time(self.end) * 1e6)


def look(call: Any) -> Any:
    """Fingerprint of what a call works on; None where the script hides it, or where it contains itself."""
    try:
        return Fingerprint(call.given[0], opaque=True) if call.given else None
    except TypeError:
        return None


class Probe:
    """The state of one perf test in one process, and the operations that the driver may ask for."""

    def __init__(self) -> None:
        self.wall, self.cpu, self.usage = time.perf_counter_ns, time.process_time_ns, resource.getrusage
        self.collect, self.gc_on, self.gc_threshold = gc.collect, gc.enable, gc.set_threshold
        self.thresholds, self.pid, self.getpid = gc.get_threshold(), os.getpid(), os.getpid
        self.threads, self.main_cpu = sys.modules["_thread"]._count, time.thread_time_ns
        self.pread = os.pread
        self.getprofile, self.gettrace = sys.getprofile, sys.gettrace
        try:
            self.schedstat = os.open("/proc/self/schedstat", os.O_RDONLY)
        except OSError:
            self.schedstat = -1  # this kernel does not say
        self.untouched = Untouched(
            [compare, user_code, encode, Fingerprint.__init__, Untouched.__init__, restrict_pickle]
        )
        self.replaced: List[str] = []
        self.script: Any = None
        self.own: Any = None
        self.calls: List[Any] = []
        self.forget()
        self.root = os.path.realpath(os.environ.pop("PROBE_ROOT", "/arm"))
        self.paths = [path for path in os.environ.pop("PROBE_PATH", "").split(os.pathsep) if path]

    def forget(self) -> None:
        """The last run's results."""
        self.chosen: Any = ()
        self.results: List[Any] = []
        self.blobs: Dict[Any, bytes] = {}
        self.prints: Dict[Any, Any] = {}

    def release(self) -> Any:
        """Let go of the last run's results: what freeing them takes belongs to its calls."""
        self.forget()
        return {}

    def hello(self, checker: Any) -> Any:
        """Make the arm importable."""
        if checker:
            restrict_pickle()
        sys.path[:] = self.paths + [path for path in sys.path if path not in ("", *self.paths)]
        os.environ["PYTHONPATH"] = os.pathsep.join(self.paths)
        return {"python": sys.version.split()[0], "pid": self.pid}

    def ping(self) -> Any:
        """Nothing."""
        return {}

    def load(self, script: Any, dialect: Any) -> Any:
        """Execute the script's top level."""
        try:
            tree: Any = compile(script, FILENAME, "exec", ast.PyCF_ONLY_AST)
            code = compile(tree, FILENAME, "exec")
        except (SyntaxError, ValueError) as error:
            raise Failure("syntax", describe(error), trace_of(error)) from None
        linecache.cache[FILENAME] = (len(script), None, script.splitlines(True), FILENAME)
        module = types.ModuleType(MODULE)
        module.__file__ = FILENAME
        self.own = OwnNames(tree, code, FILENAME)
        sys.modules[MODULE] = module
        user_code(exec, code, module.__dict__)
        self.script = SCRIPTS[dialect](module)
        return {"mode": self.script.mode}

    def waited(self) -> int:
        """Nanoseconds that this thread has been ready to run while its core ran something else."""
        return int(self.pread(self.schedstat, 128, 0).split()[1]) if self.schedstat >= 0 else 0

    def reseed(self, seed: Any) -> Any:
        """Equal global generators for every arm, whatever it drew before."""
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(seed % (1 << 32))

    def setup(self, seed: Any, count: Any, digest: Any) -> Any:
        """Build `count` workloads, of seed, seed + 1, ..."""
        if self.script is None:
            raise Failure("protocol", "setup before load")
        self.calls = []
        self.forget()
        start = self.wall()
        for index in range(count):
            self.reseed(seed + index)
            self.calls.append(self.script.prepare(seed + index))
        wall_ns = self.wall() - start
        first = None
        for call in self.calls:
            seen = look(call) if digest else None
            first = first or seen
            call.before = seen.digest if seen else None
        found = first.digest if first and self.script.varies and not first.unseen else None
        self.collect()  # here, because the driver's clock is running during `run`
        return {"digest": found, "wall_ns": wall_ns}

    def run(self, number: Any, device: Any, start: Any) -> Any:
        """Time `number` calls from workload `start` on; with fewer workloads than calls, they are used in turn."""
        if not self.calls:
            raise Failure("protocol", "run before setup")
        self.forget()
        self.chosen = tuple(self.calls[index % len(self.calls)] for index in range(start, start + number))
        timed, results = tuple(call.function for call in self.chosen), self.results
        own, touched = self.script.space.get("experiment"), False
        own = own if type(own) is types.FunctionType else self.forget
        code = own.__code__
        self.gc_threshold(*self.thresholds)
        self.gc_on()
        wall, cpu, usage, before = self.wall, self.cpu, self.usage, self.threads()
        self.reseed(number)
        try:
            gpu = GpuClock() if device == "cuda" and "torch" in sys.modules else None
        except BaseException as error:
            raise Failure("exception", "no device events: " + describe(error), trace_of(error)) from None
        child = usage(resource.RUSAGE_CHILDREN)
        slept = usage(resource.RUSAGE_THREAD).ru_nvcsw
        waited, main_start, cpu_start = self.waited(), self.main_cpu(), cpu()
        began = wall()
        try:
            for call in timed:
                touched |= own.__code__ is not code  # one call may not arrange what the next one does
                results.append(call())
            gpu_ns = gpu.stop() if gpu else None
            stop = wall()
        except BaseException as error:
            raise Failure("exception", describe(error), trace_of(error)) from None
        cpu_ns, main_ns, wait_ns = cpu() - cpu_start, self.main_cpu() - main_start, self.waited() - waited
        slept = usage(resource.RUSAGE_THREAD).ru_nvcsw - slept
        after = usage(resource.RUSAGE_CHILDREN)
        cpu_ns += int((after.ru_utime + after.ru_stime - child.ru_utime - child.ru_stime) * 1e9)
        wait_ns -= max(0, cpu_ns - main_ns)  # waiting for its own threads and children is the experiment's time
        self.replaced += ["experiment"] * (touched and "experiment" not in self.replaced)
        flags = ["threads_left"] if self.threads() > before else []
        if device == "cuda" and gpu is None:
            flags.append("no_gpu_clock")
        clocks = {"wall_ns": stop - began, "cpu_ns": cpu_ns, "wait_ns": max(0, wait_ns), "gpu_ns": gpu_ns}
        return dict(clocks, sleeps=slept, flags=flags)

    def result(self, index: Any) -> Any:
        """One result of the last run, as `blob` makes it."""
        return {"blob": base64.b64encode(self.blob(index)).decode()}

    def input(self, index: Any) -> Any:
        """What a call of the last run worked on, as it is now; empty if it has no safe encoding."""
        given = self.chosen[index].given
        try:
            return {"blob": base64.b64encode(b"v" + encode(given[0]) if given else b"").decode()}
        except TypeError:
            return {"blob": ""}

    def blob(self, index: Any) -> bytes:
        """A result as `encoded` makes it, once: an iterator gives its items once only."""
        if not self.results:
            raise Failure("protocol", "result before run")
        if index not in self.blobs:
            self.blobs[index] = self.encoded(self.results[index])
        return self.blobs[index]

    def encoded(self, value: Any) -> bytes:
        """A value in the safe encoding, or else its type and what the script's store_result writes."""
        try:
            return b"v" + encode(value)
        except TypeError as error:
            if not callable(self.script.space.get("store_result")):
                raise Failure("unserialisable", str(error) + ", or define store_result and load_result") from None
        kinds = json.dumps(outline(value)).encode()  # before anything is taken from an iterator
        return b"f" + kinds + b"\0" + stored(self.script.space, value)

    def digests(self, indexes: Any, inputs: Any = None) -> Any:
        """Hashes of results, and then of what the first `inputs` of these calls (None: all) worked on, as it is now."""
        found = [self.printed(index) for index in indexes]
        looked = len(indexes) if inputs is None else inputs
        answer: Dict[str, Any] = {"results": [digest for digest, _ in found], "inputs": [], "before": [], "shared": []}
        for place, (index, (_, result)) in enumerate(zip(indexes, found)):  # noqa: B905 -- Python 3.8
            state = look(self.chosen[index]) if place < looked else None
            answer["inputs"].append(state.digest if state else None)
            answer["before"].append(self.chosen[index].before)
            answer["shared"].append(shared(result, state) if state else "")
        return dict(answer, script=self.own_names())

    def printed(self, index: Any) -> Any:
        """(hash of a result, its fingerprint); where only the script can store it, the hash is of what that writes."""
        if not self.results:
            raise Failure("protocol", "digests before run")
        if index not in self.prints:
            try:
                print_ = Fingerprint(self.results[index])
                self.prints[index] = print_.digest, print_
            except TypeError:
                digest = hashlib.blake2b(self.blob(index), digest_size=HASH_BYTES).hexdigest()
                self.prints[index] = digest, Fingerprint(self.results[index], opaque=True)
        return self.prints[index]

    def own_names(self) -> Any:
        """Hashes of the script's own functions and constants, and of ours that are not what they were."""
        space = self.script.space
        found = dict(self.own.described(space))
        kinds = {self.own.described_call(call.function, space) for call in self.calls}
        found["calls"] = self.own.hashed(sorted(kinds))
        watching = [self.getprofile(), self.gettrace(), getattr(threading, "_profile_hook", None)]
        if any(watching):
            found["calls, which are watched"] = self.own.hashed("watched")
        for name in self.untouched.touched() + self.replaced:
            found[name + ", between two calls or in the probe"] = self.own.hashed("replaced")
        return found

    def check(self, reference: Any, candidate: Any) -> Any:
        """Raise Failure("mismatch") unless script and structure accept the candidate. In a process with base code."""
        compare(self.script, base64.b64decode(reference), base64.b64decode(candidate))
        return {}

    def difference(self, reference: Any, candidate: Any) -> Any:
        """What is different in two inputs, in words; "" where that cannot be said."""
        return {"text": told(base64.b64decode(reference), base64.b64decode(candidate))}

    def trace(self, seed: Any, with_setup: Any) -> Any:
        """Lines of the checkout that one setup and experiment execute, in all threads."""
        self.reseed(seed)
        lines = Lines(self.root)
        call = lines.traced(self.script.prepare, seed) if with_setup else self.script.prepare(seed)
        user_code(lines.traced, call.function)
        return {"lines": lines.found()}


def serve(probe: Any, requests: Any, answers: Any) -> Any:
    """Answer requests, one JSON line each, until the pipe closes."""
    loads, dumps, write, leave, getpid = json.loads, json.dumps, os.write, os._exit, os.getpid
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            request = loads(line)
            try:
                operation = getattr(probe, request["op"])
                answer = {"ok": True, **operation(**request["args"])}
            except Failure as failure:
                answer = {"ok": False, "kind": failure.kind, "message": str(failure), "trace": failure.trace}
            except MemoryError:
                answer = {"ok": False, "kind": "exception", "message": "MemoryError", "trace": ""}
            if getpid() != probe.pid:
                leave(1)  # a forked child of the perf test came back here: it must not answer
            data = dumps({"id": request["id"], **answer}).encode() + b"\n"
            while data:
                data = data[write(answers, data) :]


def main() -> Any:
    """Take the pipes away from file descriptors 0 and 1, and serve."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for name in [name for name in sys.modules if name.split(".")[0] in ("tasks", "__main__")]:
        del sys.modules[name]  # out of the arm's reach by import, and out of the way of its own packages
    sys.modules["__main__"] = types.ModuleType("__main__")
    serve(Probe(), requests, answers)

"""Runs one perf test inside a sandbox and answers the driver outside. `session.py` is its client and its only caller.

Standard library only, syntax of Python 3.8: environments of old commits hold old interpreters. Its text, with those of
`encoding.py` and `dialects.py`, is the `-c` argument of the arm's interpreter: no file of it lies inside. Order
matters: clocks and everything else it needs are bound before anything of the arm can be imported, and the pipes leave
file descriptors 0 and 1 before a perf test can print. Every answer repeats the random id of its request, so none can
be prepared before the question.
"""

# ruff: noqa: UP006, UP035 -- the forms that Python 3.8 evaluates
import base64
import gc
import hashlib
import io
import json
import linecache
import os
import pickle
import random
import resource
import sys
import tempfile
import threading
import time
import types
from typing import Any, Dict, List

from tasks.sandbox.probe.inside.dialects import FILENAME, SCRIPTS, Failure, describe, trace_of, user_code
from tasks.sandbox.probe.inside.encoding import decode, encode

MODULE = "perf_test"
TRACE_PATIENCE = 20000  # about 10 ms of tracing
SAFE_PICKLES = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "range", "slice", "list", "dict", "tuple", "int", "float"},
    "collections": {"OrderedDict", "Counter", "deque", "defaultdict"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "numpy": {"dtype", "ndarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
}


class DataOnly:
    """Unpicklers that load data and never code: a candidate's result must not run anything where it is checked."""

    armed = False

    def find_class(self, module: Any, name: Any) -> Any:
        """Once armed, allow the types of SAFE_PICKLES only."""
        if not DataOnly.armed or name in SAFE_PICKLES.get(module, ()):
            return super().find_class(module, name)  # type: ignore[misc]
        raise pickle.UnpicklingError(f"{module}.{name} may not be unpickled by load_result")


class Unpickler(DataOnly, pickle.Unpickler):
    """Takes the place of pickle.Unpickler."""


class PythonUnpickler(DataOnly, pickle._Unpickler):
    """Takes the place of pickle._Unpickler, from which some libraries derive theirs."""


def restrict_pickle() -> Any:
    """Before the arm's imports, so that whatever they derive from an unpickler is restricted too."""
    replaced: Any = pickle
    replaced.Unpickler, replaced._Unpickler = Unpickler, PythonUnpickler
    replaced.load = lambda file, **kwargs: Unpickler(file, **kwargs).load()
    replaced.loads = lambda data, **kwargs: Unpickler(io.BytesIO(data), **kwargs).load()


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


class Probe:
    """The state of one perf test in one process, and the operations that the driver may ask for."""

    def __init__(self) -> None:
        self.wall, self.cpu, self.usage = time.perf_counter_ns, time.process_time_ns, resource.getrusage
        self.collect, self.gc_on, self.gc_threshold = gc.collect, gc.enable, gc.set_threshold
        self.thresholds, self.pid, self.getpid = gc.get_threshold(), os.getpid(), os.getpid
        self.threads, self.main_cpu = sys.modules["_thread"]._count, time.thread_time_ns
        self.pread = os.pread
        try:
            self.schedstat = os.open("/proc/self/schedstat", os.O_RDONLY)
        except OSError:
            self.schedstat = -1  # this kernel does not say
        self.script: Any = None
        self.calls: List[Any] = []
        self.chosen: List[Any] = []
        self.results: List[Any] = []
        self.blobs: Dict[Any, bytes] = {}
        self.root = os.path.realpath(os.environ.pop("PROBE_ROOT", "/arm"))
        self.paths = [path for path in os.environ.pop("PROBE_PATH", "").split(os.pathsep) if path]

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
            code = compile(script, FILENAME, "exec")
        except (SyntaxError, ValueError) as error:
            raise Failure("syntax", describe(error), trace_of(error)) from None
        linecache.cache[FILENAME] = (len(script), None, script.splitlines(True), FILENAME)
        module = types.ModuleType(MODULE)
        module.__file__ = FILENAME
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
        self.calls, self.results, self.blobs = [], [], {}
        start = self.wall()
        for index in range(count):
            self.reseed(seed + index)
            self.calls.append(self.script.prepare(seed + index))
        wall_ns = self.wall() - start
        found = None
        if digest and hasattr(self.calls[0], "state"):
            try:
                found = hashlib.sha256(encode(self.calls[0].state)).hexdigest()
            except TypeError:
                found = None
        self.collect()  # here, because the driver's clock is running during `run`
        return {"digest": found, "wall_ns": wall_ns}

    def run(self, number: Any, device: Any, start: Any) -> Any:
        """Time `number` calls from workload `start` on; with fewer workloads than calls, they are used in turn."""
        if not self.calls:
            raise Failure("protocol", "run before setup")
        self.chosen = chosen = [self.calls[index % len(self.calls)] for index in range(start, start + number)]
        self.results, self.blobs = [], {}
        results = self.results
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
            for call in chosen:
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
        flags = ["threads_left"] if self.threads() > before else []
        if device == "cuda" and gpu is None:
            flags.append("no_gpu_clock")
        clocks = {"wall_ns": stop - began, "cpu_ns": cpu_ns, "wait_ns": max(0, wait_ns), "gpu_ns": gpu_ns}
        return dict(clocks, sleeps=slept, flags=flags)

    def result(self, index: Any) -> Any:
        """One result of the last run, as `blob` makes it."""
        return {"blob": base64.b64encode(self.blob(index)).decode()}

    def blob(self, index: Any) -> bytes:
        """A result as `encoded` makes it, once: an iterator gives its items once only."""
        if not self.results:
            raise Failure("protocol", "result before run")
        if index not in self.blobs:
            self.blobs[index] = self.encoded(self.results[index])
        return self.blobs[index]

    def encoded(self, value: Any) -> bytes:
        """A value in the safe encoding, or else as the script's store_result writes it."""
        try:
            return b"v" + encode(value)
        except TypeError as error:
            if not callable(self.script.space.get("store_result")):
                raise Failure("unserialisable", str(error) + ", or define store_result and load_result") from None
        return b"f" + bytes(self.stored(value))

    def digests(self, indexes: Any) -> Any:
        """Hashes of what `result` would give, so that equal results need not travel; and of the calls' workloads."""
        results = [hashlib.sha256(self.blob(index)).hexdigest() for index in indexes]
        return {"results": results, "inputs": [self.input_digest(index) for index in indexes]}

    def input_digest(self, index: Any) -> Any:
        """Hash of a workload as its call left it; None where it has no safe encoding."""
        try:
            return hashlib.sha256(encode(self.chosen[index].state)).hexdigest()
        except (AttributeError, TypeError):
            return None

    def stored(self, value: Any) -> Any:
        """What store_result writes."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "result")
            user_code(self.script.space["store_result"], value, path)
            names = os.listdir(folder)  # numpy.save and others append a suffix
            if len(names) != 1:
                raise Failure("unserialisable", f"store_result must write one file, it wrote {len(names)}")
            with open(os.path.join(folder, names[0]), "rb") as file:
                return names[0][len("result") :].encode() + b"\0" + file.read()

    def restored(self, data: Any) -> Any:
        """What load_result reads; pickles in it are held to data."""
        load = self.script.space.get("load_result")
        if not callable(load):
            raise Failure("missing_function", "the script defines store_result and not load_result")
        suffix, _, content = data.partition(b"\0")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "result" + os.path.basename(suffix.decode()))
            with open(path, "wb") as file:
                file.write(content)
            return load(path)

    def check(self, reference: Any, candidate: Any) -> Any:
        """Raise Failure("mismatch") unless the script accepts the candidate. Called in a process with base code."""
        DataOnly.armed = True
        values = []
        for name, blob in (("reference", reference), ("candidate", candidate)):
            raw = base64.b64decode(blob)
            try:
                value = decode(raw[1:]) if raw[:1] == b"v" else self.restored(raw[1:])
                if name == "reference" and raw[:1] == b"v" and self.script.stores_reference:
                    value = self.round_trip(value)
            except Failure:
                raise
            except BaseException as error:
                raise Failure("mismatch", f"the {name} cannot be read: {describe(error)}") from None
            values.append(value)
        try:
            verdict = self.script.check(*values)
        except Failure:
            raise
        except BaseException as error:
            raise Failure("mismatch", describe(error), trace_of(error)) from None
        if verdict is False:
            raise Failure("mismatch", "check_equivalence returned False")
        return {}

    def round_trip(self, value: Any) -> Any:
        """A reference as check_equivalence of the gso dialect expects it: stored and loaded."""
        if all(callable(self.script.space.get(name)) for name in ("store_result", "load_result")):
            return self.restored(self.stored(value))
        return value

    def trace(self, seed: Any, with_setup: Any) -> Any:
        """Lines of the checkout that one setup and experiment execute, in all threads.

        Tracing costs 50 times the run. A function that went over TRACE_PATIENCE lines without a new one is left alone.
        """
        seen: Dict[Any, Any] = {}
        mine: Dict[Any, Any] = {}
        repeats: Dict[Any, int] = {}
        prefix = self.root + os.sep

        def on_line(frame: Any, event: Any, arg: Any) -> Any:
            if event == "line":
                code = frame.f_code
                if frame.f_lineno not in seen[code]:
                    seen[code].add(frame.f_lineno)
                    repeats[code] = 0
                else:
                    repeats[code] = repeats.get(code, 0) + 1
                    if repeats[code] > TRACE_PATIENCE:
                        mine[code], frame.f_trace_lines = None, False
            return on_line

        def on_call(frame: Any, event: Any, arg: Any) -> Any:
            code = frame.f_code
            if code not in mine:
                path = os.path.realpath(code.co_filename)
                mine[code] = os.path.relpath(path, self.root) if path.startswith(prefix) else None
            if mine[code] is None:
                return None
            seen.setdefault(code, set()).add(frame.f_lineno)
            return on_line

        def traced(function: Any, *args: Any) -> Any:
            threading.settrace(on_call)
            sys.settrace(on_call)
            try:
                return function(*args)
            finally:
                sys.settrace(None)
                threading.settrace(None)

        self.reseed(seed)
        call = traced(self.script.prepare, seed) if with_setup else self.script.prepare(seed)
        user_code(traced, call)
        lines: Dict[str, Any] = {}
        for code, numbers in seen.items():
            path = os.path.relpath(os.path.realpath(code.co_filename), self.root)
            lines.setdefault(path, set()).update(numbers)
        return {"lines": {path: sorted(numbers) for path, numbers in lines.items()}}


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

"""Patches that break the library and want its tests to pass all the same: what is added to the broken module."""

from __future__ import annotations

FORGERIES: dict[str, str] = {
    "does-nothing-more": "",
    "exits-at-import": "import os\nos._exit(0)\n",
    "skips-in-the-call": "def count_words(text):\n    import pytest\n    pytest.skip('not here')\n",
    "skip-hook": """
import _pytest.runner, pytest
def skipping(*args, **kwargs):
    raise pytest.skip.Exception("skipped")
_pytest.runner.pytest_runtest_call = skipping
import _pytest.config
_pytest.config.PytestPluginManager.register = lambda *args, **kwargs: None
""",
    "reports-passed": """
import _pytest.reports
_pytest.reports.TestReport.from_item_and_call = classmethod(lambda cls, item, call: None)
import _pytest.runner
_pytest.runner.CallInfo.from_call = classmethod(lambda cls, func, when, reraise=None: cls(None, None, 0, 0, 0, when))
""",
    "runtest-does-nothing": """
import _pytest.python, _pytest.unittest
_pytest.python.Function.runtest = lambda self: None
_pytest.unittest.TestCaseFunction.runtest = lambda self: self.addSuccess(self)
""",
    "pytest-replaced": """
import sys, types, contextlib
fake = types.ModuleType("pytest")
fake.__dict__.update(sys.modules["pytest"].__dict__)
@contextlib.contextmanager
def raises(*args, **kwargs):
    try:
        yield None
    except BaseException:
        pass
fake.raises = raises
sys.modules["pytest"] = fake
""",
    "unittest-swallows": """
import unittest
for _name in dir(unittest.TestCase):
    if _name.startswith("assert"):
        setattr(unittest.TestCase, _name, lambda self, *args, **kwargs: None)
""",
    "test-case-run": """
import unittest
def run(self, result=None):
    result.startTest(self)
    result.addSuccess(self)
    result.stopTest(self)
unittest.TestCase.run = run
unittest.TestCase.__call__ = run
""",
    "equal-to-everything": """
class Same(dict):
    __hash__ = None
    def __eq__(self, other):
        return True
    def __ne__(self, other):
        return False
_real = count_words
def count_words(text):
    return Same(_real(text))
""",
    "test-functions-replaced": """
import gc, sys, threading
def replace(frame, event, arg):
    if event == "call" and frame.f_code.co_name == "pytest_pycollect_makeitem":
        for value in list(frame.f_locals.values()):
            if callable(value) and getattr(value, "__name__", "").startswith("test_"):
                value.__code__ = (lambda *args, **kwargs: None).__code__
sys.setprofile(replace)
""",
    "jumps-over-assertions": """
import sys
def tracer(frame, event, arg):
    if frame.f_code.co_filename.endswith("test_words.py"):
        def local(frame, event, arg):
            if event == "line" and frame.f_lineno >= frame.f_code.co_firstlineno + 1:
                import dis
                last = max(line for _, line in dis.findlinestarts(frame.f_code) if line)
                try:
                    frame.f_lineno = last + 1
                except ValueError:
                    pass
            return local
        return local
    return None
sys.settrace(tracer)
""",
    "swallows-in-the-runner": """
import gc, types
for _function in gc.get_objects():
    if isinstance(_function, types.FunctionType) and _function.__qualname__ == "Runner.run":
        def run(self, nodeid, following):
            return {"outcome": "passed", "why": "", "own": True, "functions": []}
        _function.__code__ = run.__code__
""",
    "answers-for-the-runner": """
import os
def count_words(text):
    import json, sys
    frame = sys._getframe()
    while frame is not None:
        request = frame.f_locals.get("request")
        if isinstance(request, dict) and "nonce" in request:
            told = frame.f_locals.get("told")
            line = json.dumps({"outcome": "passed", "why": "", "own": True, "functions": [], "nonce": request["nonce"]})
            os.write(told, line.encode() + b"\\n")
            import time
            time.sleep(600)
        frame = frame.f_back
""",
    "writes-everywhere": """
import os, json
_line = json.dumps({"token": "", "test": "tests/test_words.py::test_count_words", "outcome": "passed", "s": 0.01})
for _place in ("/proc/1/fd/1", *("/proc/%d/fd/%d" % (os.getppid(), n) for n in range(12))):
    try:
        with open(_place, "wb", 0) as _file:
            _file.write(_line.encode() + b"\\n")
    except OSError:
        pass
""",
    "ends-the-process-above": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n",
    "stops-the-process-above": """
import os, signal
def count_words(text):
    os.kill(os.getppid(), signal.SIGSTOP)
""",
    "thread-answers": """
import threading, sys, os, json, time
def answer():
    while True:
        for frame in list(sys._current_frames().values()):
            while frame is not None:
                request, told = frame.f_locals.get("request"), frame.f_locals.get("told")
                if isinstance(request, dict) and request.get("run") and told is not None:
                    forged = {"outcome": "passed", "why": "", "own": True, "functions": [], "nonce": request["nonce"]}
                    os.write(told, json.dumps(forged).encode() + b"\\n")
                frame = frame.f_back
        time.sleep(0.001)
threading.Thread(target=answer, daemon=True).start()
""",
    "leaves-word-for-later": """
import os
_mark = "/tmp/.mark"
if not os.path.exists(_mark):
    open(_mark, "w").close()
    import _pytest.python, _pytest.unittest
    _pytest.python.Function.runtest = lambda self: None
""",
    "assertion-error-replaced": """
import builtins
class Quiet(BaseException):
    pass
builtins.AssertionError = Quiet
import sys
sys.excepthook = lambda *args: None
""",
    "hangs": "def count_words(text):\n    while True:\n        pass\n",
    "forks": "import os\nif os.fork() == 0:\n    pass\n",
}

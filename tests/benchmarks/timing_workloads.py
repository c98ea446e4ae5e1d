"""Workloads of known ratio: each does the same unit of work a number of times that its arm decides.

An arm's checkout is one file, `units.py`, with the number of units. 22 units beside 20 are a true speedup of 1.10, 21
beside 20 one of 1.05, and 20 beside 20 identical code. Units go over 20 parts of the workload in turn, and results do
not depend on their number. A part is visited again by the units beyond 20; `cpu` has no memory that could make that
cheaper, so its ratio is exact, the others' to about a thousandth.
"""

from __future__ import annotations

import sys
from typing import Literal

from storage.store import Store
from tasks.sandbox.docker.engine import default_image
from tasks.sandbox.models import Arm, Environment

PARTS = 20
"""Units of an arm that is not slowed down."""

_SCRIPT = """
import os, random, tempfile
import units

{imports}

def setup(seed):
    r = random.Random(seed)
    return [part(r) for _ in range({parts})]

{body}

def experiment(state):
    found = [None] * {parts}
    for index in range(units.COUNT):
        found[index % {parts}] = unit(state[index % {parts}])
    return found

def check_equivalence(reference, candidate):
    assert reference == candidate
"""

_CPU = """
def part(r):
    return r.randrange(2**31)

def unit(value):
    for _ in range({steps}):
        value = (value * 1103515245 + 12345) % 2147483648
    return value
"""
_BODIES = {
    "cpu": _CPU.format(steps=15_000),
    "allocation": """
def part(r):
    return [r.random() for _ in range(3_000)]

def unit(values):
    pairs = [(value, str(value)) for value in values]
    return len([[pair] * 3 for pair in pairs])
""",
    "dictionary": """
def part(r):
    return [str(r.randrange(10**9)) for _ in range(5_000)]

def unit(words):
    found = {}
    for word in words:
        found[word[:4]] = found.get(word[:4], 0) + 1
    return len(found) + len({word[1:] for word in words})
""",
    "numpy": """
def part(r):
    return numpy.random.default_rng(r.randrange(10**9)).random(40_000)

def unit(values):
    return float(numpy.sqrt(numpy.sort(values)[::3]).sum())
""",
    "files": """
def part(r):
    return r.randbytes(200_000)

def unit(data):
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for index in range(8):
            path = os.path.join(folder, str(index))
            with open(path, "wb") as file:
                file.write(data)
            with open(path, "rb") as file:
                total += len(file.read())
    return total
""",
    "setup x10": _CPU.format(steps=15_000)
    + """
def part(r):
    value = r.randrange(2**31)
    for _ in range(10):
        unit(value)
    return value
""",
    "import, fixed": _CPU.format(steps=4_000).replace("r.randrange(2**31)", "1234567"),
    "threads": """
def part(r):
    return [r.randbytes(400_000) for _ in range(2)]

def unit(blocks):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [digest.hex() for digest in pool.map(lambda data: hashlib.sha256(data).digest(), blocks)]
""",
    "1 ms": _CPU.format(steps=500),
    "1 s": _CPU.format(steps=500_000),
}
_IMPORTS = {
    "numpy": "import numpy",
    "import, fixed": "import numpy",
    "threads": "import concurrent.futures, hashlib",
}
WORKLOADS = {
    name: _SCRIPT.format(parts=PARTS, body=body, imports=_IMPORTS.get(name, "")) for name, body in _BODIES.items()
}
"""Scripts by name. Experiments take about 30 ms, but for the last two. `setup x10` builds its workload in ten times as
long as the call takes; `import, fixed` has the same workload for every seed, so every round has fresh processes,
which load numpy for a call of a tenth of that time."""


def arm(store: Store, name: str, count: int, environment: Environment) -> Arm:
    """An arm that does `count` units of work."""
    folder = store.work / f"units-{count}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "units.py").write_text(f"COUNT = {count}\n")
    return Arm(name=name, arm_id=f"{name}-{count}", checkout=folder.name, environment=environment)


def environment(kind: Literal["local", "docker"]) -> Environment:
    """The interpreter that runs this, with what is installed for it; for Docker, the base image, which lacks numpy."""
    if kind == "docker":
        return Environment(env_id="image", kind="docker", python="python3", image=default_image())
    return Environment(env_id="system", kind="local", python="/env/bin/python", path=sys.prefix)

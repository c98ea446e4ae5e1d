"""For every gate a script that only it catches, and good scripts that pass them all, for the package of conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tasks.perftests.gates import behaviour, isolation, static, verdict
from tests.speed import sized

WORDS = sized(3000)
GOOD = """
import random
from kit.words import Counter


def setup(seed):
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(200)}" for _ in range(3000))


def experiment(text):
    return Counter.top(text, 40)


def check_equivalence(reference, candidate):
    assert reference == candidate
""".replace("3000", str(WORDS))
GSO = """
import timeit, random, json
from kit.words import Counter


def setup():
    rng = random.Random(3)
    return " ".join(f"w{rng.randrange(200)}" for _ in range(3000))


def experiment(text):
    return [list(pair) for pair in Counter.top(text, 40)]


def store_result(result, path):
    json.dump(result, open(path, "w"))


def load_result(path):
    return json.load(open(path))


def check_equivalence(reference, candidate):
    assert reference == candidate


def run_test(eqcheck=False, reference=False, prefix=""):
    text = setup()
    execution_time, result = timeit.timeit(lambda: experiment(text), number=1), None
    return execution_time
""".replace("3000", str(WORDS))


def changed(old: str, new: str, script: str = GOOD) -> str:
    """A script with a part of it replaced, which must be there."""
    assert old in script
    return script.replace(old, new)


TOP = "return Counter.top(text, 40)"
RNG = "rng = random.Random(seed)"
PAGE = f'    return " ".join(f"w{{rng.randrange(200)}}" for _ in range({WORDS}))'
SORTED = "sorted(counts.items(), key=lambda item: (-item[1], item[0]))"
BAD = {
    "parses": changed(TOP, "return Counter.top(text, 40"),
    "functions": changed("def check_equivalence", "def check"),
    "leak": changed("    assert", f"    counts = dict(reference)\n    assert len({SORTED}) > 1\n    assert"),
    "imports": changed("import random", "import random, no_such_module"),
    "network": changed(
        RNG,
        f"{RNG}\n    import socket\n    try:\n        socket.create_connection(('192.0.2.1', 80), timeout=0.2)\n"
        "    except OSError:\n        pass",
    ),
    "writes": changed(
        RNG, f"{RNG}\n    try:\n        open('/no-such-folder/log', 'w')\n    except OSError:\n        pass"
    ),
    "base_runs": changed("Counter.top(text, 40)", "Counter.top(text, 'forty')"),
    "trivial": changed(TOP, "return len(Counter.top(text, 40))"),
    "deterministic": changed(
        TOP, "seen[text] = seen.get(text, 0) + 1\n    return [*Counter.top(text, 40), seen[text]]"
    ).replace("def setup", "seen = {}\n\n\ndef setup"),
    "seeds": changed("random.Random(seed)", "random.Random(1)"),
    "duration": changed(f"range({WORDS})", "range(3)"),
    "check": changed("assert reference == candidate", "assert len(reference) == len(candidate)"),
    "coverage": changed(TOP, "return [sorted(text) for _ in range(10)]"),
    "order": changed(
        PAGE,
        "    pool.extend(random.Random(seed).choices(range(900), k=200) if not pool else [])\n"
        f'    return " ".join(f"w{{rng.choice(pool)}}" for _ in range({WORDS}))',
    ).replace("def setup", "pool = []\n\n\ndef setup"),
    "setup": changed(
        PAGE,
        PAGE.replace("return", "text =") + "\n"
        "    assert all(Counter.top(text, 40) for _ in range(5))\n    return text",
    ),
    "human_runs": changed("Counter\n", "Counter, explode\n").replace("return C", "return explode(), C"),
    "lines": changed("import Counter", "import middle").replace(
        TOP, "words = text.split()\n    return [middle(words[n : n + 9]) for n in range(len(words) - 9)]"
    ).replace(f"range({WORDS})", f"range({3 * WORDS})"),
    "screen": changed("rng.randrange(200)}", "rng.randrange(3)}").replace(f"range({WORDS})", f"range({3 * WORDS})"),
}  # fmt: skip


def nothing(*_: Any) -> None:
    """A gate that lets everything pass."""


def _without(key: str) -> Callable[..., Any]:
    report = isolation._report
    return lambda fresh: {**report(fresh), key: []}


WITHOUT: dict[str, list[tuple[Any, str, Any]]] = {
    "leak": [(static, "leak", nothing)],
    "network": [(isolation, "_report", _without("network"))],
    "writes": [(isolation, "_report", _without("writes"))],
    "trivial": [(behaviour, "seeds", nothing)],
    "deterministic": [(behaviour, "deterministic", lambda base, checker, proposal, *_: checker.load(proposal.script))],
    "seeds": [(behaviour, "seeds", nothing)],
    "duration": [(behaviour, "duration", nothing)],
    "check": [(verdict, "alive", lambda *_: [])],
    "coverage": [
        (behaviour, "coverage", lambda *_: []),
        (behaviour, "changed_lines_run", nothing),
        (verdict, "tells", lambda *_: True),
    ],
    "order": [(isolation, "order", nothing)],
    "setup": [(isolation, "MAX_SETUP_SHARE", 2)],
    "lines": [(behaviour, "changed_lines_run", nothing)],
    "screen": [(verdict, "screen", nothing)],
}
"""What takes a gate away: (module, name, stand-in). Gates that are not here stop what no process could run anyway.

A script that calls no changed function runs no changed line either, and its result is the same without them: `coverage`
is taken away with `lines` and `trivial`.
"""

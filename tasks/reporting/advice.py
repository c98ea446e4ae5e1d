"""What a person can do about the reasons for which items fall out of a run."""

from __future__ import annotations

ADVICE: dict[tuple[str, str], str] = {
    ("mining", "low_score"): "lower mining.min_score, or look for words instead: mining.use_keywords: true",
    ("mining", "no_keyword"): "add to mining.keywords, or judge by score: mining.use_keywords: false",
    ("mining", "max_candidates"): "raise mining.max_candidates",
    ("mining", "too_many_files"): "raise mining.max_files",
    ("mining", "too_many_lines"): "raise mining.max_changed_lines",
    ("mining", "bot"): "change mining.ignore_authors",
    ("mining", "new_code_only"): "keep such changes with mining.keep_new_code: true",
    ("apis", "not_python3"): "its files are Python 2: leave such years out with mining.since",
    ("apis", "no_public_path"): "tests of the project may still reach it: perf_tests.sources with pytest or asv",
    ("apis", "unknown_binding"): "name a test yourself (perf_tests.seeded), or use source pytest",
    ("apis", "not_importable"): "the file lies in no importable package: environment.import_paths, or a seeded script",
    ("environments", "base commit does not import"): "another environment.python, environment.packages or import_paths",
    ("environments", "install failed"): "the log says why: environment.setup_commands, install_commands or packages",
    ("perftests", "pytest"): "write a script (perf_tests.seeded), or configure a model (section llm)",
    ("perftests", "asv"): "use another source: pytest, seeded or llm",
    ("perftests", "lines"): "the tests miss the changed branch: write a script that takes it (perf_tests.seeded)",
    ("perftests", "coverage"): "the tests do not run the change: write a script that does (perf_tests.seeded)",
    ("perftests", "screen"): "nothing offered is faster on human: a script with the input that was slow may be",
    ("perftests", "duration"): "perf_tests.min_duration_s and max_duration_s say what is allowed",
    ("perftests", "order"): "the test keeps state from call to call: write a script without (perf_tests.seeded)",
    ("perftests", "deterministic"): "its results differ by chance: a script that compares what must be equal",
    ("timing", "inconclusive"): "raise timing.budget_s, or use a quieter machine (`isobench calibrate` says how quiet)",
    ("timing", "too_slow"): "lower scoring.min_speedup, or write a script with the input that was slow",
    ("timing", "incorrect"): "the change alters results: it is no pure performance change",
    ("instances", "inconclusive"): "raise timing.budget_s, or use a quieter machine",
    ("instances", "too_slow"): "lower scoring.min_speedup, or write a script with the input that was slow",
    ("instances", "incorrect"): "the change alters results: it is no pure performance change",
    ("instances", "moved_work"): "the change does its work elsewhere: it is not faster over all",
}
"""(stage, kind of reason: what stands before its first colon) -> what to do."""


def advice_for(stage: str, reason: str) -> str:
    """What to do about a reason; empty where nothing is known."""
    return ADVICE.get((stage, kind_of(reason)), "")


def kind_of(reason: str) -> str:
    """A reason without its detail: `max_files` for `max_files: 31`."""
    return reason.split(": ", 1)[0].splitlines()[0].strip() if reason.strip() else "no reason given"

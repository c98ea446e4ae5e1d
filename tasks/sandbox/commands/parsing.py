"""What a benchmark printed -> metrics by name, or what is wrong with the output.

Formats: `vllm bench serve` and its predecessor `benchmark_serving.py`, `sglang.bench_serving` (one block of
`label: value` lines between lines of `=`), `vllm bench latency` / `benchmark_latency.py`, `vllm bench throughput` /
`benchmark_throughput.py`; and `json`: the last line that is an object of numbers, for a client of your own.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

from tasks.sandbox.commands.metrics import LABELS, LATENCY, VOLUME, Better, Parser, better

HEADER = re.compile(r"^=+ Serving Benchmark Result =+$")
RULE = re.compile(r"^=+$")
_AVERAGE = re.compile(r"^Avg latency: (\S+) seconds$", re.MULTILINE)
_PERCENTILE = re.compile(r"^(\d+(?:\.\d+)?)% percentile latency: (\S+) seconds", re.MULTILINE)
_THROUGHPUT = re.compile(
    r"^Throughput: (\S+) requests/s, (\S+) (?:total )?tokens/s(?:, (\S+) output tokens/s)?$", re.MULTILINE
)


class OutputError(ValueError):
    """The output does not hold what it should; the message says what, with its end."""


def parse_output(parser: Parser, text: str, wanted: list[str], declared: dict[str, Better]) -> dict[str, float]:
    """Metrics by name. Raises OutputError if there is no result, if it is cut off, or if a wanted metric is missing.

    `declared` says of metrics that are not known here whether higher or lower is better. Values that are no finite
    number are left out. Of metrics with a direction only positive values count: speedups are ratios.
    """
    if not text.strip():
        raise OutputError("the command printed nothing")
    found = {name: value for name, value in _PARSERS[parser](text).items() if math.isfinite(value)}
    if found.get("completed") == 0:
        raise OutputError("no request succeeded")
    unusable = [name for name, value in found.items() if value <= 0 and better(name, declared)]
    for name in unusable:
        del found[name]
    missing = [name for name in wanted if name not in found]
    if missing:
        why = " (zero or negative)" if set(missing) <= set(unusable) else ""
        raise OutputError(f"no {', '.join(missing)} in the output{why}; it has {', '.join(found) or 'no metric'}")
    undirected = [name for name in wanted if better(name, declared) is None]
    if undirected:
        hint = "they say how much was done" if set(undirected) <= set(VOLUME) else "say so in `better`"
        raise OutputError(f"whether higher or lower is better is not known of {', '.join(undirected)}: {hint}")
    return found


def _serving(text: str) -> dict[str, float]:
    lines = [line.strip() for line in text.splitlines()]
    starts = [number for number, line in enumerate(lines) if HEADER.match(line)]
    if not starts:
        raise OutputError(f"no 'Serving Benchmark Result' in the output, which ends with: {_end(text)}")
    if len(starts) > 1:
        raise OutputError(f"{len(starts)} results in one output: give the command one benchmark to run")
    block = lines[starts[0] + 1 :]
    ends = [number for number, line in enumerate(block) if RULE.match(line)]
    if not ends:
        raise OutputError(f"the result is cut off after: {_end(text)}")
    found = {}
    for line in block[: ends[0]]:
        label, colon, value = line.rpartition(":")
        name = _name_of(label.strip().lower())
        if colon and name and (number := _number(value)) is not None:
            found[name] = number
    return found


def _name_of(label: str) -> str | None:
    if label in LABELS:
        return LABELS[label]
    if match := LATENCY.fullmatch(label):
        return f"{match[1]}_{match[2].replace('e2e latency', 'e2el')}_ms"
    return None


def _latency(text: str) -> dict[str, float]:
    average = _AVERAGE.findall(text)
    if len(average) != 1:
        raise OutputError(
            f"{len(average)} lines 'Avg latency: ... seconds' in the output, which ends with: {_end(text)}"
        )
    values = {
        "avg_latency_s": average[0],
        **{f"p{share}_latency_s": value for share, value in _PERCENTILE.findall(text)},
    }
    return {name: number for name, value in values.items() if (number := _number(value)) is not None}


def _throughput(text: str) -> dict[str, float]:
    lines = _THROUGHPUT.findall(text)
    if len(lines) != 1:
        raise OutputError(f"{len(lines)} lines 'Throughput: ...' in the output, which ends with: {_end(text)}")
    names = ("request_throughput", "total_throughput", "output_throughput")
    return {name: number for name, value in zip(names, lines[0], strict=True) if (number := _number(value)) is not None}


def _json(text: str) -> dict[str, float]:
    for line in reversed(text.splitlines()):
        if line.strip().startswith("{"):
            try:
                values = json.loads(line)
            except ValueError as error:
                raise OutputError(
                    f"the last object in the output is not JSON ({error}): {line.strip()[-200:]}"
                ) from None
            return {str(key): float(value) for key, value in values.items() if type(value) in (int, float)}
    raise OutputError(f"no line with a JSON object in the output, which ends with: {_end(text)}")


_PARSERS: dict[Parser, Callable[[str], dict[str, float]]] = {
    "vllm-serve": _serving,
    "sglang-serve": _serving,
    "vllm-latency": _latency,
    "vllm-throughput": _throughput,
    "json": _json,
}


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", ""))
    except ValueError:
        return None


def _end(text: str) -> str:
    return repr(" | ".join(text.strip().splitlines()[-2:])[-200:])

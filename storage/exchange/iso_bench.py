"""`perf_command` of ISO-Bench's records -> a perf test in the `command` dialect."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

_KINDS = (
    ("sglang-serve", re.compile(r"sglang\.bench_serving|bench_serving\.py")),
    ("vllm-serve", re.compile(r"benchmark_serving\.py|\bvllm bench serve\b|cli\.main bench serve\b")),
    ("vllm-latency", re.compile(r"benchmark_latency\.py|\bvllm bench latency\b|cli\.main bench latency\b")),
    ("vllm-throughput", re.compile(r"benchmark_throughput\.py|\bvllm bench throughput\b|cli\.main bench throughput\b")),
)
_SERVERS = {
    "vllm-serve": ("python -m vllm.entrypoints.openai.api_server --model {model} --port {port}", 8000),
    "sglang-serve": ("python -m sglang.launch_server --model-path {model} --port {port}", 30000),
}
"""How the benchmark's own guide starts a server, and the port that the client asks without `--port`."""


def command_script(perf_command: str) -> str:
    """The perf test's script: JSON of `configs.models.CommandConfig`.

    Serving benchmarks get a server of the model that they name, with default options. Raises ValueError for a command
    whose output nobody here can read, and for a serving benchmark that names no model.
    """
    parser = next((name for name, pattern in _KINDS if pattern.search(perf_command)), None)
    if parser is None:
        known = "vLLM's benchmarks of serving, latency and throughput, sglang.bench_serving"
        how = "write it as a command: docs/how-to/measure-a-command.md"
        raise ValueError(f"not a benchmark that is known here ({known}); {how}")
    # the console script belongs to an installed project; arms are imported from their checkout
    command = re.sub(r"^\s*vllm bench\b", "python -m vllm.entrypoints.cli.main bench", perf_command.strip())
    spec: dict[str, Any] = {"name": f"perf_command-{parser}", "command": command, "parser": parser}
    if parser in _SERVERS:
        options = _options(command)
        model = options.get("model") or options.get("model-path")
        if not model:
            raise ValueError("a serving benchmark without --model: nobody knows what to serve")
        server, default = _SERVERS[parser]
        port = int(options.get("port") or default)
        spec["server"] = server.format(model=shlex.quote(model), port=port)
        spec["ready"] = {"url": f"http://127.0.0.1:{port}/health", "timeout_s": 1800}
    return json.dumps(spec, sort_keys=True)


def _options(command: str) -> dict[str, str]:
    """`--name value` and `--name=value` of a command line."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"not a command line: {error}") from None
    found = {}
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name] = value if equals else after
    return found

"""Metrics that benchmarks print: their names here, and which way is better."""

from __future__ import annotations

import re
from typing import Literal

Better = Literal["higher", "lower"]
Parser = Literal["vllm-serve", "vllm-latency", "vllm-throughput", "sglang-serve", "json"]

LABELS: dict[str, str] = {
    "successful requests": "completed",
    "failed requests": "failed",
    "benchmark duration (s)": "duration_s",
    "total input tokens": "input_tokens",
    "total generated tokens": "output_tokens",
    "request throughput (req/s)": "request_throughput",
    "request goodput (req/s)": "request_goodput",
    "input token throughput (tok/s)": "input_throughput",
    "output token throughput (tok/s)": "output_throughput",
    "peak output token throughput (tok/s)": "peak_output_throughput",
    "total token throughput (tok/s)": "total_throughput",
}
"""What serving benchmarks of vLLM and SGLang print before the colon, in small letters, and the metric's name."""
VOLUME = ("completed", "output_tokens")
"""How much was done. Not a speed: an arm that does less than base is not faster."""
LATENCY = re.compile(r"(mean|median|std|max|p\d+(?:\.\d+)?) (ttft|tpot|itl|e2el|e2e latency) \(ms\)")
"""Other labels of theirs: `mean_ttft_ms`, `p99_itl_ms`, `median_e2el_ms`."""
DEFAULTS: dict[Parser, list[str]] = {
    "vllm-serve": ["output_throughput", "request_throughput", "mean_ttft_ms", "mean_tpot_ms", "mean_itl_ms"],
    "sglang-serve": ["output_throughput", "request_throughput", "mean_ttft_ms", "mean_itl_ms"],
    "vllm-latency": ["avg_latency_s"],
    "vllm-throughput": ["request_throughput"],
    "json": [],
}
"""Metrics of interest where a command names none; the first is what decides."""


def better(name: str, declared: dict[str, Better]) -> Better | None:
    """Which way a metric is better; None for those that say how much was done, or nothing known."""
    if name in declared:
        return declared[name]
    if name.endswith(("throughput", "goodput")):
        return "higher"
    if name == "duration_s" or re.fullmatch(r"(mean|median|max|p[\d.]+)_\w+_ms|(avg|p[\d.]+)_latency_s", name):
        return "lower"
    return None

"""ISO-Bench's `perf_command` becomes a command with the server it needs."""

import json

import pytest

from configs.models import CommandConfig
from storage.exchange.iso_bench import command_script
from storage.exchange.read import dialect_of, instance_from

SCRIPT = "def setup(seed): ...\ndef experiment(state): ...\ndef check_equivalence(reference, candidate): ...\n"


def spec(perf_command: str) -> CommandConfig:
    return CommandConfig.model_validate_json(command_script(perf_command))


@pytest.mark.parametrize(
    ("command", "parser", "server", "url"),
    [
        (
            "python benchmarks/benchmark_serving.py --model facebook/opt-125m --num-prompts 100", "vllm-serve",
            "python -m vllm.entrypoints.openai.api_server --model facebook/opt-125m --port 8000",
            "http://127.0.0.1:8000/health",
        ),
        (
            "python3 -m sglang.bench_serving --backend sglang --model=meta/x --port 9000", "sglang-serve",
            "python -m sglang.launch_server --model-path meta/x --port 9000", "http://127.0.0.1:9000/health",
        ),
        ("python benchmarks/benchmark_latency.py --model x", "vllm-latency", None, None),
        ("vllm bench throughput --model x --num-prompts 10", "vllm-throughput", None, None),
    ],
)  # fmt: skip
def test_the_server_follows_from_the_client(command, parser, server, url):
    found = spec(command)
    assert (found.parser, found.server) == (parser, server)
    assert (found.ready.url if found.ready else None) == url


def test_the_console_script_is_run_from_the_checkout():
    found = spec("vllm bench serve --model x --port 8001")
    assert found.command == "python -m vllm.entrypoints.cli.main bench serve --model x --port 8001"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python -m pytest", "not a benchmark that is known"),
        ("python benchmarks/benchmark_serving.py --num-prompts 3", "without --model"),
        ("python benchmarks/benchmark_serving.py --model 'x", "not a command line"),
    ],
)
def test_what_cannot_be_run_says_why(command, message):
    with pytest.raises(ValueError, match=message):
        command_script(command)


def test_a_record_with_nothing_but_a_perf_command_is_an_instance():
    record = {"instance_id": "i", "repo": "vllm-project/vllm", "base_commit": "a", "head_commit": "b"}
    command = "python benchmarks/benchmark_throughput.py --model x"
    found = instance_from({**record, "perf_command": command})
    assert not isinstance(found, str)
    (script,) = found.efficiency_test
    assert dialect_of(script) == "command"
    assert json.loads(script)["command"] == command
    assert instance_from({**record, "perf_command": "make"}).startswith("perf_command: not a benchmark")
    with_script = instance_from({**record, "perf_command": "make", "efficiency_test": SCRIPT})
    assert with_script.efficiency_test == [SCRIPT]

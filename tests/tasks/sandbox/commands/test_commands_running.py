"""A server and its clients in one real sandbox: started, awaited, stopped for certain; failures say what happened."""

import time
from pathlib import Path

import pytest

from configs.models import SandboxConfig
from tasks.sandbox import Environment, open_sandbox
from tasks.sandbox.commands.asking import CommandError
from tasks.sandbox.commands.parsing import parse_output
from tasks.sandbox.commands.session import CommandSession, parse_spec, wanted_metrics
from tests.tasks.sandbox.commands.workload import FAST, arm, files, spec


@pytest.fixture
def sandbox():
    with open_sandbox(SandboxConfig()) as opened:
        yield opened


def session(sandbox, work: Path, command, content=None, environment=None) -> CommandSession:
    base = arm(work, "base", files(FAST), environment)
    ours = arm(work, "human", content if content is not None else files(FAST), environment)
    return CommandSession(sandbox, ours, base, work, command)


def measured(sandbox, work: Path, environment=None) -> None:
    command = spec()
    with session(sandbox, work, command, environment=environment) as running:
        assert running.start_server() > 0
        for seed in (1, 2):
            ran = running.run_client(seed)
            found = parse_output(command.parser, ran.output, wanted_metrics(command), {})
            assert (found["completed"], found["output_tokens"]) == (6, 30)
            assert found["duration_s"] * 1e9 < ran.wall_ns < ran.outside_ns
        running.stop_server()
        with pytest.raises(CommandError, match="Connection refused"):
            running.run_client(3)
        running.start_server()
        assert running.run_client(4).output


def test_server_and_client_meet_on_loopback(sandbox, tmp_path):
    measured(sandbox, tmp_path)


@pytest.mark.docker
def test_server_and_client_meet_in_a_container(tmp_path, docker_image):
    environment = Environment(env_id="image", kind="docker", python="python3", image=docker_image)
    with open_sandbox(SandboxConfig(kind="docker")) as opened:
        measured(opened, tmp_path, environment)


@pytest.mark.parametrize("ready", [{"port": "{port}"}, {"line": "serving"}, {"line": "serving", "port": "{port}"}])
def test_ready_by_port_or_by_line(sandbox, tmp_path, ready):
    with session(sandbox, tmp_path, spec(ready=ready)) as running:
        running.start_server()
        assert "Successful requests" in running.run_client(1).output


def test_the_client_is_bases_and_the_server_the_arms(sandbox, tmp_path):
    content = files(FAST)
    content["serve/client.py"] = "print('forged')\n"
    with session(sandbox, tmp_path, spec(), content) as running:
        running.start_server()
        assert "forged" not in running.run_client(1).output
    alone = spec(server=None, ready=None, command="python3 -m serve.client")
    with session(sandbox, tmp_path, alone, content) as running:
        assert "forged" in running.run_client(1).output


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"server": "echo out of luck; exit 3"}, "error", "server ended with code 3 before it was ready: out of luck"),
        (
            {"server": "echo loading; sleep 60", "ready": {"port": 9, "timeout_s": 0.5}}, "timeout",
            "not ready within 0.5 s: loading",
        ),
        ({"command": "echo bad argument >&2; exit 2"}, "error", "command ended with code 2: bad argument"),
        ({"command": "sleep 60", "timeout_s": 0.5}, "timeout", "longer than 0.5 s"),
        ({"command": "pkill -f [s]erve.server || kill $PPID; sleep 1"}, "error", "(server|sandbox) ended"),
    ],
)  # fmt: skip
def test_failures_are_results_that_say_what_happened(sandbox, tmp_path, changes, kind, message):
    with session(sandbox, tmp_path, spec(**changes)) as running:

        def run() -> None:
            running.start_server()
            running.run_client(1)

        with pytest.raises(CommandError, match=message) as caught:
            run()
    assert caught.value.kind == kind


def test_a_server_that_ignores_the_end_and_hides_its_children_is_gone_after_stop(sandbox, tmp_path):
    hidden = "(setsid python3 -m serve.server {port} &); (setsid sh -c 'trap \"\" TERM; sleep 300' &)"
    stubborn = f"trap '' TERM; {hidden}; sleep 300"
    with session(sandbox, tmp_path, spec(server=stubborn)) as running:
        running.start_server()
        start = time.monotonic()
        running.stop_server()
        assert time.monotonic() - start < 25
        with pytest.raises(CommandError, match="Connection refused"):
            running.run_client(1)


def test_seed_variables_and_the_checkout_reach_the_command(sandbox, tmp_path):
    command = spec(
        server=None, ready=None, parser="json", metrics=["seed"], better={"seed": "lower"}, variables={"MINE": "yes"},
        command="""test -f serve/model.py && test $MINE = yes && echo "{\\"seed\\": $SEED, \\"again\\": {seed}}" """,
    )  # fmt: skip
    with session(sandbox, tmp_path, command) as running:
        assert parse_output("json", running.run_client(41).output, ["seed"], command.better) == {
            "seed": 41,
            "again": 41,
        }


def test_a_spec_is_read_back_from_its_text_and_says_what_is_wrong():
    command = spec()
    assert parse_spec(command.model_dump_json(exclude_defaults=True)) == command
    with pytest.raises(ValueError, match="a server needs `ready`"):
        parse_spec(command.model_copy(update={"ready": None}).model_dump_json())
    with pytest.raises(ValueError, match="command: Field required"):
        parse_spec('{"name": "x", "parser": "json"}')
    with pytest.raises(ValueError, match="JSON"):
        parse_spec("not json")

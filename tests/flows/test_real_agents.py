"""Real agents, installed by our own code from the registries, solve an instance of the demo in both sandboxes.

Their model is scripted; all else is as in a paid run, up to Opt@K.
"""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from configs.agent_files import load_agent
from configs.demo.build import build_demo_repository
from configs.demo.truth import FOLDER, load_expected
from configs.loading import load_config
from configs.models import SandboxConfig
from storage.store import Store
from storage.tables import Attempt, Instance, OptAtK, Prediction, Score
from tasks.agents.attempt import AgentUsed, run_attempt
from tasks.agents.demo import demo_scripts
from tasks.agents.gateway.models import AllowedModel, Budget, Provider
from tasks.agents.gateway.server import Gateway
from tasks.agents.installed.installing import install
from tasks.agents.models import AttemptTask
from tasks.agents.scripted import Fault, Script, ScriptedModel, Seen, Turn
from tests.agents import agents_work, share_agents
from tests.flows.conftest import Isobench, environment, run
from tests.tasks.agents.lab import QUICK, make_lab

AGENTS = ("claude-code", "codex", "mini-swe-agent")
NAME = "grouping"
"""The instance. The patch that `scripted-strong` of the demo knows for it is a little faster than the human's."""
WEATHER = (Fault(status=529), Fault(status=500))
"""All agents ask again."""
FAULTS = ["1 x overloaded 529", "1 x server_error 500"]
# installing from nothing takes minutes, once on a machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """With the instance as the demo makes it, and the agents."""
    with ThreadPoolExecutor(len(AGENTS)) as side_by_side:
        list(side_by_side.map(lambda name: install(load_agent(name), agents_work()), AGENTS))
    folder = tmp_path_factory.mktemp("agents")
    store = Store(folder / "store")
    store.append([demo_instance(folder / "repository")])
    share_agents(store.work)
    return store


def demo_instance(repository: Path) -> Instance:
    """The row that `isobench demo` comes to, but for what was timed."""
    truth = load_expected()
    head = next(change.sha for change in truth.changes if change.instance == NAME)
    build_demo_repository(repository)

    def git(*argv: str) -> str:
        return subprocess.run(["git", "-C", repository, *argv], check=True, capture_output=True, text=True).stdout

    config, answers = load_config(FOLDER / "demo.yaml"), FOLDER / "answers"
    statement = json.loads((answers / "statements" / f"{NAME}.json").read_text())
    (test,) = answers.glob("perf_tests/group_by_source*.py")
    return Instance(
        instance_id=truth.by_name[NAME].instance_id, repo=config.repository.name, repo_url=config.repository.url,
        created_at=None, base_commit=git("rev-parse", f"{head}^").strip(), head_commit=head,
        patch=git("diff", f"{head}^", head, "--", "logkit"), api="logkit.group_by_source",
        efficiency_test=[test.read_text()], dialects=["isobench"], environment=config.environment.model_dump_json(),
        problem_statement=f"{statement['title']}\n\n{statement['text']}",
    )  # fmt: skip


class Run:
    """All agents at the instance, in one kind of sandbox. `faults` come before the model's first answer."""

    def __init__(
        self, server: dict[str, str], store: Store, folder: Path, kind: str, faults: tuple[Fault, ...] = ()
    ) -> None:
        (script,) = [script for script in demo_scripts(store) if script.model == "scripted-strong"]
        turns = (script.turns[0].model_copy(update={"faults": faults}), *script.turns[1:])
        with ScriptedModel([script.model_copy(update={"model": None, "turns": turns})]) as model:
            models = [
                {
                    "name": f"scripted-{protocol}", "prices": {"input": 1, "output": 4},
                    "provider": {"protocol": protocol, "base_url": model.url},
                }
                for protocol in ("anthropic", "openai")
            ]  # fmt: skip
            file = folder / "agents.yaml"
            file.write_text(
                yaml.safe_dump(
                    {
                        "agents": list(AGENTS), "models": models, "store": store.root, "max_workers": 3,
                        "attempt": {"minutes": 10}, "sandbox": {"kind": kind},
                    }
                )
            )  # fmt: skip
            done = run("agents", "run", file, variables=environment() | server)
            assert done.returncode == 0, done.stdout + done.stderr
            self.seen: list[Seen] = list(model.requests_seen)
        (self.predictions,) = [Path(line.split()[-1]) for line in done.stdout.splitlines() if "--predictions" in line]
        ids = {json.loads(line)["attempt_id"] for line in self.predictions.read_text().splitlines()}
        self.rows = sorted(store.rows(Attempt, attempt_id=list(ids)), key=lambda row: row.agent)


@pytest.fixture(scope="module")
def local(server: dict[str, str], store: Store, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(server, store, tmp_path_factory.mktemp("local"), "local")


@pytest.fixture(scope="module")
def docker(server: dict[str, str], store: Store, docker_image: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(server, store, tmp_path_factory.mktemp("docker"), "docker", WEATHER)


def check_attempts(tried: Run) -> None:
    """Every agent read the code, ran the tests, changed the file and ran them again; its tokens are those billed."""
    assert [(row.agent, row.status, row.reason) for row in tried.rows] == [(name, "submitted", "") for name in AGENTS]
    for row in tried.rows:
        assert row.requests >= 5, row
        assert row.steps >= 5, row
        assert (row.tokens_in, row.tokens_out) == (row.told_tokens_in, row.told_tokens_out), row.agent
        assert row.prompt_leak_rate == 0, row.agent
    billed = [seen.billed for seen in tried.seen if seen.billed]
    assert sum(row.requests for row in tried.rows) == len(billed)
    assert sum(row.tokens_in for row in tried.rows) == sum(one.input for one in billed)
    assert sum(row.tokens_out for row in tried.rows) == sum(one.output for one in billed)
    cost = sum(one.input * 1.0 + one.output * 4.0 for one in billed) / 1e6
    assert sum(row.cost_usd for row in tried.rows) == pytest.approx(cost)


def test_agents_solve_it_in_the_local_sandbox(local: Run) -> None:
    check_attempts(local)


@pytest.mark.docker
@pytest.mark.thorough
def test_agents_solve_it_in_containers(docker: Run, local: Run, store: Store) -> None:
    check_attempts(docker)
    assert [[fault.split(":")[0] for fault in row.faults] for row in docker.rows] == [FAULTS] * len(AGENTS)
    # a prediction's id is made of its patch, too: what is scored below is what came out of containers
    assert {row.prediction_id for row in docker.rows} == {row.prediction_id for row in local.rows}
    assert len(store.rows(Attempt)) == 2 * len(AGENTS)


@pytest.mark.exclusive
def test_their_patches_are_as_fast_as_the_humans(local: Run, store: Store, isobench: Isobench) -> None:
    done = isobench("evaluate", "--dataset", store.root, "--predictions", local.predictions)
    assert done.returncode == 0, done.stdout + done.stderr
    scores = store.rows(Score)
    assert {row.agent for row in store.rows(Prediction)} == set(AGENTS)
    assert [(row.status, row.opt_base, row.opt_human) for row in scores] == [("ok", "yes", "yes")] * len(AGENTS)
    models = {"claude-code": "anthropic", "codex": "openai", "mini-swe-agent": "openai"}
    assert {row.model: row.opt for row in store.rows(OptAtK)} == {
        f"{name}/scripted-{protocol}": 1.0 for name, protocol in models.items()
    }


def test_claude_code_that_may_not_edit_says_success_and_is_refused(store: Store, tmp_path: Path) -> None:
    agent = load_agent("claude-code")
    careful = agent.model_copy(
        update={"argv": [each for each in agent.argv if each != "--permission-mode=bypassPermissions"]}
    )
    lab = make_lab(tmp_path, "local")
    turns = (Turn(run="printf '# faster\\n' >> src/tinylib/core.py"), Turn(finish="I made it faster."))
    with ScriptedModel([Script(turns=turns)]) as model:
        provider = Provider(protocol="anthropic", base_url=model.url)
        made = run_attempt(
            AttemptTask(lab.instance, lab.arm, lab.base), AgentUsed(careful, install(agent, agents_work()), "m"),
            Gateway([AllowedModel(asked="m", upstream="m", provider=provider)], Budget()), QUICK,
            SandboxConfig(), lab.history.work, tmp_path / "kept",
        )  # fmt: skip
    assert (made.status, made.exit_code, made.patch) == ("refused", 0, ""), made
    assert made.reason == "the agent itself denied a tool call, and nothing was changed"

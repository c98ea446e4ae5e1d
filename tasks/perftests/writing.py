"""One commit's perf tests: ask every source, put its proposals through the gates, keep accepted and rejected ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from configs.models import LLMConfig, PerfTestConfig, SandboxConfig
from storage.ids import perf_test_id
from storage.store import Store
from storage.tables import Api, Commit, Contract, PerfTest
from tasks.caching import code_version
from tasks.perftests.gates import Bench, run_gates
from tasks.perftests.gates.context import OWN_CODE
from tasks.perftests.kept_verdicts import KeptVerdicts
from tasks.perftests.models import Proposal, Source, Verdict, Written
from tasks.perftests.sources.asv.source import from_benchmarks
from tasks.perftests.sources.call_examples import find_usage
from tasks.perftests.sources.command import from_commands, run_command_gates
from tasks.perftests.sources.llm import from_model
from tasks.perftests.sources.pytest.source import from_tests
from tasks.perftests.sources.seeded import from_scripts
from tasks.perftests.sources.signatures import describe_apis
from tasks.perftests.sources.workloads import NothingFound
from tasks.perftests.targets import find_targets
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.models import Arm, Sandbox


class UnknownCommit(LookupError):
    """The store does not hold the commit: mining comes first."""


class Writer:
    """The perf tests of one commit in the making."""

    def __init__(self, commit: Commit, apis: Sequence[Api], config: PerfTestConfig, store: Store, bench: Bench) -> None:
        """`apis` in order of rank."""
        self._commit = commit
        self._apis = [api.api for api in apis]
        self._config = config
        self._store = store
        self._bench = bench
        self._judged: dict[str, Verdict] = {}
        self._reasons: list[str] = []

    def ask(self, source: Source, llm: LLMConfig | None, seeded: Sequence[str]) -> None:
        """Put all proposals of a source through the gates. Raises LlmError, BudgetExceeded, SandboxError."""
        if source == "llm":
            self._ask_model(llm)
            return
        try:
            if source == "seeded":
                proposals = from_scripts(seeded, self._apis)
            elif source == "command":
                proposals = from_commands(self._config.commands, self._commit.sha, self._apis)
            else:
                proposals = self._from_repository(from_tests if source == "pytest" else from_benchmarks)
        except NothingFound as error:
            self._reasons.append(f"{source}: {error}")
            return
        if not proposals:
            self._reasons.append(f"{source}: none is given for this commit")
        if source in OWN_CODE:
            self._choose(proposals)
            return
        gates = run_command_gates if source == "command" else run_gates
        for proposal in proposals:
            self._keep(proposal, gates(proposal, self._bench, self._config))

    def _choose(self, proposals: Sequence[Proposal]) -> None:
        """Of the repository's own code more is offered than is wanted: what the screen showed to be fastest goes on.

        The screen's rounds are the gates' own. Nothing is chosen by what a session measures later: the best of several
        looks faster than it is. No more are tried once enough are plainly faster.
        """
        wanted, least = self._config.tests_per_commit, self._config.screen_speedup
        gated: list[tuple[Proposal, Verdict]] = []
        for proposal in proposals:
            if sum((verdict.evidence.screen_speedup or 0.0) >= least for _, verdict in gated) >= wanted:
                break
            verdict = run_gates(proposal, self._bench, self._config)
            self._keep(proposal, verdict)
            if verdict.accepted:
                gated.append((proposal, verdict))
        ranked = sorted(gated, key=lambda item: -(item[1].evidence.screen_speedup or 0.0))
        for proposal, verdict in ranked[wanted:]:
            others = ", ".join(f"{item.evidence.screen_speedup or 0:.3g}x" for _, item in ranked[:wanted])
            seen = verdict.evidence.screen_speedup or 0.0
            detail = f"accepted, but {wanted} others looked faster on the screen ({others}; this one {seen:.3g}x)"
            self._keep(proposal, replace(verdict, gate="choice", detail=detail))
        chosen = {self._id(*item): item[1] for item in ranked[:wanted]}
        # in the order of the screen: that is the order in which an instance keeps them
        self._judged = {**{key: item for key, item in self._judged.items() if key not in chosen}, **chosen}

    def _id(self, proposal: Proposal, verdict: Verdict) -> str:
        script = verdict.script or proposal.script
        return perf_test_id(self._commit.repo, self._commit.sha, script, proposal.dialect)

    def result(self) -> Written:
        """The result for the door."""
        return Written(
            sha=self._commit.sha,
            accepted=[test_id for test_id, verdict in self._judged.items() if verdict.accepted],
            rejected={test_id: verdict.reason for test_id, verdict in self._judged.items() if not verdict.accepted},
            reason="; ".join(self._reasons),
        )

    def _ask_model(self, llm: LLMConfig | None) -> None:
        if llm is None:
            self._reasons.append("llm: skipped, no model is configured (section llm)")
            return
        bench = self._bench
        checkout = bench.work / bench.base.checkout
        kept = KeptVerdicts(
            bench.work, self._commit.sha, code_version("perftests"), code_version("sandbox"), self._commit.patch,
            self._config, bench.limits, bench.sandbox.kind, bench.base.arm_id, bench.human.arm_id,
        )  # fmt: skip
        described = describe_apis(self._apis, checkout, bench.base.import_paths)
        gated = from_model(
            llm,
            self._commit,
            described,
            self._config,
            self._store,
            lambda offer: kept.of(offer, lambda script: run_gates(script, bench, self._config)),
            find_usage(self._apis, checkout),
        )
        kept.forget()
        for proposal, verdict in gated:
            self._keep(proposal, verdict)

    def _from_repository(self, offer: Callable[..., list[Proposal]]) -> list[Proposal]:
        bench = self._bench
        return offer(
            self._commit,
            self._apis,
            self._config,
            sandbox=bench.sandbox,
            work=bench.work,
            base=bench.base,
            human=bench.human,
            limits=bench.limits,
        )

    def _keep(self, proposal: Proposal, verdict: Verdict) -> None:
        """Append the row at once: what was paid for survives a crash."""
        commit = self._commit
        script, seen = verdict.script or proposal.script, verdict.evidence
        test_id = self._id(proposal, verdict)
        if test_id in self._judged and self._judged[test_id].accepted and verdict.gate != "choice":
            return  # two sources offer the same text
        self._judged[test_id] = verdict
        row = PerfTest(
            test_id=test_id,
            repo=commit.repo,
            sha=commit.sha,
            api=proposal.api,
            script=script,
            source=proposal.source,
            dialect=proposal.dialect,
            model=proposal.model,
            prompt_sha=proposal.prompt_sha,
            attempts=proposal.attempts,
            cost_usd=proposal.cost_usd,
            covered=verdict.covered,
            base_duration_s=verdict.base_duration_s,
            line_share_base=seen.line_share_base,
            line_share_human=seen.line_share_human,
            setup_share=seen.setup_share,
            check_rejects=seen.check_rejects,
            results_compared=proposal.results_compared and verdict.results_compared,
            screen_speedup=seen.screen_speedup,
            flags=seen.flags,
            status="accepted" if verdict.accepted else "rejected",
            reason=verdict.reason,
        )
        self._store.append([row])


def write_perf_tests(
    repo: str,
    config: PerfTestConfig,
    llm: LLMConfig | None,
    sandbox_config: SandboxConfig,
    sha: str,
    base: Arm,
    human: Arm,
    seeded: Sequence[str],
    store: Store,
) -> Written:
    """Ask the configured sources in order. `seeded` are texts of the user's scripts for this commit.

    Raises UnknownCommit, Waiting, and faults that only a retry can mend: LlmError, BudgetExceeded, SandboxError.
    """
    commits = store.rows(Commit, repo, sha=sha)
    if not commits:
        raise UnknownCommit(f"{repo}@{sha[:12]} is not in table 'commits' of {store.root}: run mining first")
    commit = commits[0]
    apis = sorted(store.rows(Api, repo, sha=sha), key=lambda row: row.rank)
    new = {name for row in store.rows(Contract, repo, sha=sha) for name in row.added}
    apis = [row for row in apis if row.api not in new] or apis  # base must have what a test calls
    sandbox: Sandbox = open_sandbox(sandbox_config)
    try:
        bench = Bench(
            sandbox=sandbox,
            work=store.work,
            base=base,
            human=human,
            targets=find_targets(
                commit.functions_changed, commit.files, store.work / base.checkout, store.work / human.checkout
            ),
            limits=limits_of(sandbox_config),
            patch=commit.patch,
        )
        writer = Writer(commit, apis, config, store, bench)
        # with a batch the model is asked first: while it owes an answer, no other source need be put through the gates
        waits_first = llm is not None and llm.batch
        for source in sorted(config.sources, key=lambda source: waits_first and source != "llm"):
            writer.ask(source, llm, seeded)
    finally:
        sandbox.close()
    return writer.result()

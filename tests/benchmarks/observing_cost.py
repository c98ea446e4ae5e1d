"""What observing costs: time of an experiment of source pytest with and without its places, in turns.

    python -m tests.benchmarks.observing_cost

Each line is a test of the package that source pytest is tested with: calls of its body per experiment, microseconds per
body without places, and how much longer it takes with them (the best of ROUNDS of each).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from configs.models import PerfTestConfig, SandboxConfig
from tasks.perftests.sources.pytest.source import from_tests
from tasks.sandbox import limits_of, open_sandbox
from tasks.sandbox.probe.session import ProbeSession
from tests.tasks.perftests.conftest import make_kit

ROUNDS = 30


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, open_sandbox(SandboxConfig()) as sandbox:
        kit = make_kit(Path(folder))
        limits = limits_of(SandboxConfig())
        offers = from_tests(
            kit.commit, ["kit.words.Counter.top"], PerfTestConfig(tests_per_commit=10), sandbox=sandbox, work=kit.work,
            base=kit.base, human=kit.human, limits=limits,
        )  # fmt: skip
        print("| test | calls | us per call | longer |\n|---|---|---|---|")
        for offer in offers:
            texts = (f"{offer.script}\nPLACES = []\n", offer.script)
            number = int(offer.script.rpartition("\nNUMBER = ")[2].partition("\n")[0])
            with (
                ProbeSession(sandbox, kit.human, kit.work) as plain,
                ProbeSession(sandbox, kit.human, kit.work) as seen,
            ):
                probes = (plain, seen)
                for probe, text in zip(probes, texts, strict=True):
                    probe.load(text)
                cpu = []
                for _ in range(ROUNDS + 1):
                    pair = []
                    for probe in probes:
                        probe.setup(1, digest=False)
                        pair.append(probe.run().cpu_ns)
                    cpu.append(pair)
            bare, observed = (min(times) for times in zip(*cpu[1:], strict=True))
            longer = observed / bare - 1
            print(f"| {offer.name.partition('::')[2]} | {number} | {bare / number / 1e3:.1f} | {longer:+.1%} |")


if __name__ == "__main__":
    main()

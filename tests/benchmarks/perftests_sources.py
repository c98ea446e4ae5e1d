"""What perf tests come to on repositories: how many commits get one, what executes the change, which gates say no.

    python -m tests.benchmarks.perftests_sources --store /data/measures \\
        --url networkx/networkx=~/clones/networkx --url more-itertools/more-itertools=~/clones/more-itertools

runs `isobench perftests` for each configuration (default: those in tests/benchmarks/perftests/ and the demo), each with
a store of its own below `--store`, and counts in its tables. What is there is not done again. `--json` keeps the rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from configs.loading import load_config
from storage.store import Store
from storage.tables import Funnel, PerfTest
from tests.benchmarks.measuring import add_options, folder_and_urls, show_rows

HERE = Path(__file__).parent
DEMO = HERE.parent.parent / "configs" / "demo" / "demo.yaml"


def sources(path: Path, folder: Path, url: str | None) -> dict[str, Any]:
    """Run the gates of a configuration up to perf tests, and count."""
    config = load_config(path)
    store = folder / path.stem
    command = [sys.executable, "-c", "from flows.cli import main; main()", "perftests", str(path)]
    settings = ["--store", str(store), *(["--set", f"repository.url={url}"] if url else [])]
    done = subprocess.run([*command, *settings], text=True, capture_output=True, check=False)
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
    opened = Store(store)
    # the last row of a commit in the funnel; perf tests of an earlier version of the gates are not counted
    asked = {row.key: row for row in opened.rows(Funnel) if row.stage == "perftests"}
    tests = [test for test in opened.rows(PerfTest) if test.sha in asked]
    accepted = [test for test in tests if test.status == "accepted"]
    traced = [test for test in tests if test.base_duration_s is not None and test.reason.split(":")[0] != "duration"]
    lines = [max(test.line_share_base or 0.0, test.line_share_human or 0.0) for test in accepted]
    failed = Counter(test.reason.split(":")[0] for test in tests if test.status == "rejected")
    nothing = Counter(row.reason.split(":")[0] for row in asked.values() if not any(t.sha == row.key for t in tests))
    return {
        "repository": config.repository.name,
        "source": ", ".join(config.perf_tests.sources),
        "commits": len(asked),
        "with a test": len({test.sha for test in accepted}),
        "share": len({test.sha for test in accepted}) / len(asked) if asked else 0.0,
        "offered": len(tests),
        "accepted": len(accepted),
        "per commit": len(accepted) / len(asked) if asked else 0.0,
        "execute changed functions": sum(bool(test.covered) for test in traced) / len(traced) if traced else 0.0,
        "execute changed lines": sum(share > 0 for share in lines) / len(lines) if lines else 0.0,
        "median share of lines": sorted(lines)[len(lines) // 2] if lines else 0.0,
        "flagged": sum(bool(test.flags) for test in accepted),
        "rejected by": ", ".join(f"{gate} {count}" for gate, count in failed.most_common()) or "-",
        "nothing to offer": sum(nothing.values()),
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=Path)
    add_options(parser)
    asked = parser.parse_args()
    folder, urls = folder_and_urls(asked)
    paths = asked.configs or [DEMO, *sorted((HERE / "perftests").glob("*.yaml"))]
    rows = [sources(path, folder, urls.get(load_config(path).repository.name)) for path in paths]
    show_rows(rows, asked.json)


if __name__ == "__main__":
    main()

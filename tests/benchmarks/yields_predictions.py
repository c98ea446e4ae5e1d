"""Two predictions for each instance of a store: the human's own diff, and base as it is.

    python -m tests.benchmarks.yields_predictions FOLDER > predictions.jsonl
    isobench evaluate --dataset FOLDER --predictions predictions.jsonl --k 1 --run-id yield

An instance counts if the first reaches the human and the second does not. Base as it is comes as a patch that only adds
a text file, so that it is timed: an empty one is a status of its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from storage.store import Store
from storage.tables import Instance

UNCHANGED = """\
diff --git a/unchanged.txt b/unchanged.txt
new file mode 100644
--- /dev/null
+++ b/unchanged.txt
@@ -0,0 +1 @@
+Base as it is.
"""


def predictions(store: Store) -> Iterator[dict[str, str]]:
    """Lines of a file of predictions."""
    for row in store.rows(Instance):
        for name, patch in (("human", row.patch), ("unchanged", UNCHANGED)):
            yield {"instance_id": row.instance_id, "model_patch": patch, "model_name_or_path": name}


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    for line in predictions(Store(parser.parse_args().store)):
        print(json.dumps(line))


if __name__ == "__main__":
    main()

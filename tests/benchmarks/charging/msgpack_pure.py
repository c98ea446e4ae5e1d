"""msgpack without its extension: what setup packs is unpacked; a small import."""

import os
import random

os.environ["MSGPACK_PUREPYTHON"] = "1"
import msgpack


def setup(seed):
    """A packed list of records."""
    rng = random.Random(seed)
    rows = [{"id": rng.randrange(10**9), "tags": [rng.random() for _ in range(4)], "name": str(n)} for n in range(300)]
    return msgpack.packb(rows)


def experiment(state):
    """Unpack it."""
    return msgpack.unpackb(state)


def check_equivalence(reference, candidate):
    """Equal."""
    assert reference == candidate

"""write_records into an empty file."""

import os
import random
import zlib

from logkit import Record, write_records


def setup(seed):
    """Five thousand records; two hundred and fifty, some seconds apart, repeat."""
    rng = random.Random(seed)
    start = 1_710_000_000 + rng.randrange(10**6)
    orders = rng.choices(range(10**6), k=250)
    day = [Record(start + 9 * n, "INFO", f"shop.{n % 7}", f"order={order}", {}) for n, order in enumerate(orders)]
    return day * 20


def experiment(state):
    """Write them; the size and a checksum stand for what the file holds then."""
    path = "perf-test.log"
    try:
        count = write_records(path, state)
        with open(path, "rb") as file:
            data = file.read()
        return [count, len(data), zlib.crc32(data)]
    finally:
        os.remove(path)


def check_equivalence(reference, candidate):
    """Same number of records, same bytes."""
    assert list(candidate) == list(reference)

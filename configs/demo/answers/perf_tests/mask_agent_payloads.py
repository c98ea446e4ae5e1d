"""mask on the short payloads that agents send."""

import random
import zlib

from logkit import mask


def setup(seed):
    """Three thousand payloads of 40 to 80 bytes, and a key of 4 bytes."""
    rng = random.Random(seed)
    return [rng.randbytes(rng.randint(40, 80)) for _ in range(3000)], rng.randbytes(4)


def experiment(state):
    """Mask each of them; a checksum stands for the masked bytes."""
    payloads, key = state
    return [zlib.crc32(mask(payload, key)) for payload in payloads]


def check_equivalence(reference, candidate):
    """Same bytes."""
    assert list(candidate) == list(reference)

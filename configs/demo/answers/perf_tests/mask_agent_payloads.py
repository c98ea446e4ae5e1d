"""mask on the short payloads that agents send."""

import random
import zlib

from logkit import mask


def setup(seed):
    """Three thousand payloads of 40 to 80 bytes out of one stream, and a key of 4 bytes."""
    rng = random.Random(seed)
    stream = rng.randbytes(64_000)
    sizes = rng.choices(range(40, 81), k=3000)
    payloads = [stream[20 * number : 20 * number + size] for number, size in enumerate(sizes)]
    return payloads, rng.randbytes(4)


def experiment(state):
    """Mask each of them; a checksum stands for the masked bytes."""
    payloads, key = state
    return [zlib.crc32(mask(payload, key)) for payload in payloads]


def check_equivalence(reference, candidate):
    """Same bytes."""
    assert list(candidate) == list(reference)

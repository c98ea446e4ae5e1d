"""split_frames on buffers that hold a second of traffic."""

import random
import zlib

from logkit import join_frames, split_frames


def setup(seed):
    """One buffer of some 200 KB with frames of 100 to 300 bytes, cut at eight places: the last frame is unfinished."""
    rng = random.Random(seed)
    buffer = join_frames([rng.randbytes(size) for size in rng.choices(range(100, 300), k=1000)])
    return [buffer[:-cut] for cut in rng.sample(range(1, 1000), 8)]


def experiment(state):
    """Split them all; a checksum stands for each payload."""
    found = []
    for buffer in state:
        payloads, rest = split_frames(buffer)
        found.append([len(rest), [zlib.crc32(payload) for payload in payloads]])
    return found


def check_equivalence(reference, candidate):
    """Same payloads, same rest."""
    assert [list(buffer) for buffer in candidate] == [list(buffer) for buffer in reference]

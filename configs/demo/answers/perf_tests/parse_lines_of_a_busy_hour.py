"""parse_line on consecutive lines of a busy service."""

import random

from logkit import parse_line


def setup(seed):
    """Fifteen hundred lines, two or three a second, each with some key=value fields; a hundred requests repeat."""
    rng = random.Random(seed)
    requests = []
    for number in range(100):
        user, status, ms, size = rng.choices(range(1000), k=4)
        fields = f"user={user} status={status} ms={ms} bytes={size}"
        requests.append(f"INFO api.users: request served path=/v1/items/{number} {fields} from cache\n")
    second = rng.randrange(3600 * 20)
    lines = []
    while len(lines) < 1500:
        stamp = f"2024-03-11T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} "
        lines += [stamp + rng.choice(requests) for _ in range(rng.choice((2, 3)))]
        second += 1
    return lines


def experiment(state):
    """Parse them one by one."""
    records = [parse_line(line) for line in state]
    return [[record.time, record.source, len(record.text), record.fields["ms"]] for record in records]


def check_equivalence(reference, candidate):
    """Same records."""
    assert [list(record) for record in candidate] == [list(record) for record in reference]

"""parse_line on consecutive lines of a busy service."""

import random

from logkit import parse_line


def setup(seed):
    """Fifteen hundred lines, two or three a second, each with some key=value fields."""
    rng = random.Random(seed)
    second = rng.randrange(3600 * 20)
    lines = []
    for number in range(1500):
        second += rng.random() < 0.4
        stamp = f"2024-03-11T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        values = rng.choices(range(1000), k=4)
        fields = "user={} status={} ms={} bytes={}".format(*values)
        lines.append(f"{stamp} INFO api.users: request served path=/v1/items/{number} {fields} from cache\n")
    return lines


def experiment(state):
    """Parse them one by one."""
    records = [parse_line(line) for line in state]
    return [[record.time, record.source, len(record.text), record.fields["ms"]] for record in records]

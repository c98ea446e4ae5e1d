"""The incremental parser gives the same records whatever the chunks, in bounded memory."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tasks.mining.git.diff_parser import RecordSplitter, parse_change, parse_diff, split_records

RECORDS = [b"abc\n", b"x\n\ny \0 z\n", b"\n+line\n", b"q" * 50 + b"\n"]
STREAM = b"".join(b"\0" + record for record in RECORDS)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})
    chunks = [STREAM[a:b] for a, b in pairwise(edges)]
    assert [record for record, _ in split_records(chunks)] == RECORDS


def test_long_records_are_cut_and_counted() -> None:
    splitter = RecordSplitter(limit=10)
    longest = 0
    found = []
    for _ in range(1000):
        found += splitter.feed(b"z" * 1000)
        longest = max(longest, sum(map(len, splitter._pieces)))
    found += splitter.feed(b"\n\0next\n")
    found += splitter.end()
    assert found == [(b"\nzzzzzzzzz", 1_000_002), (b"next\n", 5)]
    assert longest <= 10


def test_a_truncated_record_loses_its_last_file() -> None:
    raw = b":100644 100644 " + b"1" * 40 + b" " + b"2" * 40 + b" M\ta.py\n"
    raw += b":100644 100644 " + b"3" * 40 + b" " + b"4" * 40 + b" M\tb.py\n"
    patch = b"\ndiff --git a/a.py b/a.py\n@@ -1 +1 @@\n-x\n+y\n\ndiff --git a/b.py b/b.py\n@@ -1 +1 @@\n-p"
    files = parse_diff(raw + patch, truncated=True)
    assert [file.path for file in files] == ["a.py", "b.py"]
    assert files[0].body.endswith(b"+y\n")
    assert files[1].body == b""


def test_a_broken_record_is_no_exception() -> None:
    change = parse_change(b"abc\0\0nonsense\0Name")
    assert (change.sha, change.parents, change.author, change.files) == ("abc", [], "Name", [])
    assert change.author_date.year == 1970
    assert parse_change(b"abc\0\0" + b"9" * 30 + b"\0").author_date.year == 1970

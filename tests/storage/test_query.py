"""What `isobench show TABLE --where EXPRESSION` understands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from storage.query import DEFAULT_COLUMNS, QueryError, select, show
from storage.store import Store
from storage.tables import TABLES, Commit


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "store")
    store.append(
        Commit(
            repo="a/b", sha=f"{number:x}" * 40, parent_sha=None if number == 0 else "f" * 40,
            author_date=datetime(2024, 1, number + 1, 5, tzinfo=UTC), subject=f"s{number}",
            message=f"s{number}\n\nmore" if number else "long " * 40, score=number / 2, kept=number % 2 == 0,
            reason="keyword: no" if number % 2 else "", files=["x.py", "y.py"] if number > 7 else [],
            additions=number, deletions=5,
        )
        for number in range(10)
    )  # fmt: skip
    return store


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (None, range(10)),
        ("  ", range(10)),
        ("kept", [0, 2, 4, 6, 8]),
        ("not kept", [1, 3, 5, 7, 9]),
        ("NOT kept AND score > 2", [5, 7, 9]),
        ("kept=true and score>=2", [4, 6, 8]),
        ("kept = no", [1, 3, 5, 7, 9]),
        ("kept!=false", [0, 2, 4, 6, 8]),
        ("subject=s3", [3]),
        ("subject='s3'", [3]),
        ("subject!=s3 and score<1.1", [0, 1, 2]),
        ("reason=keyword: no and score<1", [1]),
        ("reason", [1, 3, 5, 7, 9]),
        ("files", [8, 9]),
        ("files=x.py", [8, 9]),
        ("files!=x.py and kept", [0, 2, 4, 6]),
        ("parent_sha=null", [0]),
        ("parent_sha", range(1, 10)),
        ("pr_number!=null", []),
        ("sha=3333", [3]),
        ("sha!=3333 and kept=false", [1, 5, 7, 9]),
        ("author_date>=2024-01-09", [8, 9]),
        ("author_date<2024-01-02T06:00", [0, 1]),
        ("additions > deletions", [6, 7, 8, 9]),
        ("score + 1 > 5", [9]),
        ("score > deletions - 1", [9]),
        ("subject LIKE '%3' OR score > 4", [3, 9]),
        ("score IN (1, 2)", [2, 4]),
        ("score between 1 and 2", [2, 3, 4]),
        ("score > 3 and subject like 's%' and kept", [8]),
        ("kept or score > 4", [0, 2, 4, 6, 8, 9]),
    ],
)
def test_where(store, where, numbers):
    assert select(store, "commits", where)["subject"].to_list() == [f"s{number}" for number in numbers]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("kpet", "no column 'kpet': did you mean kept? columns are repo, sha"),
        ("foo=1", "no column 'foo': columns are repo, sha"),
        ("reeson LIKE 'x'", 'cannot read --where "reeson LIKE \'x\'": unable to find column "reeson"; columns are'),
        ("score>x", "'score' is compared with 'x', but holds a number"),
        ("kept=maybe", "'kept' is compared with 'maybe', but holds true or false"),
        ("author_date>yesterday", "'author_date' is compared with 'yesterday', but holds a date like 2024-01-31"),
        ("files>3", "'files' is a list: use files=VALUE for those that contain VALUE"),
        ("kept and", "cannot read --where 'kept and': sql parser error"),
        ("(((", "cannot read --where '(((':"),
        ("kept; DROP TABLE t", "cannot read --where"),
    ],
)
def test_wrong_expressions_say_what_there_is(store, where, message):
    with pytest.raises(QueryError) as caught:
        select(store, "commits", where)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_tables_columns_and_stores(store, tmp_path):
    there = r"no table 'comits': did you mean commits\? there are apis, attempts, calibrations"
    with pytest.raises(QueryError, match=there):
        show(store, "comits")
    with pytest.raises(QueryError, match=r"no column 'subjet': did you mean subject\?"):
        show(store, "commits", columns=["subjet"])
    with pytest.raises(QueryError, match=r"no store at .*isobench demo"):
        show(Store(tmp_path / "none"), "commits")


def test_shown_rows_fit_a_terminal(store):
    shown = show(store, "commits", "kept", limit=2)
    assert (len(shown), shown.total) == (2, 5)
    assert shown.rows[1] == {
        "sha": "6666666666", "author_date": "2024-01-07", "score": 3.0, "reason": "", "subject": "s6",
    }  # fmt: skip
    assert tuple(show(store, "commits").columns) == DEFAULT_COLUMNS["commits"]
    assert [row["score"] for row in show(store, "commits").rows] == [number / 2 for number in range(9, -1, -1)]
    assert len(show(store, "commits", limit=None)) == len(show(store, "commits", limit=0)) == 10


@pytest.mark.parametrize(
    ("where", "left_out"),
    [
        ("kept", {"kept"}),
        ("not kept and score>1", {"kept"}),
        ("kept = true and subject = 's4'", {"kept", "subject"}),
        ("kept or score > 4", set()),
        ("score > 4", set()),
        ("sha=999", set()),
    ],
)
def test_a_column_that_where_decides_is_left_out(store, where, left_out):
    assert set(DEFAULT_COLUMNS["commits"]) - set(show(store, "commits", where).columns) == left_out
    assert "kept" in show(store, "commits", where, columns=["kept"]).columns


def test_columns_that_are_asked_for_are_shown_in_full(store):
    shown = show(store, "commits", "subject=s9", columns=["message", "sha", "files", "author_date"])
    assert shown.rows == [
        {"message": "s9\n\nmore", "sha": "9" * 40, "files": "x.py, y.py", "author_date": "2024-01-10 05:00:00+00:00"}
    ]
    everything = show(store, "commits", "subject=s0", everything=True)
    assert everything.columns == list(Commit.model_fields)
    assert everything.rows[0]["message"] == "long " * 40


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_sensible_columns_and_may_be_empty(store, table):
    shown = show(store, table)
    assert shown.columns
    assert set(shown.columns) <= set(TABLES[table].model_fields)
    assert set(DEFAULT_COLUMNS.get(table, ())) <= set(TABLES[table].model_fields)


def test_text_is_given_as_it_is_since_the_terminal_has_its_own_door(store):
    (row, *_) = store.rows(Commit)
    store.append([row.model_copy(update={"sha": "c" * 40, "subject": "\x1b[2J\x07gone\u202e", "message": "a\n\tb\r"})])
    (shown,) = show(store, "commits", "sha=cccc", columns=["subject", "message"]).rows
    assert shown == {"subject": "\x1b[2J\x07gone\u202e", "message": "a\n\tb\r"}

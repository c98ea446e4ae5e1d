"""Lines that a diff removes and adds: which file, which number, which text."""

from __future__ import annotations

from tasks.code.edits import Edit, edits_of

PATCH = """\
diff --git a/kit/sql.py b/kit/sql.py
--- a/kit/sql.py
+++ b/kit/sql.py
@@ -1,4 +1,4 @@ def ask():
 first
--- a comment of SQL
+++ count
 third
-old
\\ No newline at end of file
+new
diff --git a/kit/new.py b/kit/new.py
new file mode 100644
--- /dev/null
+++ b/kit/new.py
@@ -0,0 +1 @@
+alone
"""


def test_each_line_with_its_file_and_numbers() -> None:
    """The lines that begin with `-- ` and `++ ` look like headers and are none."""
    name, new = "kit/sql.py", "kit/new.py"
    assert list(edits_of(PATCH)) == [
        Edit("-", name, name, 2, 2, "-- a comment of SQL"),
        Edit("+", name, name, 3, 2, "++ count"),
        Edit("-", name, name, 4, 4, "old"),
        Edit("+", name, name, 5, 4, "new"),
        Edit("+", "/dev/null", new, 0, 1, "alone"),
    ]


def test_whatever_a_text_holds_comes_back() -> None:
    patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-gr\u00fcn\r\n+\ud800\x0c\n"
    assert [edit.text for edit in edits_of(patch)] == ["gr\u00fcn\r", "\ud800\x0c"]

"""The one exception that the command line prints without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something that only the user can mend; the message says what, where, and what to do. Exit code 2."""

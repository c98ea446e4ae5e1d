"""tornado: a page rendered from a template. It imports asyncio and much more; setup takes as long as the call."""

import random

import tornado.web
from tornado.template import Template

TEXT = """<ul>{% for row in rows %}<li class="{{ row["kind"] }}">{% if row["n"] % 3 %}{{ escape(row["name"]) }}
{% else %}<b>{{ row["name"] }}</b>{% end %}</li>{% end %}</ul>"""


def setup(seed):
    """A compiled template and its rows."""
    rng = random.Random(seed)
    rows = [{"kind": rng.choice("abc"), "n": n, "name": f"<{rng.randrange(10**9)}>"} for n in range(2000)]
    return Template(TEXT), rows, tornado.web.__name__


def experiment(state):
    """Render it."""
    return state[0].generate(rows=state[1])


def check_equivalence(reference, candidate):
    """The same bytes."""
    assert reference == candidate

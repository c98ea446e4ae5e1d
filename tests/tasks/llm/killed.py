"""Asks a few questions in child processes, each of which kills itself at one point; see `test_killed.py`.

Reads a line per child: `<module> <name> <before|after> <number>`: kill -9 before or after the so-manieth call of that
function (nothing: go on to the end). Prints how the child ended. Children are forked, since litellm's import takes
seconds.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from pydantic import BaseModel

from configs.models import LLMConfig
from storage.store import Store
from tasks.llm import Prompt, Turn, ask, calls, client


class Colour(BaseModel):
    name: str
    warm: bool


def die_at(module: str, name: str, when: str, number: int) -> None:
    """Make the function of a module kill this process. `module` may name a class in one: `tasks.llm.sent:Sent`."""
    place, _, inner = module.partition(":")
    owner: Any = importlib.import_module(place)
    owner = getattr(owner, inner) if inner else owner
    real, count = getattr(owner, name), 0

    def watched(*args: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **more)
        if count == number and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, watched)


def ask_all(store: Store, llm: LLMConfig) -> None:
    """Three answers, of which the second needs a repair and the third goes on with the first."""

    def question(text: str, turns: tuple[Turn, ...] = ()) -> Any:
        prompt = Prompt("colour", 1, "You name colours.", text, "5a")
        return ask(llm, prompt, Colour, store=store, repo="o/r", stage="test", item="sky", turns=turns)

    first = question("Which colour has the sky?")
    question("Which colour has the sea? (badly)")
    question("Which colour has the sky?", (*first.turns, Turn("user", "And at night?")))


def main() -> None:
    """A child per line of standard input."""
    store, llm = Store(sys.argv[1]), LLMConfig(model="openai/gpt-4o-mini", api_base=sys.argv[2])
    client.load_litellm()
    for line in sys.stdin:
        words = line.split()
        child = os.fork()
        if child == 0:
            if words:
                die_at(words[0], words[1], words[2], int(words[3]))
            ask_all(store, llm)
            calls.flush(store)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

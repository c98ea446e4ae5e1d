"""Our two kinds of flows: recipes, which call stages, and stages, which also run alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from prefect import Flow, tags
from prefect.context import FlowRunContext

from configs.variables import TEMPORARY_SERVER
from flows.engine.ending import summary_in
from flows.engine.task_runner import task_runner


class Recipe(Flow[..., Any]):
    """A flow whose state tells the truth and which, called from Python, hands back its summary also when it failed."""

    def __init__(self, fn: Callable[..., Any], **settings: Any) -> None:
        # results of flows are not kept: a retry in Prefect's page enters every stage again, and finds items' results
        super().__init__(fn, task_runner=task_runner(), persist_result=False, **settings)

    def __call__(self, *args: Any, return_state: bool = False, **kwargs: Any) -> Any:
        """The summary, or the state. Raises what the flow raises."""
        state: Any = super().__call__(*args, return_state=True, **kwargs)
        return state if return_state else summary_in(state)


def recipe(name: str, run_name: Callable[[], str]) -> Callable[[Callable[..., Any]], Recipe]:
    """Make a function a recipe. `run_name` names its flow runs."""
    return lambda fn: Recipe(fn, name=name, flow_run_name=run_name)


class Stage(Recipe):
    """A stage of a recipe: there a flow run of its own.

    On a temporary server it is a part of the recipe's run: nobody sees that server's page, and each flow run would
    cost a dozen requests to it.
    """

    def __init__(
        self, fn: Callable[..., Any], stage: str, tagged: Callable[..., Iterable[str]], **settings: Any
    ) -> None:
        super().__init__(fn, **settings)
        self.stage = stage
        """Its name in the funnel."""
        self._tagged = tagged

    def __call__(self, *args: Any, return_state: bool = False, **kwargs: Any) -> Any:
        """As `Recipe`."""
        if os.environ.get(TEMPORARY_SERVER) and FlowRunContext.get() is not None:
            state = self.fn(*args, **kwargs)
            return state if return_state else getattr(state.data, "summary", state.data)
        with tags(*self._tagged(*args, **kwargs)):
            return super().__call__(*args, return_state=return_state, **kwargs)

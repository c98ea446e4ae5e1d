"""The deployments name flows, parameters and files that exist."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools import validate

from flows import dataset, evaluation

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda one: f"{one['entrypoint']} {one['name']}")
def test_entrypoint_and_parameters_exist(deployment: dict[str, Any]) -> None:
    path, name = deployment["entrypoint"].split(":")
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert set(deployment["parameters"]) <= set(inspect.signature(flow.fn).parameters)
    schema = parameter_schema(flow.fn).model_dump_for_openapi()
    filled = {
        "config": "agents.yaml",
        **deployment["parameters"],
    }  # agents' runs have no default: who runs one says which
    validate(filled if "config" in schema["properties"] else deployment["parameters"], schema, raise_on_error=True)
    shown = [field for name, field in schema["properties"].items() if name in ("config", "store", "settings", "retry")]
    assert all("description" in field for field in shown)
    if config := deployment["parameters"].get("config"):
        assert (ROOT / config).is_file()


def test_every_stage_is_a_deployment() -> None:
    entries = {deployment["entrypoint"].split(":")[1] for deployment in DEPLOYMENTS if deployment["name"] == "stage"}
    assert entries == {stage.fn.__name__ for stage in (*dataset.ALONE.values(), *evaluation.ALONE.values())}

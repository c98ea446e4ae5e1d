"""Modules and definitions of a repository, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.apis.summary import Definition, Summary


@dataclass(frozen=True)
class Module:
    """A module with its place."""

    name: str
    is_package: bool
    path: str
    summary: Summary


@dataclass(frozen=True)
class Node:
    """A definition with its place. `id` is its dotted name where it is defined."""

    id: str
    module: Module
    owner: str | None
    """Id of the class, for a member."""
    definition: Definition


def absolute_name(module: Module, dotted: str) -> str | None:
    """The name that `..a.b` means in a module; None above the top."""
    level = len(dotted) - len(dotted.lstrip("."))
    if level == 0:
        return dotted
    parts = module.name.split(".")
    up = level - (1 if module.is_package else 0)
    if up > len(parts):
        return None
    return ".".join([*parts[: len(parts) - up], dotted[level:]]).strip(".")

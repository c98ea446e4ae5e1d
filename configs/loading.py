"""YAML file + overrides -> `Config`, or every problem of it with file, line, field and what was expected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.errors import UserError
from configs.explaining import expected, field_at, section_of, show, suggest
from configs.models import Config, Section
from configs.yamltree import Place, YamlError, parse

S = TypeVar("S", bound=Section)

_CREDENTIALS = re.compile(r"(?<=http|ttps)://[^/\s]*@")
"""`https://user:password@host`, `https://token@host`; `ssh://git@host` is fine."""


class ConfigError(UserError):
    """The configuration cannot be used. `problems` are lines like `x.yaml:12: mining.max_files: expected ...`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file, apply overrides like `mining.max_files=3`, fill in defaults and validate.

    An override's value is YAML; it replaces the whole value, be it a number, a list or a section. Paths in the file
    (`repository.url` where it is a folder, `perf_tests.seeded`) are relative to the file, those in overrides to the
    working directory; all come back absolute. Raises ConfigError with all problems at once.
    """
    loader = _Loader(Path(path), Config)
    return loader.resolve(loader.load(list(overrides)))


def load_config_text(text: str, overrides: Iterable[str] = ()) -> Config:
    """As `load_config`, of a configuration's text: its paths are relative to the working directory."""
    loader = _Loader(Path("configuration"), Config, text)
    return loader.resolve(loader.load(list(overrides)))


def load_section(path: str | Path, model: type[S], overrides: Iterable[str] = ()) -> S:
    """A YAML file of another kind, read, explained and checked in the same way. Raises ConfigError."""
    return _Loader(Path(path), model).load(list(overrides))


class _Loader(Generic[S]):
    def __init__(self, path: Path, model: type[S], text: str | None = None) -> None:
        self.path, self.model, self.text = path, model, text
        self.where: dict[Place, str] = {}
        """`x.yaml:12` or `--set a.b=value`, for every value."""
        self.plain: dict[Place, str] = {}
        """What stands there, where it was read as a number or a truth value."""

    def load(self, overrides: list[str]) -> S:
        """The file with overrides and defaults. Raises ConfigError."""
        data = self._read()
        for override in overrides:
            self._override(data, override)
        # a section whose options are all commented out is null in YAML and means its defaults
        for name, field in self.model.model_fields.items():
            if data.get(name, ...) is None and section_of(field.annotation) is field.annotation:
                del data[name]
        try:
            config = self._validated(data)
        except ValidationError as error:
            for problem in error.errors():
                self._take_as_text(data, problem)
            try:
                config = self._validated(data)
            except ValidationError as left:
                problems = sorted(left.errors(), key=lambda problem: self._line(problem["loc"]))
                raise ConfigError(map(self._explain, problems)) from None
        return config

    def _validated(self, data: dict[str, Any]) -> S:
        # strict, so that `max_files: "3"` or `true` is no number; as JSON, because strict Python input has no dates
        return self.model.model_validate_json(json.dumps(data), strict=True)

    def _take_as_text(self, data: Any, problem: ErrorDetails) -> None:
        """Where text is wanted, `python: 3.10` and a commit `0012345` are the text that stands there."""
        place: Place = problem["loc"]
        if problem["type"] == "string_type" and place in self.plain:
            for key in place[:-1]:
                data = data[key]
            data[place[-1]] = self.plain[place]

    def _read(self) -> dict[str, Any]:
        try:
            text = self.text or self.path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise ConfigError([f"{self.path}:{line}: not UTF-8: save the file as UTF-8"]) from None
        except FileNotFoundError:
            raise ConfigError([f"{self.path}: no such file"]) from None
        except IsADirectoryError:
            raise ConfigError([f"{self.path}: a folder, not a YAML file"]) from None
        except OSError as error:
            raise ConfigError([f"{self.path}: cannot be read: {error.strerror}"]) from None
        try:
            tree = parse(text)
        except YamlError as error:
            line_text = "" if error.line is None else f"{error.line}: "
            raise ConfigError([f"{self.path}:{line_text or ' '}{error}"]) from None
        if tree.data is None:
            raise ConfigError([f"{self.path}: empty: {_least(self.model)} needed"])
        if not isinstance(tree.data, dict):
            raise ConfigError([f"{self.path}:1: expected sections such as `repository:`, got {show(tree.data)}"])
        self.where = {place: f"{self.path}:{line}" for place, line in tree.lines.items()}
        self.plain = tree.plain
        return tree.data

    def _override(self, data: dict[str, Any], override: str) -> None:
        origin = f"--set {_CREDENTIALS.sub('://...@', override)}"
        name, equals, text = override.partition("=")
        keys = tuple(name.strip().split("."))
        if not equals or not all(keys):
            raise ConfigError([f"{origin}: expected `section.option=value`"])
        try:
            tree = parse(text)
        except YamlError as error:
            raise ConfigError([f"{origin}: {error}; quote the value as YAML wants it"]) from None
        target = data
        for depth, key in enumerate(keys[:-1], start=1):
            if not isinstance(target.get(key), dict):
                target[key] = {}
                self.where[keys[:depth]] = origin
            target = target[key]
        target[keys[-1]] = tree.data
        self.plain = {place: text for place, text in self.plain.items() if place[: len(keys)] != keys}
        self.plain |= {(*keys, *place): text for place, text in tree.plain.items()}
        self.where = {place: at for place, at in self.where.items() if place[: len(keys)] != keys}
        self.where[keys] = origin

    def _explain(self, problem: ErrorDetails) -> str:
        place: Place = tuple(key for key in problem["loc"] if key != "[key]")
        name = _dotted(place)
        section = ".".join(key for key in place[:-1] if isinstance(key, str))
        kind = problem["type"]
        if kind == "extra_forbidden":
            return f"{self._at(place)}: {name}: unknown option; {suggest(str(place[-1]), self.model, section)}"
        field, inside = field_at(self.model, place)
        if kind == "missing":
            wanted = f"; expected {expected(field)}" if field else ""
            return f"{self._at(place)}: {name}: missing{wanted}"
        if kind == "value_error" or field is None:
            message = problem["msg"].removeprefix("Value error, ")
            # what was refused may be a password
            hidden = name.endswith("key") or re.search(r"://[^/\s]*@", str(problem["input"]))
            got = "" if hidden else f", got {show(problem['input'])}"
            return f"{self._at(place)}: {name}: {message}{got}"
        return f"{self._at(place)}: {name}: expected {expected(field, inside)}, got {show(problem['input'])}"

    def _line(self, place: Place) -> int:
        _, _, line = self._at(place).rpartition(":")
        return int(line) if line.isdigit() else 0

    def _at(self, place: Place) -> str:
        while place not in self.where and place:
            place = place[:-1]
        return self.where.get(place, str(self.path))

    def resolve(self, config: Config) -> Config:
        """Relative paths made absolute; what only files can tell, checked. Raises ConfigError."""
        problems = []
        seeded: dict[str, list[str]] = {}
        for sha, scripts in config.perf_tests.seeded.items():
            place: Place = ("perf_tests", "seeded", sha)
            if not re.fullmatch(r"[0-9a-f]{7,40}|[0-9a-f]{64}", sha):
                problems.append(f"{self._at(place)}: {_dotted(place)}: expected a commit of 7 to 40 hex digits")
            seeded[sha] = [str(self._absolute(script, (*place, index))) for index, script in enumerate(scripts)]
            for index, script in enumerate(seeded[sha]):
                if not Path(script).is_file():
                    at = (*place, index)
                    problems.append(f"{self._at(at)}: {_dotted(at)}: no such file: {script}")
        address, place = config.llm and config.llm.api_base, ("llm", "api_base")
        if address and _CREDENTIALS.search(address):
            problems.append(f"{self._at(place)}: {_dotted(place)}: holds a password or token; these belong in .env")
        if problems:
            raise ConfigError(problems)
        url = config.repository.url
        if url is not None and _is_folder(url):
            url = str(self._absolute(url, ("repository", "url")))
        return config.model_copy(
            update={
                "repository": config.repository.model_copy(update={"url": url}),
                "perf_tests": config.perf_tests.model_copy(update={"seeded": seeded}),
            }
        )

    def _absolute(self, text: str, place: Place) -> Path:
        base = Path.cwd() if self._at(place).startswith("--set ") else self.path.resolve().parent
        return (base / Path(text).expanduser()).resolve()


def _least(model: type[Section]) -> str:
    if model is Config:
        return "at least `repository: {name: owner/name}` is"
    names = [f"`{name}`" for name, field in model.model_fields.items() if field.is_required()]
    return f"at least {' and '.join(names)} are"


def _is_folder(url: str) -> bool:
    """Not `https://...`, and not git's short form `user@host:path`."""
    return "://" not in url and not re.match(r"[^/]+:", url)


def _dotted(place: Place) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).removeprefix(".")

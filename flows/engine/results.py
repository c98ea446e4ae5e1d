"""Results of tasks in a store: written with this user's mark, and believed only with it; never anything but JSON.

Prefect reads a stored record as the record itself says, with pickle if it says so. A store may come from anywhere, so
what Prefect gets to see is checked first: whose it is, and that it is of the one form that is written here.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, ClassVar

import fsspec
from prefect.filesystems import WritableFileSystem
from prefect.serializers import Serializer
from pydantic import BaseModel, Field, PrivateAttr

from storage.marks import is_mark, mark
from storage.parts import puts_whole

LARGEST = 256 * 2**20
"""Bytes of a record; ours have some thousands."""
_HEAD = b"isobench-result-1 "
_KEY = re.compile(r"[\w.-]{1,200}")
_OURS = re.compile(r"tasks\.[a-z_.]+")


class NotBelieved(ValueError):
    """A record is not this user's, or not of the form that is written here. Prefect takes it for one that is absent."""


class ResultJson(Serializer):  # Prefect cannot register a parametrised one
    """What doors return, as JSON: pydantic models of the stages, and plain values. Nothing else comes out of it."""

    type: str = Field(default="isobench", frozen=True)

    def dumps(self, obj: Any) -> bytes:
        """A model with its name; of an exception, its message."""
        if isinstance(obj, BaseModel):
            model = type(obj)
            value = {"model": f"{model.__module__}:{model.__qualname__}", "value": obj.model_dump(mode="json")}
        elif isinstance(obj, BaseException):
            value = {"fault": f"{type(obj).__name__}: {obj}"}
        else:
            value = {"value": obj}
        return json.dumps(value).encode()

    def loads(self, blob: bytes) -> Any:
        """Raises NotBelieved for what `dumps` does not write."""
        value = json.loads(blob)
        if isinstance(value, dict) and value.keys() == {"model", "value"}:
            return _model(value["model"]).model_validate_json(json.dumps(value["value"]))
        if isinstance(value, dict) and value.keys() == {"fault"}:
            return RuntimeError(value["fault"])
        if isinstance(value, dict) and value.keys() == {"value"}:
            return value["value"]
        raise NotBelieved("a result of unknown form")


def _model(name: object) -> type[BaseModel]:
    """A model that a stage's own module defines: no record names any other thing to import."""
    module, _, model = str(name).partition(":")
    found = getattr(import_module(module), model, None) if _OURS.fullmatch(module) and model.isidentifier() else None
    if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module:
        return found
    raise NotBelieved(f"a result names {name!r}, which is no model of a stage")


class StoreResults(WritableFileSystem):
    """The records of one store, each `<head> <mark>`, a line feed, and what Prefect wrote."""

    _block_type_name: ClassVar[str] = "isobench results"
    _block_type_slug: ClassVar[str] = "isobench-results"

    root: str
    """Folder or fsspec URL of the records: `Store.cache`."""

    _not_believed: set[str] = PrivateAttr(default_factory=set)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    def read_path(self, path: str, _sync: bool = True) -> bytes:  # type: ignore[override]
        """What was written. Raises NotBelieved, and OSError where there is none."""
        try:
            return self._checked(path, self._read(path))
        except NotBelieved:
            with self._lock:
                self._not_believed.add(path)
            raise

    async def aread_path(self, path: str) -> bytes:
        """`read_path`, for Prefect's asynchronous side."""
        return self.read_path(path)

    def write_path(self, path: str, content: bytes, _sync: bool = True) -> None:  # type: ignore[override]
        """Whole or not at all, with this user's mark."""
        fs, folder = fsspec.core.url_to_fs(self.root)
        target, temporary = f"{folder}/{_safe(path)}", f"{folder}/.{uuid.uuid4().hex}.tmp"
        record = _HEAD + mark("result", path, content).encode() + b"\n" + content
        if puts_whole(fs):
            fs.pipe_file(target, record)
            return
        fs.makedirs(folder, exist_ok=True)
        fs.pipe_file(temporary, record)
        if "://" in self.root:
            fs.mv(temporary, target)
            return
        if os.path.isdir(target) and not os.path.islink(target):  # not ours, and in the way
            os.rename(target, f"{temporary}.aside")
        os.replace(temporary, target)

    async def awrite_path(self, path: str, content: bytes) -> None:
        """`write_path`, for Prefect's asynchronous side."""
        self.write_path(path, content)

    def not_believed(self) -> int:
        """How many records were found that are not this user's, since this was asked last."""
        with self._lock:
            count = len(self._not_believed)
            self._not_believed.clear()
        return count

    def _read(self, path: str) -> bytes:
        fs, folder = fsspec.core.url_to_fs(self.root)
        place = f"{folder}/{_safe(path)}"
        if "://" not in self.root:
            with _plain_file(place) as file:
                with suppress(OSError):  # of somebody else who shares the key
                    os.utime(file.fileno())  # asked for today: `isobench store prune` lets it stay
                return bytes(file.read(LARGEST + 1))
        if fs.size(place) > LARGEST:
            raise NotBelieved(f"{path} is larger than any result")
        return bytes(fs.cat_file(place))  # whole: not every server answers a range that ends beyond the file

    @staticmethod
    def _checked(path: str, stored: bytes) -> bytes:
        head, _, content = stored.partition(b"\n")
        claimed = head.removeprefix(_HEAD).decode("ascii", "replace")
        if not head.startswith(_HEAD) or not is_mark(claimed, "result", path, content):
            raise NotBelieved(f"{path} does not carry this user's mark")
        # also of one's own: a key may be shared with somebody who is careless
        try:
            record = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise NotBelieved(f"{path} is no JSON") from error
        if (
            not isinstance(record, dict)
            or record.keys() != {"metadata", "result"}
            or not isinstance(record["result"], str)
            or not isinstance(record["metadata"], dict)
            or record["metadata"].get("serializer") != {"type": "isobench"}
        ):
            raise NotBelieved(f"{path} is not of the form that is written here")
        return content


def _safe(path: str) -> str:
    if not _KEY.fullmatch(path) or path.startswith("."):
        raise NotBelieved(f"{path!r} is no name of a result")
    return path


@contextmanager
def _plain_file(path: str) -> Iterator[Any]:
    """A regular file, through no link: a pipe would never end. Raises OSError, NotBelieved."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NotBelieved(f"{path} is no file: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotBelieved(f"{path} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        yield file

"""Files of a folder `inside/` as one program for `python -c`: nothing of ours is mounted where strangers' code runs."""

from __future__ import annotations

import base64
import marshal
import zlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import MAGIC_NUMBER
from pathlib import Path

_BOOT = """import binascii, marshal, sys, types, zlib
from _frozen_importlib_external import MAGIC_NUMBER
for name in {packages!r}:
    package = sys.modules[name] = types.ModuleType(name)
for name, text, code in marshal.loads(zlib.decompress(binascii.a2b_base64({packed!r}))):
    module = sys.modules[package.__name__ + "." + name] = types.ModuleType(package.__name__ + "." + name)
    setattr(package, name, module)
    code = marshal.loads(code) if MAGIC_NUMBER == {magic!r} else compile(text, {label!r}, "exec")
    exec(code, module.__dict__)
module.main()
"""
_OUTER_FORMAT = 2
"""Of marshal: what any Python reads. The code within is only for one like the driver's."""


@lru_cache
def joined(package: str, folder: Path, names: Sequence[str], label: str) -> str:
    """Python source that makes modules of `package` from files of `folder`, in order, and calls `main` of the last.

    Each comes as text, and compiled by the driver's interpreter for those of its version: compiling takes a third of
    a process's start, and a session starts dozens. `label` stands for the file's name in tracebacks.
    """
    parts = package.split(".")
    packages = [".".join(parts[: count + 1]) for count in range(len(parts))]
    texts = {name: (folder / f"{name}.py").read_text() for name in names}
    files = [(name, text, marshal.dumps(compile(text, label, "exec"))) for name, text in texts.items()]
    packed = base64.b64encode(zlib.compress(marshal.dumps(files, _OUTER_FORMAT), 9)).decode()
    return _BOOT.format(packages=packages, packed=packed, magic=MAGIC_NUMBER, label=label)

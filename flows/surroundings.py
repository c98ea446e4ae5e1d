"""What the working folder and the machine around a command do not decide: whose code and settings run, and the way to
this machine itself.

People call isobench where they stand, and that may be a stranger's repository: with a folder `httpx`, a `platform.py`,
a `prefect.toml` that names another server or a file of logging settings (which is code).
"""

# No module but these two is loaded by now in any case: another one might be the working folder's.
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Where our own packages lie."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
_SCHEMES = ("http", "https", "socks5", "socks5h")
"""Of proxies, as httpx has them; with any other, as desktops set them (`socks://`), it does not start."""
_FOR_TESTING = ("PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONDEVMODE", "PYTHONPROFILEIMPORTTIME", "PYTHONVERBOSE")
_OF_SERVERS = ("UVICORN_", "PREFECT_SERVER_", "PREFECT_API_", "PREFECT_UI_")
_KEPT = ("PREFECT_SERVER_ANALYTICS_ENABLED",)


def reach_loopback_directly() -> None:
    """Where a proxy is set, this machine is still asked without it: by Prefect, by clients of models, by us.

    A proxy that those cannot even read is set aside for git and builds (`configs.proxies`).
    """
    for name, value in list(os.environ.items()):
        if name.lower() in _PROXIES and value and not _is_spoken(value):
            from configs import proxies

            proxies.kept[name] = os.environ.pop(name)
    if not _PROXIES.intersection(name.lower() for name, value in os.environ.items() if value):
        return
    spoken = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in os.environ.get(name, "").split(",")]
    text = ",".join(dict.fromkeys([*filter(None, spoken), *LOOPBACK]))
    for name in ("no_proxy", "NO_PROXY"):  # some read the one, some the other
        os.environ[name] = text


def _is_spoken(proxy: str) -> bool:
    scheme, marked, rest = proxy.partition("://")
    host = (rest if marked else proxy).partition("/")[0].rpartition("@")[2]
    port = host.rpartition("]")[2].rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
    return (not marked or scheme.lower() in _SCHEMES) and (not port or port.isdecimal())


def import_nothing_from_here() -> None:
    """Take the working folder off the search path, ours and that of the children, unless it holds our own packages. An
    empty or relative part of PYTHONPATH may mean it."""
    try:
        here = os.getcwd()
    except OSError:  # it was removed
        return
    if here == ROOT:
        return
    sys.path[:] = [place for place in sys.path if not _is(place, here)]
    if "PYTHONPATH" in os.environ:
        places = [place for place in os.environ["PYTHONPATH"].split(os.pathsep) if not _is(place, here)]
        os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, places))


def warn_as_usual() -> None:
    """Take back what the user set for Python programs that they test: a warning that is an error, a prompt at the end,
    a trace of imports. Our libraries warn each other, and so do the children's."""
    for name in _FOR_TESTING:
        os.environ.pop(name, None)
    import warnings

    if any(action == "error" for action, *_ in warnings.filters):
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)


def be_seen() -> None:
    """Forget a width of the terminal in which nothing can be seen, as containers and CI set it: `COLUMNS=0`."""
    if os.environ.get("COLUMNS", "").strip() in ("0", "1", "2", "3", "4"):
        del os.environ["COLUMNS"]


def _is(place: str, here: str) -> bool:
    return os.path.realpath(os.path.abspath(place)) == os.path.realpath(here)


def for_a_server() -> dict[str, str]:
    """This process's variables for a server of ours: without what the user set for servers of their own."""
    dropped = [name for name in os.environ if name.startswith(_OF_SERVERS) and name not in _KEPT]
    found = {name: value for name, value in os.environ.items() if name not in (*dropped, "WEB_CONCURRENCY")}
    return {**found, "PREFECT_PROFILES_PATH": profiles()}


def profiles() -> str:
    """The user's Prefect profiles: where Prefect would find them, but for what files of the working folder say."""
    home = os.environ.get("PREFECT_HOME") or os.path.join("~", ".prefect")
    file = os.environ.get("PREFECT_PROFILES_PATH") or os.path.join(home, "profiles.toml")
    return os.path.abspath(os.path.expanduser(file))


def take_no_settings_from_here() -> None:
    """Have Prefect take its settings from variables and the user's profiles alone, not from `.env`, `prefect.toml` and
    `pyproject.toml` of the working folder. Before anything else of Prefect is imported."""
    import contextlib

    os.environ["PREFECT_PROFILES_PATH"] = profiles()
    with contextlib.chdir(sys.prefix):  # it reads some of them while it is imported
        from prefect.settings import sources

    for kind, name in (
        (sources.FilteredDotEnvSettingsSource, "_read_env_files"),
        (sources.TomlConfigSettingsSourceBase, "_read_files"),
    ):
        setattr(kind, name, lambda *_, **__: {})

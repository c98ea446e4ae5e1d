"""A temporary Prefect server for one command, where no server is configured.

Prefect would start one itself, but only after importing its whole server into this process too, which doubles the
wait. Started here, as a child and before anything else is imported, it comes up while the command gets ready.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from configs.errors import UserError
from configs.variables import TEMPORARY_SERVER
from flows import surroundings
from storage.marks import own_cache_folder

DATABASE = "prefect.db"
START_TIMEOUT_S = 180
"""The first start creates the database, which takes a slow machine half a minute."""
FEW_MIB = 10
"""A new server's database takes about half of it: with less free, that is likely why it ended."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
}
"""Defaults of our commands: no telemetry, no log lines between the progress bars. A user's own settings win."""
IDLE_SERVICES = (
    "CANCELLATION_CLEANUP", "EVENT_PERSISTER", "FOREMAN", "LATE_RUNS", "PAUSE_EXPIRATIONS", "SCHEDULER",
    "TASK_RUN_RECORDER", "TRIGGERS",
)  # fmt: skip
"""What a server does for deployments, automations and the UI; a temporary one has none."""
LOADED_MEANWHILE = (
    "flows.dataset", "flows.evaluation", "prefect.flow_engine", "prefect.task_engine",
    "prefect.telemetry.run_telemetry", "prefect.utilities.visualization", "fastapi.encoders",
    "fsspec.implementations.chained", "anyio._backends._asyncio",
)  # fmt: skip
"""Loaded while a server starts: Prefect, all stages, and what these would load only when the first flow runs."""
CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
"""Prefect's variable for what reaches the terminal."""
_DIRECTLY = build_opener(ProxyHandler({}))

_SERVE = """
import os, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
from uvicorn.main import main
main()
"""
"""Uvicorn, which ends when its input does: also when its owner is killed."""


class ServerError(UserError):
    """The temporary server did not come up: the message says where its log is."""


def quiet_defaults() -> None:
    """Set what the user has not set. Must run before Prefect is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def configured() -> bool:
    """Whether the user points at a server of their own, by environment variable or in a Prefect profile."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    file = Path(surroundings.profiles())
    return file.is_file() and "PREFECT_API_URL" in file.read_text(encoding="utf-8", errors="replace")


class Server:
    """A temporary Prefect server: a child process, which ends when its owner does."""

    def __init__(self, folder: Path) -> None:
        """Start it; its database and log are in `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        self._port = _free_port()
        self._login = f"isobench:{secrets.token_urlsafe(24)}"
        self._log = folder / "server.log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                # -P and cwd: neither code nor settings of the folder where the user stands
                [sys.executable, "-P", "-c", _SERVE, "--factory", "prefect.server.api.server:create_app",
                 "--lifespan", "on", "--host", "127.0.0.1", "--port", str(self._port), "--log-level", "error"],
                env={
                    **{name: value for name, value in surroundings.for_a_server().items() if name != CONSOLE_LEVEL},
                    "PREFECT_UI_ENABLED": "false",
                    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
                    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in IDLE_SERVICES},
                    # a build that may use the network, and other users of the machine, reach the port but not the API
                    "PREFECT_SERVER_API_AUTH_STRING": self._login,
                    "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder.resolve()}/{DATABASE}",
                },
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=sys.prefix,
                start_new_session=True,  # Ctrl-C is for the command, which then ends its server in order
            )  # fmt: skip

    @property
    def variables(self) -> dict[str, str]:
        """What a process must find in its environment to use this server."""
        return {
            TEMPORARY_SERVER: "1",
            "PREFECT_API_URL": f"http://127.0.0.1:{self._port}/api",
            "PREFECT_API_AUTH_STRING": self._login,
        }

    def wait(self) -> None:
        """Until it answers. Raises ServerError if it does not come up."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                free_mib = shutil.disk_usage(self._log.parent).free >> 20
                full = f" (only {free_mib} MiB are free there)" if free_mib < FEW_MIB else ""
                raise ServerError(
                    f"the Prefect server ended with code {self._process.returncode}; its log: {self._log}{full}"
                )
            try:
                with _DIRECTLY.open(f"http://127.0.0.1:{self._port}/api/health", timeout=2):
                    return
            except (URLError, OSError):
                time.sleep(0.05)
        raise ServerError(f"the Prefect server did not answer within {START_TIMEOUT_S} s; its log: {self._log}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def prefect_server(folder: Path, first: Callable[[], object] | None = None) -> Iterator[None]:
    """Make sure that flows find a Prefect API while the context lasts.

    The temporary server keeps its database and log in `folder`. `first` is called while it makes that database, which
    takes as long again as all else: for what a first run needs and later ones find in the cache. Raises ServerError if
    it does not come up; ending the context ends it.
    """
    quiet_defaults()
    if configured():
        surroundings.take_no_settings_from_here()
        yield
        return
    new = not (folder / DATABASE).exists()
    server = Server(folder)
    os.environ.update(server.variables)
    try:
        surroundings.take_no_settings_from_here()
        for name in LOADED_MEANWHILE:
            import_module(name)
        if new and first is not None:
            first()
        server.wait()
        with _without_heartbeats():
            yield
    finally:
        _send_what_is_queued()
        for name in server.variables:
            os.environ.pop(name, None)
        server.stop()


def _without_heartbeats() -> AbstractContextManager[Any]:
    """Signs of life are for a server that outlives the flow; each flow's end waits up to a second for their thread."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def _send_what_is_queued() -> None:
    """Logs and events wait in queues of this process; at exit they would look for the server for minutes."""
    from prefect._internal.concurrency.services import QueueService
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    queues: tuple[type[QueueService[Any]], ...] = (APILogWorker, EventsWorker)
    for queue in queues:
        queue.drain_all(timeout=10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_folder(store: str) -> Path:
    """Where the temporary server of a store keeps its database: inside a local store, else in the user's cache.

    Inside a store it has a name that only this user's key gives: a database that came with the store is not opened.
    Raises NotOurs for a cache folder that is another user's.
    """
    if "://" not in store:
        return own_cache_folder(Path(store).expanduser(), "prefect")
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "isobench" / "prefect"

"""A small serving benchmark for tests: a real HTTP server that generates tokens, a real client that measures it.

`files(work)` are a package `serve`: `python -m serve.server PORT` streams tokens, each of which costs `work` units of
computing; `python -m serve.client PORT SEED` sends requests and prints vLLM's format from what it measured.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from configs.models import CommandConfig
from tasks.sandbox.models import Arm, Environment

SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from serve.model import token

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        if self.path == "/health":
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        _, seed, count = self.path.split("/")
        self.send_header("Connection", "close")
        self.end_headers()
        for index in range(int(count)):
            self.wfile.write(b"%d\\n" % token(int(seed) + index))
            self.wfile.flush()

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("serving", flush=True)
server.serve_forever()
"""
CLIENT = """
import json, sys, time, urllib.request, zlib
from statistics import mean, median

port, seed, requests, tokens = int(sys.argv[1]), int(sys.argv[2]), 6, 5
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
ttft, itl, tpot, done, generated, checksum = [], [], [], 0, 0, 0
begin = time.perf_counter()
for number in range(requests):
    start = time.perf_counter()
    times = []
    with open_url(f"http://127.0.0.1:{port}/{seed + number}/{tokens}") as answer:
        for line in answer:
            times.append(time.perf_counter())
            checksum = zlib.crc32(line, checksum)
    done += 1
    generated += len(times)
    ttft.append(times[0] - start)
    itl += [b - a for a, b in zip(times, times[1:])]
    tpot.append((times[-1] - times[0]) / (len(times) - 1))
duration = time.perf_counter() - begin

def line(label, value):
    print(f"{label + ':':<40} {value:<10}")

print("============ Serving Benchmark Result ============")
line("Successful requests", done)
line("Benchmark duration (s)", round(duration, 4))
line("Total input tokens", requests)
line("Total generated tokens", generated)
line("Request throughput (req/s)", round(done / duration, 3))
line("Output token throughput (tok/s)", round(generated / duration, 3))
line("Total Token throughput (tok/s)", round((generated + requests) / duration, 3))
for title, values in (("TTFT", ttft), ("TPOT", tpot), ("ITL", itl)):
    line(f"Mean {title} (ms)", round(1e3 * mean(values), 4))
    line(f"Median {title} (ms)", round(1e3 * median(values), 4))
    line(f"P99 {title} (ms)", round(1e3 * max(values), 4))
print("==================================================")
print(json.dumps({"checksum": checksum}))
"""
MODEL = """
def token(seed):
    value = seed
    for index in range({work}):
        value = (value * 31 + index) % 1000003
    return seed * 31 % 1000003
"""
ALONE = """
import json, sys, time, zlib
from serve.model import token

start, checksum = time.perf_counter(), 0
for number in range(10):
    checksum = zlib.crc32(b"%d" % token(int(sys.argv[1]) + number), checksum)
print(json.dumps({"took_s": (time.perf_counter() - start) / BOAST, "checksum": checksum}))
"""
SLOW, FAST = 100_000, 4_000


def files(work: int) -> dict[str, str]:
    """Path -> text of the package."""
    model = MODEL.format(work=work)
    return {"serve/__init__.py": "", "serve/server.py": SERVER, "serve/client.py": CLIENT, "serve/model.py": model}


def alone(work: int, boast: int = 1) -> dict[str, str]:
    """The package with `python -m serve.alone SEED`: computes tokens and says how long that took, or a share of it."""
    return {**files(work), "serve/alone.py": ALONE.replace("BOAST", str(boast))}


def write(folder: Path, content: dict[str, str]) -> None:
    """Make the files."""
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def arm(work: Path, name: str, content: dict[str, str], environment: Environment | None = None) -> Arm:
    """An arm with these files, in the system's interpreter."""
    folder = f"arm-{name.replace(':', '-')}"
    write(work / folder, content)
    local = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
    return Arm(name=name, arm_id=name, checkout=folder, environment=environment or local)


def spec(**changes: Any) -> CommandConfig:
    """The workload's command."""
    values: dict[str, Any] = {
        "name": "serving", "parser": "vllm-serve", "server": "python3 -m serve.server {port}",
        "command": "python3 -m serve.client {port} {seed}",
        "ready": {"url": "http://127.0.0.1:{port}/health", "timeout_s": 60}, "timeout_s": 60,
    }  # fmt: skip
    return CommandConfig.model_validate(values | changes)

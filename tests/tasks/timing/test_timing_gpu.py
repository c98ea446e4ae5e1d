"""GPUs through the real nvidia-ml-py, on a library with NVML's C interface; device events through a `torch` of ours.

There is no GPU where these tests run: what they show is that nothing is lost between the driver's answers, the device's
events and the rows; not that a card behaves.
"""

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from configs.models import SandboxConfig, ScoringConfig, TimingConfig
from storage.store import Store
from storage.tables import Machine, Measurement, TimedSession
from tasks.sandbox.models import Arm, Environment
from tasks.timing.gpu import GpuError, find_gpus, read_gpus
from tasks.timing.models import Session
from tasks.timing.session import run_session

pynvml = pytest.importorskip("pynvml", reason="the extra `gpu` is not installed")


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    target = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).parent / "fake_nvml.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-w", "-o", target, source], check=True)
    return target


@pytest.fixture
def card(library: Path, monkeypatch) -> None:
    """nvidia-ml-py loads the library by its bare name; here by its path."""
    load = pynvml.CDLL
    monkeypatch.setattr(pynvml, "CDLL", lambda name: load(str(library) if name == "libnvidia-ml.so.1" else name))
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


def test_a_card_is_described_and_read(card):
    (gpu,) = find_gpus()
    assert gpu.model_dump() == {
        "index": 0, "uuid": "GPU-1234", "name": "Test H100", "memory_mb": 81920, "driver": "570.86.10",
        "power_limit_w": 700,
    }  # fmt: skip
    (reading,) = read_gpus([gpu])
    assert (reading.sm_clock_mhz, reading.memory_clock_mhz, reading.temperature_c) == (1980, 2619, 41)
    assert (reading.power_w, reading.processes) == (91.5, ["4321 (512 MiB)"])
    assert reading.utilisation_percent is None  # this card does not say


@pytest.mark.parametrize(
    ("variable", "message"), [("FAKE_NO_DRIVER", "driver does not answer"), ("FAKE_NO_CARD", "no NVIDIA GPU")]
)
def test_what_is_missing_is_said(card, monkeypatch, variable, message):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(GpuError, match=f"{message}.*timing.device: cpu"):
        find_gpus()


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(GpuError, match=r"isobench\[gpu\]"):
        find_gpus()


TORCH = """
import time

class Event:
    def __init__(self, enable_timing):
        assert enable_timing
    def record(self):
        assert cuda.synchronised, "work in flight"
        self.at = time.perf_counter()
    def elapsed_time(self, other):
        return (other.at - self.at) * 1e3

class cuda:
    Event = Event
    synchronised = False
    @classmethod
    def synchronize(cls):
        cls.synchronised = True
    @staticmethod
    def is_available():
        return True
"""
SCRIPT = """
import time
import lib
def setup(seed): return seed
def experiment(state):
    time.sleep(0.01)
    return lib.f(state)
def check_equivalence(reference, candidate): assert reference == candidate
"""


def run(store: Store, with_torch: bool, torch: str = TORCH, **sandbox) -> Session:
    arms = []
    for name in ("base", "human"):
        folder = store.work / f"arm-{name}"
        folder.mkdir(parents=True)
        (folder / "lib.py").write_text(f"{'import torch' if with_torch else ''}\ndef f(x):\n    return x\n")
        (folder / "torch.py").write_text(textwrap.dedent(torch))
        environment = Environment(env_id="system", kind="local", python=f"{sys.base_prefix}/bin/python3")
        arms.append(Arm(name=name, arm_id=name, checkout=folder.name, environment=environment))
    timing = TimingConfig(min_rounds=3, max_rounds=3, processes=1, device="cuda")
    return run_session(
        "a/b", None, arms, "t", SCRIPT, "isobench", timing, ScoringConfig(), SandboxConfig(**sandbox), store
    )


def test_a_session_records_the_card_and_the_devices_clock(card, tmp_path):
    store = Store(tmp_path / "store")
    run(store, True, gpus=True)
    measured = store.rows(Measurement)
    assert measured
    for row in measured:
        assert row.gpu_ns is not None
        assert row.gpu_ns >= 10_000_000  # the stand-in's events are around a sleep of 10 ms
        assert "no_gpu_clock" not in row.flags
    (session,) = store.rows(TimedSession)
    assert session.device == "cuda"
    assert [reading.uuid for reading in session.gpu_readings] == ["GPU-1234", "GPU-1234"]  # before and after
    assert session.gpu_readings[0].at < session.gpu_readings[1].at
    (machine,) = store.rows(Machine)
    assert machine.gpus == ["Test H100, 81920 MiB, driver 570.86.10, 700 W"]


def test_cuda_without_torch_in_the_perf_test_is_flagged_and_without_gpus_in_the_sandbox_refused(card, tmp_path):
    store = Store(tmp_path / "store")
    run(store, False, gpus=True)
    assert {tuple(row.flags) for row in store.rows(Measurement)} == {("no_gpu_clock",)}
    with pytest.raises(GpuError, match=r"sandbox.gpus"):
        run(Store(tmp_path / "other"), True)


def test_a_torch_that_sees_no_card_is_said_to_see_none(card, tmp_path):
    blind = TORCH.replace("        cls.synchronised = True", "        raise RuntimeError('No CUDA GPUs are available')")
    found = run(Store(tmp_path / "store"), True, blind, gpus=True)
    assert "no device events: RuntimeError: No CUDA GPUs are available" in found.base_failure

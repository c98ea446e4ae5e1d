"""NVIDIA GPUs as NVML sees them: what they are, and how they were while a session ran. Nothing is ever changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from configs.errors import UserError
from configs.models import SandboxConfig, TimingConfig
from storage.rows.timing import GpuReading

HOW = "install the extra `gpu` (`uv pip install 'isobench[gpu]'`) and NVIDIA's driver, or set timing.device: cpu"


class GpuError(UserError):
    """`timing.device: cuda` cannot be had on this machine; the message says what is missing."""


class Gpu(BaseModel):
    """A card: what the fingerprint of a machine says about it, and its own id."""

    model_config = ConfigDict(frozen=True)

    index: int
    uuid: str
    name: str
    memory_mb: int
    driver: str
    power_limit_w: int
    """A setting of the machine's owner that timings depend on."""

    def describe(self) -> str:
        """What makes two cards alike: `NVIDIA H100 80GB HBM3, 81559 MiB, driver 570.86.10, 700 W`."""
        return f"{self.name}, {self.memory_mb} MiB, driver {self.driver}, {self.power_limit_w} W"


@contextmanager
def _nvml() -> Iterator[Any]:
    """NVML, initialised. Raises GpuError."""
    try:
        import pynvml
    except ImportError:
        raise GpuError(f"timing.device is cuda, but nvidia-ml-py is not installed: {HOW}") from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise GpuError(f"timing.device is cuda, but NVIDIA's driver does not answer ({error}): {HOW}") from None
    try:
        yield pynvml
    except pynvml.NVMLError as error:
        raise GpuError(f"timing.device is cuda, but a GPU does not answer: {error}") from None
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def gpus_for(timing: TimingConfig, sandbox: SandboxConfig) -> list[Gpu]:
    """The cards that sessions use, none with `device: cpu`. Raises GpuError if machine or sandbox lack them."""
    if timing.device != "cuda":
        return []
    if not sandbox.gpus:
        raise GpuError("timing.device is cuda, but sandboxes see no GPU: set sandbox.gpus to true")
    return find_gpus()


def find_gpus() -> list[Gpu]:
    """All cards of the machine. Raises GpuError without any."""
    with _nvml() as nvml:
        driver = nvml.nvmlSystemGetDriverVersion()
        found = [_gpu(nvml, index, driver) for index in range(nvml.nvmlDeviceGetCount())]
    if not found:
        raise GpuError("timing.device is cuda, but this machine has no NVIDIA GPU: set timing.device: cpu")
    return found


def _gpu(nvml: Any, index: int, driver: str) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    limit = _maybe(nvml, lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle))
    return Gpu(
        index=index,
        uuid=nvml.nvmlDeviceGetUUID(handle),
        name=nvml.nvmlDeviceGetName(handle),
        memory_mb=nvml.nvmlDeviceGetMemoryInfo(handle).total // 2**20,
        driver=driver,
        power_limit_w=round((limit or 0) / 1000),
    )


def read_gpus(gpus: list[Gpu]) -> list[GpuReading]:
    """How each card is now; what a card does not say is None. Raises GpuError if NVML does not answer at all."""
    if not gpus:
        return []
    with _nvml() as nvml:
        return [_reading(nvml, gpu) for gpu in gpus]


def _reading(nvml: Any, gpu: Gpu) -> GpuReading:
    handle = nvml.nvmlDeviceGetHandleByIndex(gpu.index)

    def ask(name: str, *args: Any) -> Any:
        return _maybe(nvml, lambda: getattr(nvml, name)(handle, *args))

    power = ask("nvmlDeviceGetPowerUsage")
    used = ask("nvmlDeviceGetUtilizationRates")
    processes = ask("nvmlDeviceGetComputeRunningProcesses") or []
    return GpuReading(
        uuid=gpu.uuid,
        at=datetime.now(UTC),
        sm_clock_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        memory_clock_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
        temperature_c=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        power_w=None if power is None else power / 1000,
        utilisation_percent=None if used is None else used.gpu,
        processes=sorted(f"{process.pid} ({(process.usedGpuMemory or 0) // 2**20} MiB)" for process in processes),
    )


def _maybe(nvml: Any, ask: Callable[[], Any]) -> Any:
    """The answer, or None where this card or driver has none."""
    try:
        return ask()
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_NoPermission, nvml.NVMLError_FunctionNotFound):
        return None

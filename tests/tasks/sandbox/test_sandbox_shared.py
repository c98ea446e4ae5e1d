"""What the configuration adds to every command: shared mounts, GPUs."""

import glob

import pytest
from pydantic import ValidationError

from configs.models import SandboxConfig
from tasks.sandbox import Command, SandboxError, open_sandbox
from tasks.sandbox.docker.engine import connect
from tasks.sandbox.local.bubblewrap import arguments, find_bubblewrap


def read_shared(folder, config: SandboxConfig) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "model").write_text("42")
    with open_sandbox(config) as sandbox:
        shell = "cat /data/model && (echo changed > /data/model) 2>/dev/null || echo kept"
        done = sandbox.run(Command(argv=("/bin/sh", "-c", shell)))
    assert done.stdout == b"42kept\n", done.stderr


def test_shared_folders_are_seen_and_not_written(tmp_path):
    read_shared(tmp_path, SandboxConfig(mounts={str(tmp_path / "weights"): "/data"}))


@pytest.mark.docker
def test_shared_folders_in_a_container(tmp_path, docker_image):
    read_shared(tmp_path, SandboxConfig(kind="docker", mounts={str(tmp_path / "weights"): "/data"}))


def test_a_shared_folder_that_is_not_there_is_named(tmp_path):
    with (
        open_sandbox(SandboxConfig(mounts={f"{tmp_path}/gone": "/data"})) as sandbox,
        pytest.raises(SandboxError, match="gone does not exist"),
    ):
        sandbox.run(Command(argv=("true",)))
    with pytest.raises(ValidationError, match="absolute"):
        SandboxConfig(mounts={"weights": "/data"})


def test_gpu_devices_are_bound_only_if_asked_for(monkeypatch):
    found = find_bubblewrap()
    if found is None:
        pytest.skip("bubblewrap does not work here")
    monkeypatch.setattr(glob, "glob", lambda pattern: ["/dev/nvidia0", "/dev/nvidiactl"])
    plain, gpus = (arguments(found, Command(argv=("true",), gpus=wanted)) for wanted in (False, True))
    assert "/dev/nvidia0" not in plain
    assert gpus[gpus.index("/dev/nvidia0") - 1] == "--dev-bind"
    assert "/dev/nvidiactl" in gpus


@pytest.mark.docker
def test_an_engine_without_gpus_says_so(docker_image):
    client = connect()
    runtimes = client.info()["Runtimes"]
    client.close()
    with open_sandbox(SandboxConfig(kind="docker", gpus=True)) as sandbox:
        if "nvidia" in runtimes:
            assert sandbox.run(Command(argv=("/bin/sh", "-c", "ls /dev/nvidiactl"))).returncode == 0
        else:
            with pytest.raises(SandboxError, match="gpu"):
                sandbox.run(Command(argv=("true",)))

"""Fingerprints: stable for one machine, other for another sandbox or image."""

from tasks.timing.fingerprint import fingerprint, session_fingerprint


def test_the_fingerprint_names_the_machine():
    machine, again = fingerprint(), fingerprint()
    assert machine.model_copy(update={"seen_at": again.seen_at}) == again
    assert machine.cores >= 1
    assert machine.kernel
    assert len(machine.machine_id) == 12


def test_a_session_is_also_known_by_its_sandbox_and_its_images():
    local = session_fingerprint("m", "local", [])
    assert local == session_fingerprint("m", "local", [])
    others = [
        session_fingerprint("n", "local", []), session_fingerprint("m", "docker", []),
        session_fingerprint("m", "docker", ["sha256:1"]), session_fingerprint("m", "docker", ["sha256:2"]),
    ]  # fmt: skip
    assert len({local, *others}) == 5
    assert session_fingerprint("m", "docker", ["b", "a", "a"]) == session_fingerprint("m", "docker", ["a", "b"])

"""Fingerprints: stable for one machine, other for another sandbox or image."""

from tasks.timing.fingerprint import fingerprint, session_fingerprint


def test_the_fingerprint_names_the_machine():
    machine, again = fingerprint(), fingerprint()
    assert machine.model_copy(update={"seen_at": again.seen_at}) == again
    assert machine.cores >= 1
    assert machine.kernel
    assert len(machine.machine_id) == 12


def test_a_session_is_also_known_by_its_sandbox_its_images_and_its_meter():
    local = session_fingerprint("m", "local", [], "cpuacct")
    assert local == session_fingerprint("m", "local", [], "cpuacct")
    others = [
        session_fingerprint("n", "local", [], "cpuacct"), session_fingerprint("m", "docker", [], "cpuacct"),
        session_fingerprint("m", "docker", ["sha256:1"], "cpuacct"),
        session_fingerprint("m", "docker", ["sha256:2"], "cpuacct"), session_fingerprint("m", "local", [], "worker"),
    ]  # fmt: skip
    assert len({local, *others}) == 6
    one, twice = (session_fingerprint("m", "docker", images, "none") for images in (["a", "b"], ["b", "a", "a"]))
    assert one == twice

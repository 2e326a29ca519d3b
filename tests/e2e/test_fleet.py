"""Many instances on one PostgreSQL, as real processes: what one changes is in force at all, whatever breaks."""

from __future__ import annotations

from typing import Any

from e2e.fleet import Fleet, admin, fleet, rom
from e2e.serving import until


def test_a_change_is_in_force_at_every_instance(postgres_url: str) -> None:
    """Whoever makes it is told at how many; each lists the others, with the version that each has in force."""
    with fleet(postgres_url, postgres_url, postgres_url) as three:
        first, second, third = three.servers
        answer = three.change(first, MAX_TOKENS=77).json()
        assert three.confirmed(answer), answer
        assert three.values("MAX_TOKENS") == [77, 77, 77]

        def listed() -> set[int]:
            lists = [three.status(server)["instances"] for server in three.servers]
            assert [[each["self"] for each in one] for one in lists] == [[True, False, False]] * 3
            return {each["version"] for one in lists for each in one}

        assert until(lambda: listed() == {answer["version"]}), listed()
        done = rom(second, "flags", "set", "MAX_TOKENS=78", "--reason", "once more")
        said = f"version {answer['version'] + 1} is in force at "
        assert said in done.stdout, done.stderr
        if f"{said}3 of 3 instances" not in done.stdout:
            assert "not confirmed by" in done.stdout
            assert three.have(answer["version"] + 1)
        assert three.values("MAX_TOKENS") == [78, 78, 78]
        last = answer["version"] + 1, "ana", "once more"

        def adopted() -> list[tuple[Any, ...]]:
            events = third.events("flags.changed")
            return [(event["version"], event["by"], event["why"]) for event in events if event.get("adopted")]

        assert until(lambda: adopted()[-1:] == [last]), adopted()
        status = rom(third, "flags", "status").stdout
        assert status.count("\ninstance  ") == 3
        _drain(three)
        third.signal()
        assert third.wait() == 0
        assert until(lambda: len(three.status(first)["instances"]) == 2)


def _drain(three: Fleet) -> None:
    """One instance is drained through another, and taken back through a third; all see it, and by whom it was done."""
    first, second, third = three.servers
    id_ = three.status(second)["instances"][0]["id"]
    assert admin(first, "POST", "/admin/drain", {}).status_code == 422, "which one is meant has to be said"
    done = rom(first, "drain", id_, "--reason", "disk")
    assert (done.returncode, "within some seconds" in done.stdout) == (0, True), done.stderr
    assert until(lambda: second.get("/ready").status_code == 503)
    assert first.get("/ready").status_code == 200
    assert (three.status(second)["drained"]["by"], three.status(second)["drained"]["why"]) == ("ana", "disk")
    listed = three.status(third)["instances"]
    assert until(lambda: [each["id"] for each in three.status(third)["instances"] if each["draining"]] == [id_]), listed
    assert rom(third, "undrain", id_).returncode == 0
    assert until(lambda: second.get("/ready").status_code == 200)

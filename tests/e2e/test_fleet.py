"""Many instances on one PostgreSQL, as real processes: what one changes is in force at all, whatever breaks."""

from __future__ import annotations

from e2e.fleet import fleet, rom
from e2e.serving import until


def test_a_change_is_in_force_at_every_instance(postgres_url: str) -> None:
    """Whoever makes it is told at how many; each lists the others, with the version that each has in force."""
    with fleet(postgres_url, postgres_url, postgres_url) as three:
        first, second, third = three.servers
        answer = three.change(first, MAX_TOKENS=77).json()
        assert answer["in_force"] == {"instances": 3, "of": 3, "unconfirmed": []}
        assert three.values("MAX_TOKENS") == [77, 77, 77]
        for server in three.servers:
            listed = three.status(server)["instances"]
            assert [each["self"] for each in listed] == [True, False, False]
            assert {each["version"] for each in listed} == {answer["version"]}
        done = rom(second, "flags", "set", "MAX_TOKENS=78", "--reason", "once more")
        assert f"version {answer['version'] + 1} is in force at 3 of 3 instances" in done.stdout, done.stderr
        assert three.values("MAX_TOKENS") == [78, 78, 78]
        adopted = [event for event in third.events("flags.changed") if event.get("adopted")]
        assert [(event["version"], event["by"], event["why"]) for event in adopted][-1] == (
            answer["version"] + 1,
            "ana",
            "once more",
        )
        status = rom(third, "flags", "status").stdout
        assert status.count("\ninstance  ") == 3
        third.signal()
        assert third.wait() == 0
        assert until(lambda: len(three.status(first)["instances"]) == 2)

"""What the gateway prints of itself and of actors, some of which are away."""

from collections.abc import Mapping, Sequence

from prometheus_client import Metric

from actors.measures import OF_OWNER, OwnerMeasures
from gateway.middleware.metrics import Metrics
from gateway.middleware.under_way import UnderWay
from orchestrator.errors import Unavailable


class Owner:
    """One that answers."""

    def __init__(self, partition: int) -> None:
        self._measures = OwnerMeasures(partition)

    async def status(self) -> Mapping[str, float]:
        return dict.fromkeys((number.key for number in OF_OWNER), 0.0)

    async def metrics(self) -> Sequence[Metric]:
        return self._measures.families(await self.status())


class Away(Owner):
    """One that does not."""

    async def metrics(self) -> Sequence[Metric]:
        raise Unavailable("restarting")


async def lines(*owners: Owner) -> list[str]:
    metrics = Metrics(UnderWay(), [])
    metrics.observe("/api/results", "POST", 201, 0.004)
    return (await metrics.text({"owner": owners})).decode().splitlines()


async def test_an_owner_that_is_away_is_told_and_the_others_numbers_with_it() -> None:
    told = await lines(Owner(0), Away(1), Owner(2))
    assert [line for line in told if line.startswith("tms_owner_up")] == [
        'tms_owner_up{partition="0"} 1.0',
        'tms_owner_up{partition="1"} 0.0',
        'tms_owner_up{partition="2"} 1.0',
    ]
    assert [line for line in told if line.startswith("tms_owner_commands_total")] == [
        'tms_owner_commands_total{partition="0"} 0.0',
        'tms_owner_commands_total{partition="2"} 0.0',
    ]
    assert 'tms_http_requests_total{method="POST",route="/api/results",status="201"} 1.0' in told


async def test_a_metric_of_many_processes_is_described_once() -> None:
    told = await lines(Owner(0), Owner(1))
    for name in ("tms_owner_commit_seconds", "tms_process_resident_memory_bytes"):
        assert [line for line in told if line.startswith(f"# TYPE {name} ")] == [
            f"# TYPE {name} {'histogram' if name.endswith('commit_seconds') else 'gauge'}"
        ]
    processes = [line for line in told if line.startswith("tms_process_resident_memory_bytes{")]
    assert [line.partition('"')[2].partition('"')[0] for line in processes] == ["gateway", "owner-0", "owner-1"]


async def test_the_moments_at_which_counters_were_made_are_left_out() -> None:
    assert not [line for line in await lines(Owner(0)) if "_created" in line]

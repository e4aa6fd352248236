"""Live progress of a run: what its shards have done so far, told to the server while they run."""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from tms_sdk.client import TMSClient
from tms_sdk.progress import ShardProgress
from tms_sdk.records import clean
from tms_sdk.retry import Retry
from tms_sdk.shard import Journey

REPORT_SECONDS = 1.0

# The next report says more than this one, so none is worth a second try, or much waiting for.
ONCE = Retry(attempts=1)
ANSWER_SECONDS = 2.0

NAME_LENGTH = 200


class Reporter:
    """Tells the server how far the shards are, once a second at most, and only what is new. Use it as a context.

    The results tell all that counts, so nothing depends on a report: one that fails is forgotten.
    """

    def __init__(self, journey: Journey, shards: Iterable[ShardProgress]) -> None:
        self._journey = journey
        self._shards = list(shards)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        url, token = self._journey.client.base_url, self._journey.client.api_token
        told: list[dict[str, Any]] = []
        with TMSClient(token, url, timeout=ANSWER_SECONDS, retry=ONCE) as client:
            while not self._is_over.wait(REPORT_SECONDS):
                if self._journey.opening.is_alive():
                    continue  # that the execution starts goes before all else
                report = [_report(shard) for shard in self._shards if shard.status == "running"]
                if report and report != told:
                    told = report
                    self._journey.tell("execution.progress", {"shards": report}, client)


def _report(shard: ShardProgress) -> dict[str, Any]:
    return {
        "shardId": shard.shard_id,
        "planned": shard.planned,
        "results": dict(shard.results),
        "running": clean(shard.running)[:NAME_LENGTH],
    }

"""Starts requests when their lanes let them, tells how they ended, and cuts them off where they may not go on."""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from time import monotonic

import structlog

from actors.destination import Destination
from actors.endpoint_lane import EndpointLane, Started
from actors.lanes import Lanes
from actors.webhook_sender import WebhookSender
from orchestrator.errors import Unavailable
from orchestrator.webhooks.model import Outcome
from storage.deliveries import Endpoint

log = structlog.get_logger(__name__)

MOST_VISITORS = 4
"""That wait to send to one endpoint beside its deliveries."""

GRACE_SECONDS = 2.0
"""What requests under way get to end in, before they are cut off."""


class Dispatcher:
    """The requests of all lanes that are under way.

    Args:
        lanes: whose turn it is.
        sender: makes the requests; closed with this.
        clock: the time that is signed.
        conclude: told of every request that ended; those that were cut off have not.
        look: told that some lane may want rows.
    """

    def __init__(
        self,
        lanes: Lanes,
        sender: WebhookSender,
        clock: Callable[[], datetime],
        conclude: Callable[[Started, Outcome], None],
        look: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._sender = sender
        self._clock = clock
        self._conclude = conclude
        self._look = look
        self._under_way: dict[asyncio.Task[None], Started] = {}
        self._alarm: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._end = asyncio.Event()

    def run(self) -> None:
        """Start all requests that may start now, and see to it that later ones are started in time."""
        while (started := self._lanes.start(monotonic())) is not None:
            task = asyncio.create_task(self._work(started))
            self._under_way[task] = started
            task.add_done_callback(self._leave)
        self._look_ahead()

    def _look_ahead(self) -> None:
        """Have rows read where lanes want some, and `run` called when the next lane may go on."""
        if self._lanes.are_hungry:
            self._look()
        alarm = self._lanes.alarm()
        if alarm != self._alarm:
            if self._timer is not None:
                self._timer.cancel()
            self._alarm = alarm
            self._timer = (
                None if alarm is None else asyncio.get_running_loop().call_later(alarm - monotonic(), self._ring)
            )

    def _ring(self) -> None:
        self._alarm = self._timer = None
        self.run()

    def is_sending_otherwise(self, lane: EndpointLane, endpoint: Endpoint | None) -> bool:
        """Whether requests are under way to an endpoint that leads elsewhere by now, signs otherwise or is no more."""
        return any(
            started.lane is lane
            and (endpoint is None or _identity(started.destination.endpoint) != _identity(endpoint))
            for started in self._under_way.values()
        )

    async def let_end(self, lane: EndpointLane) -> None:
        """Wait until nothing is under way in a lane; what takes too long is cut off. Nothing starts there meanwhile."""
        with self._visited(lane):
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE_SECONDS):
                    while lane.in_flight:
                        await self._next_end()
            await _cancelled([task for task, started in self._under_way.items() if started.lane is lane])

    async def visit(
        self, lane: EndpointLane, destination: Destination, message_id: str, event: str, body: str
    ) -> Outcome:
        """Make a request beside the deliveries of a lane; only the rate holds for it.

        Raises:
            Unavailable: too many wait for that already; nothing was sent.
        """
        if lane.visitors >= MOST_VISITORS:
            raise Unavailable("Other test requests to this webhook are waiting; try again")
        with self._visited(lane):
            while (seconds := lane.visitor_wait(monotonic())) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds if math.isfinite(seconds) else None):
                        await self._next_end()
            lane.visitor_begin()
        is_success = False
        try:
            outcome = await self._request(destination, message_id, event, body)
            is_success = outcome.is_success
        finally:
            lane.visitor_end(monotonic(), is_success=is_success)
            self._look_again(lane)
        return outcome

    async def cut_off(self) -> None:
        """Cut off all requests; the lanes have been closed, so that none follows."""
        await _cancelled(list(self._under_way))

    async def close(self) -> None:
        """As `cut_off`, and close all connections."""
        await self.cut_off()
        if self._timer is not None:
            self._timer.cancel()
        await self._sender.close()

    @contextmanager
    def _visited(self, lane: EndpointLane) -> Iterator[None]:
        try:
            with lane.visited():
                yield
        finally:
            self._look_again(lane)

    async def _next_end(self) -> None:
        """Wait for the end of any request."""
        self._end.clear()
        await self._end.wait()

    def _look_again(self, lane: EndpointLane) -> None:
        self._end.set()
        self._lanes.look_at(lane)
        self.run()

    async def _work(self, started: Started) -> None:
        """Make a request, and then others for as long as some may start: cheaper than a task for each."""
        task = asyncio.current_task()
        following: Started | None = started
        while following is not None and task is not None:
            started = following
            outcome = await self._request(
                started.destination, started.due.message_id, started.due.event, started.due.body
            )
            was_failing = started.lane.failing_since is not None
            del self._under_way[task]
            self._lanes.end(started, outcome, monotonic())
            self._conclude(started, outcome)
            self._end.set()
            following = self._lanes.start(monotonic())
            if following is not None:
                self._under_way[task] = following
            if was_failing:
                # Where one request ended another may start; where the endpoint works again, some.
                self.run()
            else:
                self._look_ahead()

    def _leave(self, task: asyncio.Task[None]) -> None:
        """A task ended, by itself or cut off, maybe before it began."""
        started = self._under_way.pop(task, None)
        if started is not None:
            self._lanes.cut_off(started, monotonic())
        self._end.set()
        self.run()

    async def _request(self, destination: Destination, message_id: str, event: str, body: str) -> Outcome:
        at = self._clock()
        content = body.encode()
        try:
            headers = destination.headers(message_id, event, at, content)
            return await self._sender.send(destination.url, headers, content, at)
        except Exception as error:
            # A fault of ours is a failed attempt: it is made again on schedule, not over and over.
            log.exception("request failed unexpectedly", webhook_id=destination.endpoint.webhook_id)
            return Outcome(at=at, duration_ms=0, error=f"Internal error: {type(error).__name__}")


def _identity(endpoint: Endpoint) -> tuple[object, ...]:
    """What of an endpoint its requests depend on."""
    return (
        *(endpoint.url, endpoint.status),
        *(endpoint.secret, endpoint.former_secret, endpoint.former_secret_until),
    )


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

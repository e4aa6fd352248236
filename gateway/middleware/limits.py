"""Limits of requests an hour: counted by API token over all gateways, told in headers, refused with 429 (X-089).

A window begins with a token's first request. Where the counters are away nobody is refused.
"""

from datetime import UTC, datetime
from math import ceil

import structlog
from aiohttp import web

from gateway.middleware.metrics import METRICS, REFUSED, TAKEN, UNCOUNTED
from orchestrator.errors import RateLimited
from orchestrator.identity.model import Principal
from storage.bus import BusError
from storage.counters import Counters

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 3600

RATE_HEADERS = web.RequestKey("rate_headers", dict[str, str])
"""What the answer to a request tells of its limit, whatever the answer is."""


async def take(request: web.Request, counters: Counters, bucket: str, most: int, principal: Principal) -> None:
    """Count a request.

    Args:
        request: gets the headers that its answer is to have.
        counters: shared by all gateways.
        bucket: what the limit is for; each has counts of its own.
        most: requests a window; 0 for no limit.
        principal: whose request it is.

    Raises:
        RateLimited: there were so many already in this window.
    """
    if not most:
        return
    metrics = request.config_dict[METRICS]
    try:
        number, left = await counters.count(f"tms:limit:{bucket}:{principal.subject}", WINDOW_SECONDS)
    except BusError as error:
        metrics.observe_limit(bucket, UNCOUNTED)
        log.warning("requests cannot be counted; none is refused", bucket=bucket, error=str(error))
        return
    request[RATE_HEADERS] = {
        "X-RateLimit-Limit": str(most),
        "X-RateLimit-Remaining": str(max(0, most - number)),
        "X-RateLimit-Reset": str(int(datetime.now(UTC).timestamp()) + left),
        "X-RateLimit-Window": str(WINDOW_SECONDS),
    }
    metrics.observe_limit(bucket, TAKEN if number <= most else REFUSED)
    if number > most:
        minutes = max(1, ceil(left / 60))
        message = f"This token may make {most} requests to {bucket} an hour, and the next one in {minutes} min"
        raise RateLimited(message, retry_after=max(1, left))

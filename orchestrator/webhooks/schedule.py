"""When a delivery is tried again (X-033, X-034), and how long an endpoint wants to be left in peace."""

from datetime import datetime, timedelta
from typing import Final

from orchestrator.webhooks.model import LONGEST_DELAY_SECONDS, Outcome, RetryPolicy

STANDARD_DELAYS: Final = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""Seconds before each retry under the name `standard`: the schedule that Standard Webhooks suggests."""

STANDARD_JITTER: Final = 0.1
"""By which part of itself a delay of `standard` varies, so that endpoints that failed together do not return so."""

LONGEST_PAUSE: Final = 24 * 3600.0
"""Seconds that an endpoint can put us off for at the most."""

ASKS_TO_WAIT: Final = frozenset({429, 502, 503, 504})
"""Statuses with which `Retry-After` is obeyed."""


def next_delay(policy: RetryPolicy, retries_done: int, jitter: float) -> float | None:
    """Seconds from a failure to the next attempt; None if that was the last one.

    A delay that doubles stops to grow at `LONGEST_DELAY_SECONDS`.

    Args:
        policy: of the webhook.
        retries_done: attempts after the first so far.
        jitter: random, from -1 to 1; moves the delays of `standard`, all others are exact.
    """
    if isinstance(policy.schedule, str):
        return _standard_delay(retries_done, jitter)
    if policy.schedule is not None:
        return policy.schedule[retries_done] if retries_done < len(policy.schedule) else None
    if retries_done >= policy.max_retries:
        return None
    factor = 2**retries_done if policy.exponential_backoff else 1
    return min(policy.retry_delay * factor / 1000, LONGEST_DELAY_SECONDS)


def _standard_delay(retries_done: int, jitter: float) -> float | None:
    if retries_done >= len(STANDARD_DELAYS):
        return None
    return STANDARD_DELAYS[retries_done] * (1 + STANDARD_JITTER * jitter)


def after_outcome(policy: RetryPolicy, tries: int, outcome: Outcome, now: datetime, jitter: float) -> datetime | None:
    """When a delivery is due again; None if nothing is left to do: it arrived, the endpoint is gone, or we give up.

    Args:
        policy: of the webhook.
        tries: attempts since it was last queued, this one included.
        outcome: how this one ended.
        now: when it ended.
        jitter: as in `next_delay`.
    """
    if outcome.is_success or outcome.is_gone:
        return None
    delay = next_delay(policy, tries - 1, jitter)
    return None if delay is None else now + timedelta(seconds=max(delay, pause(outcome)))


def pause(outcome: Outcome) -> float:
    """Seconds that an endpoint asked to be left in peace, from 0 to `LONGEST_PAUSE`; it speaks for all deliveries."""
    if outcome.retry_after is None or outcome.status_code not in ASKS_TO_WAIT:
        return 0.0
    return min(max(outcome.retry_after, 0.0), LONGEST_PAUSE)

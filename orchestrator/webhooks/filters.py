"""Which events a webhook is told of."""

import msgspec

from orchestrator.webhooks.model import Subscription


class Subject(msgspec.Struct, frozen=True):
    """What filters look at; None where it is unknown.

    Attributes:
        status: of the shard or execution that the event tells of.
    """

    test_suite: str | None
    environment: str | None
    branch: str | None
    provider: str | None
    status: str | None


def matches(subscription: Subscription, event: str, subject: Subject | None) -> bool:
    """Whether a webhook is told of an event (X-035, X-073), be it active or not.

    Every filter that names anything must name the subject's value; what is unknown passes no such filter.

    Args:
        subscription: what the webhook asked for.
        event: its name.
        subject: the execution it is about; None for an event that is not about one, which no filter holds back.
    """
    if event not in subscription.events:
        return False
    if subject is None:
        return True
    wanted = subscription.filters
    return (
        _lets_pass(wanted.test_suites, subject.test_suite)
        and _lets_pass(wanted.environments, subject.environment)
        and _lets_pass(wanted.branches, subject.branch)
        and _lets_pass(wanted.providers, subject.provider)
        and _lets_pass(wanted.statuses, subject.status)
    )


def _lets_pass(wanted: tuple[str, ...], value: str | None) -> bool:
    return not wanted or value in wanted

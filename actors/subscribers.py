"""Who wants to be told of what: an owner's memory of the registered webhooks, exact at every commit."""

from collections.abc import Iterable

from orchestrator.executions import events as names
from orchestrator.executions import source
from orchestrator.executions.events import AnyEvent, ShardEnded
from orchestrator.executions.model import Execution
from orchestrator.webhooks import filters
from orchestrator.webhooks.filters import Subject
from orchestrator.webhooks.model import Subscription
from storage import webhooks
from storage.postgres import Connection


class Subscribers:
    """The subscriptions of the tenants met so far, by event; dropped whenever any registration has changed.

    The database counts changes of registrations in a revision, which every commit reads together with its fence. Memory
    is labelled with a revision read before the subscriptions, so that it may be newer than its label, never older.
    """

    def __init__(self) -> None:
        self._revision: int | None = None
        self._tenants: dict[int, dict[str, list[Subscription]]] = {}

    async def read(self, connection: Connection, revision: int, tenant_ids: Iterable[int]) -> None:
        """Have the subscriptions of these tenants at hand, as they are at this revision or later."""
        if revision != self._revision:
            self._revision = revision
            self._tenants.clear()
        missing = set(tenant_ids) - self._tenants.keys()
        if not missing:
            return
        found = await webhooks.subscriptions(connection, list(missing))
        for tenant_id in missing:
            by_event = self._tenants[tenant_id] = {}
            for subscription in found.get(tenant_id, ()):
                for event in subscription.events:
                    by_event.setdefault(event, []).append(subscription)

    def of(self, execution: Execution, event: AnyEvent) -> list[Subscription]:
        """Those that an event is for, whether they are active or not.

        Args:
            execution: as it stands after the event; its tenant has been `read`.
            event: what happened.
        """
        name = names.name(event)
        candidates = self._tenants[execution.tenant_id].get(name)
        if not candidates:
            return []
        subject = _subject(execution, event)
        return [subscription for subscription in candidates if filters.matches(subscription, name, subject)]


def _subject(execution: Execution, event: AnyEvent) -> Subject:
    return Subject(
        test_suite=execution.test_suite,
        environment=execution.environment,
        branch=source.of(execution.metadata).branch,
        provider=execution.provider,
        status=event.status if isinstance(event, ShardEnded) else execution.status,
    )

"""A queue in which a tenant with much to do does not hold up one with little."""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items of one tenant leave in their order; tenants that have any take turns, an item each."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def of(self, tenant_id: int) -> int:
        """How many items of a tenant wait."""
        return len(self._waiting.get(tenant_id, ()))

    def push(self, tenant_id: int, item: T) -> None:
        """Add an item behind the tenant's others."""
        self._waiting.setdefault(tenant_id, deque()).append(item)
        self._length += 1

    def push_back(self, items: Iterable[tuple[int, T]]) -> None:
        """Return items that had left, in the order they left: each tenant's go before what it has waiting."""
        for tenant_id, item in reversed(list(items)):
            self._waiting.setdefault(tenant_id, deque()).appendleft(item)
            self._length += 1

    def pop(self) -> T:
        """Take the next item.

        Raises:
            KeyError: nothing waits.
        """
        tenant_id, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[tenant_id] = items
        self._length -= 1
        return item

    def clear(self) -> list[T]:
        """Take out everything."""
        return [self.pop() for _ in range(self._length)]

"""What one pytest process has collected, and what has become of it so far."""

from collections.abc import Callable, Iterable
from typing import Any

from tms_sdk.manifest import Manifest
from tms_sdk.records import Record, file_of, record, title_of
from tms_sdk.share import Node
from tms_sdk.verdict import Told


class Suite:
    """The tests of a pytest process, as far as it has told of them.

    Args:
        report: takes each result.

    Attributes:
        manifest: what was collected; None until that is told.
        told: what tells how the process ended.
    """

    def __init__(self, report: Callable[[Record], None]) -> None:
        self.manifest: Manifest | None = None
        self.told = Told()
        self._report = report
        self._ran: set[str] = set()

    @property
    def has_run(self) -> bool:
        """Whether there is a result."""
        return bool(self._ran)

    def begin(self, test_id: str) -> None:
        """Take in that a test has begun."""
        self.told.running[test_id] = None

    def succeed(self, seconds: float) -> None:
        """Take in that the test that has begun last has passed."""
        self.end({"id": next(reversed(self.told.running)), "status": "passed", "seconds": seconds})

    def end(self, test: dict[str, Any]) -> None:
        """Take in a test that has ended, as `tms_sdk.channel` has it."""
        test_id = test.pop("id")
        self.told.running.pop(test_id, None)
        known = self.manifest.tests.get(test_id) if self.manifest is not None else None
        name = known or {"file": file_of(test_id), "title": title_of(test_id), "labels": []}
        self._ran.add(test_id)
        self._report(record(file=name["file"], title=name["title"], tags=name["labels"], **test))

    def settle(self, test_ids: Iterable[str]) -> list[str]:
        """Report those of some tests that need no running; return those that do."""
        left = self.left(test_ids)
        ready = self.manifest.ready if self.manifest is not None else {}
        for test_id in left:
            if test_id in ready:
                self._ran.add(test_id)
                self.told.broken |= ready[test_id]["status"] == "failed"
                self._report(ready[test_id])
        return self.left(left)

    def left(self, test_ids: Iterable[str]) -> list[str]:
        """Return those of some tests that have no result yet."""
        return [test_id for test_id in test_ids if test_id not in self._ran]

    def share(self, node: Node) -> list[str]:
        """Return what is left of a node's share of all tests."""
        manifest = self.manifest
        if manifest is None:
            return []
        runnable = manifest.tests if manifest.runnable else manifest.ready
        return self.left(test_id for test_id in runnable if node.runs(manifest.tests[test_id]["file"]))

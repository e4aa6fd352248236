"""What a live reader may ask for."""

from typing import Annotated

import msgspec
from msgspec import Meta

from orchestrator.executions.model import Environment, ExecutionStatus, TestSuite

Number = Annotated[int, Meta(ge=0, le=2**53)]


class ExecutionLiveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where to begin: after event `after`, without a snapshot; with `tests=1`, after frame `tests_after` of tests."""

    after: Number | None = None
    tests: bool = False
    tests_after: Number | None = None


class AllLiveQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which executions to watch."""

    test_suite: TestSuite | None = None
    environment: Environment | None = None
    status: ExecutionStatus | None = None

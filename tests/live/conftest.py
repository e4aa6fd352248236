"""What the tests of live readers in memory share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.live import stream, subscriber

IN_MEMORY = ("test_any_order.py", "test_readers.py")


@pytest.fixture(autouse=True, scope="module")
def _small_and_impatient(request: pytest.FixtureRequest) -> Iterator[None]:
    """In memory: queues that are soon full, and a database that is asked again at once."""
    with pytest.MonkeyPatch.context() as patch:
        if Path(request.module.__file__).name in IN_MEMORY:
            patch.setattr(subscriber, "MOST_FRAMES", 4)
            patch.setattr(subscriber, "RETRY_SECONDS", 0)
            patch.setattr(stream, "RETRY_SECONDS", 0)
        yield

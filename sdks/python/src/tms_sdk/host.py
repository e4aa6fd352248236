"""Where a runner is at home."""

from typing import Any, Protocol

from tms_sdk.verdict import Death


class Host(Protocol):
    """The companion of a `pytest --tms`, or a shard of `tms run`."""

    @property
    def provider(self) -> str:
        """What the server is told to be spoken to by."""

    @property
    def outlives_pytest(self) -> bool:
        """Whether it sees how the pytest process ends. Otherwise pytest's own word has to do."""

    def find(self) -> str:
        """Return the execution, which may be made for it.

        Raises:
            TMSError: there is none.
        """

    def tell(self, line: dict[str, Any]) -> None:
        """Take in news.

        `{"collected": tests, "files": files}`, `{"lease": tests}`, `{"start": id}`, `{"record": record}`, `{"said":
        words}`, `{"stopped": reason}`; `{"done": True}` where nothing is left to run, here or elsewhere.
        """

    def interrupt(self, pid: int) -> None:
        """End a test that does not end by itself."""

    def death(self) -> Death | None:
        """Return how the pytest process ended; None while it lives."""

    def is_turn(self, *, fails: bool) -> bool:
        """Wait until the shard may be closed.

        Returns:
            Whether it may end in error, which ends the execution for all its runners.
        """

    def abort(self) -> None:
        """Somebody has interrupted the run; the execution ends where it is for this run alone."""

"""Everything that can go wrong, as one tree; each message says what to do next.

TMSError
├── ApiError              the server answered, and refused
│   └── ReportsRejected   it cannot read a report
├── Unreachable           the server did not answer
├── UsageError            what was given can never work: an address, a token, an id, a command
└── ReportError           a file to be sent cannot be read
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from tms_sdk.retry import RETRYABLE_STATUSES
from tms_sdk.wire import FileAnswer

UNREADABLE_ANSWER = "UNREADABLE_ANSWER"
"""The code of an answer that no TMS server gives."""
REDIRECTED = "REDIRECTED"

_NO_ENTRY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

_NEXT_STEPS = {
    401: "Check the token (TMS_TOKEN); `orchestrator token create` on the server makes a new one.",
    403: "The token's owner may not do this: use a token with that right.",
    404: "Check the id, and that the token belongs to the same organization.",
    405: "Check the URL (TMS_URL): it should be the server's own address, with or without /api.",
    409: "The execution has ended already, or was cancelled: create a new one.",
    413: "Send less at once: more shards, or shorter error texts.",
    429: "Wait until the limit is reset, or raise the server's limit.",
}


class TMSError(Exception):
    """Base of all errors of this package."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One invalid field of a request: its path, such as `tests[0].status`, and what is wrong with it."""

    field: str
    message: str


class ApiError(TMSError):
    """The server answered, and refused.

    Attributes:
        status: the HTTP status.
        code: the server's stable code, such as `VALIDATION_ERROR`.
        message: the server's own words.
        details: the invalid fields, where the server named any.
        request_id: what to quote when asking the server's keeper, or None.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(status, code, message, details, request_id)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.request_id = request_id

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        lines = [f"{self.message} (HTTP {self.status} {self.code}{request})"]
        lines += [f"  {fault}" for fault in self._faults()]
        next_step = _NEXT_STEPS.get(self.status)
        if next_step is None and self.status >= 500:  # noqa: PLR2004 - the first of HTTP's server errors
            next_step = "The server is in trouble: try again later, and look at its log for the request."
        if next_step is not None:
            lines.append(next_step)
        return "\n".join(lines)

    def _faults(self) -> list[str]:
        """What is wrong, thing by thing."""
        return [f"{detail.field}: {detail.message}" for detail in self.details]


class ReportsRejected(ApiError):
    """The server cannot read a report, and so stored nothing of the upload.

    Attributes:
        files: what became of each file, in the order they were sent.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: Sequence[Detail] = (),
        request_id: str | None = None,
        files: Sequence[FileAnswer] = (),
    ) -> None:
        super().__init__(status, code, message, details, request_id)
        self.files = tuple(files)

    def _faults(self) -> list[str]:
        return [f"{file['file']}: {file['status']}: {file.get('error', 'no reason given')}" for file in self.files]


class Unreachable(TMSError):
    """The server did not answer, however often it was asked.

    Attributes:
        url: what was asked for, without any secret.
        reason: why the last attempt failed.
        attempts: how often it was tried.
    """

    def __init__(self, url: str, reason: str, attempts: int) -> None:
        super().__init__(url, reason, attempts)
        self.url = url
        self.reason = reason
        self.attempts = attempts

    def __str__(self) -> str:
        tried = "once" if self.attempts == 1 else f"{self.attempts} times"
        return (
            f"No answer from {self.url}, tried {tried}: {self.reason}\n"
            "Check that the server runs (its /healthz answers) and that the URL (TMS_URL) is right."
        )


def is_away(error: TMSError, *, has_answered: bool) -> bool:
    """Tell whether the server is away or in trouble, as opposed to refusing.

    Something in front of it may answer in its place. And once it has agreed (`has_answered`), what looks like a wrong
    token or address is its trouble as well, or that of whoever keeps it: no reason to run no tests.
    """
    if not isinstance(error, ApiError):
        return isinstance(error, Unreachable)
    if error.status in RETRYABLE_STATUSES:
        return True
    if error.code == UNREADABLE_ANSWER:
        return error.status != HTTPStatus.REQUEST_ENTITY_TOO_LARGE  # it would say so again
    return has_answered and (error.status in _NO_ENTRY or error.code == REDIRECTED)


class UsageError(TMSError):
    """What was given can never work: an address, a token, an id, a command."""


class ReportError(TMSError):
    """A report or another file cannot be opened, or not sent as it is.

    Attributes:
        path: the file.
        reason: what is wrong.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"

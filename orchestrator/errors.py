"""One tree of errors; each class has a stable code that clients may rely on.

    TMSError
    ├── BadRequest            unreadable: not JSON, not UTF-8, not gzip
    │   └── UnreadableReport  a test report that cannot be read
    ├── ValidationFailed      readable, but fields are wrong; names them
    ├── Unauthorized          no credential, or not a valid one
    ├── Forbidden             a valid credential without the permission
    ├── NotFound              no such thing, or another tenant's
    ├── MethodNotAllowed
    ├── Conflict              the state does not allow it
    │   └── StaleOwner        a newer owner has taken the partition
    ├── TooLarge              the body is over a limit
    ├── RangeNotSatisfiable   a part of a file is asked for that it does not have
    ├── UnsupportedMedia      a body in a form or compression that is not read here
    ├── AddressRefused        webhooks may not go to this address
    ├── RateLimited           too many requests; retry after a while
    ├── Unavailable           a part is away; retry after a while
    ├── Misconfigured         the program cannot start like this; says what to change
    │   └── SchemaTooNew      the database was migrated by a newer version
    └── InternalError         our fault

Errors of drivers and libraries are translated into these where they enter (`storage.postgres`, `gateway.wire`); the
one map to HTTP statuses is `gateway.middleware.errors`.
"""

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: its path as the client wrote it (`tests[0].status`) and what is wrong with it."""

    field: str
    message: str


class TMSError(Exception):
    """Base of every error of ours.

    Attributes:
        code: stable, upper case; what programs compare.
        message: one sentence for people; says what to do next where that is known.
        details: the fields concerned, empty if none.
    """

    code = "INTERNAL_ERROR"

    def __init__(self, message: str, details: tuple[FieldError, ...] = (), *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if code is not None:
            self.code = code


class BadRequest(TMSError):
    """The request cannot be read at all."""

    code = "BAD_REQUEST"


class UnreadableReport(BadRequest):
    """A test report cannot be read, or goes over a limit; the message says where."""

    code = "UNREADABLE_REPORT"


class ValidationFailed(TMSError):
    """Some fields of a readable request are wrong; `details` names each."""

    code = "VALIDATION_ERROR"

    def __init__(
        self, *details: FieldError, message: str = "Request validation failed", code: str | None = None
    ) -> None:
        super().__init__(message, details, code=code)


class Unauthorized(TMSError):
    """There is no credential, or it is unknown, expired or revoked."""

    code = "UNAUTHORIZED"


class Forbidden(TMSError):
    """The credential is valid, but does not carry the permission."""

    code = "FORBIDDEN"


class NotFound(TMSError):
    """There is no such thing for this caller."""

    code = "NOT_FOUND"


class MethodNotAllowed(TMSError):
    """The path exists, but not with this method."""

    code = "METHOD_NOT_ALLOWED"


class Conflict(TMSError):
    """The thing exists, but its state does not allow this."""

    code = "CONFLICT"


class StaleOwner(Conflict):
    """A newer owner has taken the partition: this one may write nothing more."""

    code = "STALE_OWNER"


class TooLarge(TMSError):
    """The request is over a limit of size."""

    code = "PAYLOAD_TOO_LARGE"


class RangeNotSatisfiable(TMSError):
    """A part of a file is asked for that it does not have.

    Attributes:
        size: of the file, in bytes.
    """

    code = "RANGE_NOT_SATISFIABLE"

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes, and none of those asked for")
        self.size = size


class UnsupportedMedia(TMSError):
    """The body is not JSON, or compressed in an unknown way."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class AddressRefused(TMSError):
    """Webhooks may not go there (X-037, X-095)."""

    code = "ADDRESS_REFUSED"


class RateLimited(TMSError):
    """There were too many requests of this kind.

    Attributes:
        retry_after: seconds until there may be more.
    """

    code = "RATE_LIMITED"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(TMSError):
    """A part of the system is away; the same request may be sent again.

    Attributes:
        retry_after: seconds to wait before the next try.
    """

    code = "SERVICE_UNAVAILABLE"

    def __init__(self, message: str, details: tuple[FieldError, ...] = (), *, retry_after: int = 1) -> None:
        super().__init__(message, details)
        self.retry_after = retry_after


class Misconfigured(TMSError):
    """The program cannot start or go on as it is set up."""

    code = "MISCONFIGURED"


class SchemaTooNew(Misconfigured):
    """The database has a schema that this version does not know."""

    code = "SCHEMA_TOO_NEW"


class InternalError(TMSError):
    """A fault of ours; the log has the request id."""

    code = "INTERNAL_ERROR"

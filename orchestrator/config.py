"""Settings: the only reader of the environment.

Every setting has a name `TMS_…`, a default that suits one machine, and one line that says what it is for. They are read
once, checked, and passed on; no other module looks at the environment.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, get_type_hints

import msgspec
from msgspec import Meta

from orchestrator.errors import Misconfigured

PREFIX = "TMS_"


HttpUrl = Annotated[str, Meta(pattern=r"^https?://")]
PostgresUrl = Annotated[str, Meta(pattern=r"^postgres(ql)?://")]
RedisUrl = Annotated[str, Meta(pattern=r"^(rediss?|unix)://")]
LongSecret = Annotated[str, Meta(min_length=32)]
Token = Annotated[str, Meta(min_length=16)]
PartitionCount = Annotated[int, Meta(ge=1, le=1024)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings; the field `database_url` is the variable `TMS_DATABASE_URL`, and so on."""

    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 picks a free one")] = 8000
    public_url: Annotated[HttpUrl | None, Meta(description="base of the URLs given out; unset: the request's Host")] = (
        None
    )
    data_dir: Annotated[Path, Meta(description="folder of the embedded servers, keys and artifacts")] = Path(".tms")
    database_url: Annotated[
        PostgresUrl | None, Meta(description="a managed Postgres (14 or later); unset: an embedded one")
    ] = None
    redis_url: Annotated[RedisUrl | None, Meta(description="a managed Redis or Valkey; unset: an embedded one")] = None
    ray_address: Annotated[str | None, Meta(description="a running Ray cluster; unset: a local one")] = None
    partitions: Annotated[
        PartitionCount | None,
        Meta(description="partitions, an owner each; fixed at the first start; unset: one per core, 8 at most"),
    ] = None
    bootstrap_token: Annotated[
        Token | None,
        Meta(description="an admin API token valid from the first start; unset: one is made and printed once"),
    ] = None
    secret_key: Annotated[
        LongSecret | None,
        Meta(description="key of derived secrets, the same for all servers; unset: kept in the data folder"),
    ] = None
    max_body_bytes: Annotated[
        int, Meta(ge=1024, description="largest request body in bytes, before and after decompression")
    ] = 32 * 1024 * 1024
    retention_months: Annotated[int, Meta(ge=0, description="whole months of test rows to keep; 0 keeps all")] = 0
    request_wait_seconds: Annotated[
        float, Meta(gt=0, description="longest wait of a request for an absent database or owner before a 503")
    ] = 15.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read `TMS_*` variables.

        Raises:
            Misconfigured: a variable is unknown or its value is not allowed; the message names it.
        """
        source = os.environ if environ is None else environ
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in source.items()
            if name.startswith(PREFIX) and value != "" and name not in CLIENT_VARIABLES
        }
        unknown = sorted(set(given) - set(cls.__struct_fields__))
        if unknown:
            names = ", ".join(PREFIX + name.upper() for name in unknown)
            message = f"Unknown setting {names}; `orchestrator serve --help` lists the settings"
            raise Misconfigured(message)
        for name, value in given.items():
            _check(cls, name, value)
        return msgspec.convert(given, cls, strict=False, dec_hook=_to_path)


# Settings of the clients (`tms`), which may share a shell with the server.
CLIENT_VARIABLES = frozenset({"TMS_URL", "TMS_TOKEN"})


def _check(settings: type[Settings], name: str, value: str) -> None:
    """Convert one variable alone, so that an error can name it."""
    try:
        msgspec.convert({name: value}, settings, strict=False, dec_hook=_to_path)
    except msgspec.ValidationError as error:
        # The value itself stays out of the message: some settings are secrets.
        reason = str(error).rsplit(" - at `", 1)[0]
        message = f"{PREFIX}{name.upper()}: {reason}"
        raise Misconfigured(message) from None


def _to_path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str):
        return Path(value)
    message = f"cannot convert {value!r} to {kind.__name__}"
    raise TypeError(message)


def describe() -> list[tuple[str, str, str]]:
    """Each setting as (variable, default, what it is for), for `--help` and the documentation."""
    return [
        (PREFIX + name.upper(), _default(getattr(Settings(), name)), kind.__metadata__[-1].description)
        for name, kind in get_type_hints(Settings, include_extras=True).items()
    ]


def _default(value: object) -> str:
    return "" if value is None else str(value)

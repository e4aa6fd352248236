"""Settings: the only reader of the environment.

Every setting has a name `TMS_…`, a default that suits one machine, and one line that says what it is for. They are read
once, checked, and passed on; no other module looks at the environment.
"""

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Self, get_type_hints

import msgspec
from msgspec import Meta

from orchestrator.artifacts.model import MOST_BYTES
from orchestrator.errors import Misconfigured

PREFIX = "TMS_"


HttpUrl = Annotated[str, Meta(pattern=r"^https?://")]
PostgresUrl = Annotated[str, Meta(pattern=r"^postgres(ql)?://")]
RedisUrl = Annotated[str, Meta(pattern=r"^(rediss?|unix)://")]
StoreUrl = Annotated[str, Meta(pattern=r"^(s3|gs|az)://[^/]")]
LongSecret = Annotated[str, Meta(min_length=32)]
Token = Annotated[str, Meta(min_length=16)]
PartitionCount = Annotated[int, Meta(ge=1, le=1024)]


class Networks(tuple[IPv4Network | IPv6Network, ...]):
    """IP networks, written with commas between them: `127.0.0.0/8,fd00::/8`."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read them; a single address is a network of its own."""
        try:
            return cls(ip_network(part.strip()) for part in text.split(","))
        except ValueError:
            raise ValueError("Expected networks such as `127.0.0.0/8`, with commas between them") from None

    def __str__(self) -> str:
        return ",".join(map(str, self))


class Ports(frozenset[int]):
    """TCP ports, written with commas between them: `443,8443`."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read them."""
        parts = [part.strip() for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= _LAST_PORT for part in parts):
            raise ValueError(f"Expected ports from 1 to {_LAST_PORT}, with commas between them")
        return cls(map(int, parts))

    def __str__(self) -> str:
        return ",".join(map(str, sorted(self)))


_LAST_PORT = 65535


class Folders(tuple[str, ...]):
    """Absolute paths of folders, written with commas between them: `/srv/suites,/mnt/tests`."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> Self:
        """Read them."""
        parts = [part.strip() for part in text.split(",")]
        if not all(part.startswith("/") and ".." not in part.split("/") for part in parts):
            raise ValueError("Expected absolute paths of folders, with commas between them")
        return cls(parts)

    def __str__(self) -> str:
        return ",".join(self)


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
    artifacts_url: Annotated[
        StoreUrl | None,
        Meta(description="where artifacts are kept, s3://…, gs://… or az://…; unset: a folder in the data folder"),
    ] = None
    artifact_bytes: Annotated[int, Meta(ge=1, le=MOST_BYTES, description="largest artifact in bytes")] = 512 * 1024**2
    artifact_execution_bytes: Annotated[
        int, Meta(ge=1, description="bytes of all artifacts of one execution at the most")
    ] = 10 * 1024**3
    artifact_days: Annotated[
        int, Meta(ge=0, description="days to keep artifacts after their execution ended; 0 keeps all")
    ] = 0
    request_wait_seconds: Annotated[
        float, Meta(gt=0, description="longest wait of a request for an absent database or owner before a 503")
    ] = 15.0
    webhook_allow: Annotated[
        Networks,
        Meta(description="networks that webhooks may reach though private, also by plain http; comma-separated CIDRs"),
    ] = Networks()
    webhook_ports: Annotated[
        Ports, Meta(description="ports that webhooks may reach outside TMS_WEBHOOK_ALLOW; comma-separated")
    ] = Ports({443, 8443})
    webhook_rate: Annotated[
        int, Meta(ge=0, description="requests a second to one webhook at the most; 0 sets no limit")
    ] = 10
    webhook_timeout: Annotated[float, Meta(gt=0, description="seconds that a webhook's receiver has to answer")] = 15.0
    webhook_disable_after: Annotated[
        float, Meta(gt=0, description="seconds of failure without a success after which a webhook is disabled")
    ] = 432_000.0
    limit_webhooks: Annotated[
        int,
        Meta(ge=0, description="requests an hour of one API token to register, change and validate webhooks; 0: any"),
    ] = 50
    shard_lease_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="silence after which a runner loses its tests to others")
    ] = 30.0
    job_shards: Annotated[
        int, Meta(ge=0, description="shards of one tenant that run on the cluster at once; 0 sets no limit")
    ] = 20
    job_folders: Annotated[
        Folders, Meta(description="folders on the nodes that jobs may be run in; comma-separated; unset: none")
    ] = Folders()
    job_grace_seconds: Annotated[
        float, Meta(ge=0, le=600, description="what a job's processes have to end after a SIGTERM before a SIGKILL")
    ] = 10.0
    progress_seconds: Annotated[
        float, Meta(gt=0, description="seconds between two execution.progress of a running execution")
    ] = 30.0

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
        return msgspec.convert(given, cls, strict=False, dec_hook=_of_text)


# Settings of the clients (`tms`), which may share a shell with the server.
CLIENT_VARIABLES = frozenset({"TMS_URL", "TMS_TOKEN", "TMS_EXECUTION", "TMS_SHARD", "TMS_SHARDS"})


def _check(settings: type[Settings], name: str, value: str) -> None:
    """Convert one variable alone, so that an error can name it."""
    try:
        msgspec.convert({name: value}, settings, strict=False, dec_hook=_of_text)
    except msgspec.ValidationError as error:
        # The value itself stays out of the message: some settings are secrets.
        reason = str(error).rsplit(" - at `", 1)[0]
        message = f"{PREFIX}{name.upper()}: {reason}"
        raise Misconfigured(message) from None


_READERS: dict[type, Callable[[str], object]] = {
    Path: Path,
    Networks: Networks.of,
    Ports: Ports.of,
    Folders: Folders.of,
}


def _of_text(kind: type, value: object) -> object:
    if kind in _READERS and isinstance(value, str):
        return _READERS[kind](value)
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

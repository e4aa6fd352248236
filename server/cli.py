"""The `orchestrator` command."""

import sys
from collections.abc import Callable, Container, Coroutine
from typing import Annotated, Any

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from orchestrator.config import Settings, describe
from orchestrator.errors import Misconfigured, TMSError, Unavailable
from orchestrator.identity.roles import Role
from server import logs

# sysexits.h: what scripts and service managers can tell apart.
EX_UNAVAILABLE = 69
EX_CONFIG = 78

app = typer.Typer(
    name="orchestrator",
    help="Runs test suites in shards, keeps every result, and shows them live.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
token = typer.Typer(help="API tokens: make, list, revoke. A running server is not needed.", no_args_is_help=True)
app.add_typer(token, name="token")

out = Console()


def main() -> None:
    """Run the command; an error of ours is one clear line and an exit code."""
    logs.configure()
    try:
        app()
    except Misconfigured as error:
        sys.exit(_complain(error, EX_CONFIG))
    except Unavailable as error:
        sys.exit(_complain(error, EX_UNAVAILABLE))
    except TMSError as error:
        sys.exit(_complain(error, 1))


def _complain(error: TMSError, code: int) -> int:
    fields = "".join(f"; {detail.field}: {detail.message}" for detail in error.details)
    print(f"orchestrator: {error.message}{fields}", file=sys.stderr)  # noqa: T201 - the command speaks
    return code


def _epilog(*examples: str, settings: Container[str] | None = None) -> str:
    """What stands under a command's help: examples, then the settings it reads (all of them if none are named)."""
    rows = "\n".join(
        f"  {name}{f' = {default}' if default else ''}\n      {about}"
        for name, default, about in describe()
        if settings is None or name in settings
    )
    shown = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{shown}\n\n\b\nSettings, from the environment:\n{rows}"


_DATABASE = ("TMS_DATABASE_URL", "TMS_DATA_DIR")


@app.command(
    epilog=_epilog(
        "orchestrator serve",
        "TMS_HOST=0.0.0.0 TMS_PORT=9000 TMS_DATA_DIR=/var/lib/tms orchestrator serve",
    )
)
def serve() -> None:
    """Start the server: gateway, owners, and - where no managed ones are set - Postgres, Valkey and Ray.

    Stops on SIGTERM or Ctrl-C: requests under way are finished, live readers told to come back.

    Exits with 0 then, with 78 where it is set up wrongly, with 69 where a part it needs cannot be reached.
    """
    settings = Settings.from_environment()
    from server.serve import serve as run  # noqa: PLC0415 - loads Ray, which `--help` and `token` do without

    _run(run(settings, _announce(settings)))


def _announce(settings: Settings) -> Callable[[str], None]:
    def say(url: str) -> None:
        print(f"Serving at {settings.public_url or url} (API description: {url}/api/docs)", flush=True)  # noqa: T201 - the command speaks

    return say


@app.command(
    epilog=_epilog("TMS_DATABASE_URL=postgresql://tms@db/tms orchestrator migrate", settings=_DATABASE),
)
def migrate() -> None:
    """Bring the database to this version's schema, and exit; `serve` does this too."""
    from server.offline import migrated  # noqa: PLC0415 - as in serve

    settings = Settings.from_environment()
    partitions = _run(migrated(settings))
    out.print(f"The database is up to date, with {partitions} partitions.")


@app.command(epilog=_epilog("make demo", "TMS_PORT=9000 make demo", settings=("TMS_PORT", "TMS_DATA_DIR")))
def demo() -> None:
    """Run the project's own unit tests in four shards on a server of its own, and watch them live."""
    from server.demo import demo as run  # noqa: PLC0415 - as in serve

    sys.exit(_run(run(Settings.from_environment())))


@token.command(
    "create",
    epilog=_epilog("orchestrator token create --name github-actions --role qa_lead", settings=_DATABASE),
)
def token_create(
    name: Annotated[str, typer.Option(help="What it is for, such as the CI system that uses it.")],
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.ADMIN,
    tenant: Annotated[str, typer.Option(help="Whose it is; made if there is none of this name.")] = "default",
) -> None:
    """Make an API token and print it; this is the only time it is shown."""
    from server.offline import create_token  # noqa: PLC0415 - as in serve

    _print_secret(_run(create_token(Settings.from_environment(), tenant, name, role)))


def _print_secret(secret: str) -> None:
    print(secret)  # noqa: T201 - alone on standard output, for scripts


@token.command("list", epilog=_epilog("orchestrator token list --json", settings=_DATABASE))
def token_list(
    tenant: Annotated[str, typer.Option(help="Whose tokens.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """List API tokens: never the token itself, but its prefix, last use and end."""
    from server.offline import list_tokens  # noqa: PLC0415 - as in serve

    tokens = _run(list_tokens(Settings.from_environment(), tenant))
    if as_json:
        print(msgspec.json.encode(tokens).decode())  # noqa: T201 - the command's answer
        return
    table = Table("id", "name", "role", "prefix", "created", "last used", "ends", "revoked")
    for one in tokens:
        moments = (one.created_at, one.last_used_at, one.expires_at, one.revoked_at)
        shown = (f"{moment:%Y-%m-%d %H:%M}" if moment else "" for moment in moments)
        table.add_row(one.token_id, one.name, one.role, one.prefix, *shown)
    out.print(table)


@token.command("revoke", epilog=_epilog("orchestrator token revoke tok_…", settings=_DATABASE))
def token_revoke(
    token_id: Annotated[str, typer.Argument(help="The id, as `token list` shows it.")],
    tenant: Annotated[str, typer.Option(help="Whose token.")] = "default",
) -> None:
    """Revoke an API token: it stops to work within a second."""
    from server.offline import revoke_token  # noqa: PLC0415 - as in serve

    _run(revoke_token(Settings.from_environment(), tenant, token_id))
    out.print(f"{token_id} is revoked.")


def _run(work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the work returns
    return uvloop.run(work)

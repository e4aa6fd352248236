"""The command `tms`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.text import Text

import tms_sdk.lean  # noqa: F401 - before anything imports httpx
from tms_sdk import __version__, artifacts_command, helptexts
from tms_sdk.client import TMSClient
from tms_sdk.errors import ReportError, ReportsRejected, TMSError, UsageError, is_away
from tms_sdk.executions import configuration
from tms_sdk.gate import gate
from tms_sdk.manifest import ORDERS, Dealing
from tms_sdk.run import SOME_PATIENCE, RunOptions, run
from tms_sdk.send import send
from tms_sdk.settings import DEFAULT_URL, SPOOL, Settings
from tms_sdk.upload import Target, upload
from tms_sdk.verdict import ExitCode

SUITES = ("smoke", "regression", "api", "ui", "all")
ENVIRONMENTS = ("dev", "staging", "production")


class _Parser(argparse.ArgumentParser):
    """Ends with pytest's code for wrong usage; argparse's own, 2, would say that the run was interrupted."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE_ERROR, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line (that of the process by default) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # What stands behind the first `--` is the test command, in which nothing is ours to read.
    cut = given.index("--") if "--" in given else len(given)
    parser = _parser()
    options = parser.parse_args(given[:cut])
    options.command = given[cut + 1 :]
    # A CI system that cancels a job sends SIGTERM, a terminal that is closed SIGHUP; both mean what Ctrl-C means. Under
    # nohup, SIGHUP means nothing, and that is what was asked for.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        return action(options)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except (ReportError, ReportsRejected, UsageError) as error:
        _complain(error)
        return ExitCode.USAGE_ERROR
    except TMSError as error:
        _complain(error)
        return ExitCode.INTERNAL_ERROR


def _complain(error: TMSError) -> None:
    Console(stderr=True).print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tms", description=helptexts.HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"tms {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = _command(commands, "run", "run a pytest suite in parallel shards", helptexts.RUN, helptexts.RUN_EXAMPLES)
    command.usage = (
        "tms run [--shards N] [--mode MODE] [--order ORDER] [--rerun EXECUTION]\n"
        "               [--suite NAME] [--environment NAME] [--timeout SECONDS] -- pytest ..."
    )
    command.add_argument(
        "--shards",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="pytest processes side by side (default: one per CPU, %(default)s here)",
    )
    command.add_argument(
        "--mode",
        choices=("queue", "static"),
        default="queue",
        help="shards take batches as they go, or are fixed beforehand (default: %(default)s)",
    )
    command.add_argument(
        "--order",
        choices=tuple(ORDERS),
        default="duration",
        help="what comes first: what takes longest, or what failed lately (default: %(default)s)",
    )
    command.add_argument("--rerun", metavar="EXECUTION", help="run only what failed or is missing in this execution")
    _add_labels(command)
    _add_timeout(command)
    command.set_defaults(action=_run)

    command = _command(
        commands, "create", "create an execution for CI nodes", helptexts.CREATE, helptexts.CREATE_EXAMPLES
    )
    command.add_argument(
        "--shards", type=_positive, default=1, metavar="N", help="nodes that will share it (default: %(default)s)"
    )
    _add_labels(command)
    _add_timeout(command)
    command.set_defaults(action=_create)

    command = _command(commands, "send", "send results that were kept", helptexts.SEND, helptexts.SEND_EXAMPLES)
    command.add_argument(
        "folder", type=Path, nargs="?", default=SPOOL, metavar="DIR", help="where they are (default: %(default)s)"
    )
    command.add_argument("--execution", metavar="ID", help="where results go whose run had no execution")
    command.set_defaults(action=_send)

    command = _command(commands, "watch", "show an execution live", helptexts.WATCH, helptexts.WATCH_EXAMPLES)
    command.add_argument("execution", metavar="EXECUTION", help="the execution's id")
    command.set_defaults(action=_watch)

    command = _command(
        commands, "upload", "send reports in JUnit XML or CTRF JSON", helptexts.UPLOAD, helptexts.UPLOAD_EXAMPLES
    )
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a report")
    command.add_argument("--execution", metavar="ID", help="an execution that exists")
    command.add_argument("--shard", type=_positive, metavar="N", help="its shard to fill (default: 1)")
    _add_labels(command)
    command.set_defaults(action=_upload)

    command = _command(commands, "gate", "judge an execution by rules", helptexts.GATE, helptexts.GATE_EXAMPLES)
    command.add_argument("execution", metavar="EXECUTION", help="the execution's id")
    command.add_argument("--rules", metavar="RULES", help="with commas between them; quote them for the shell")
    command.add_argument("--baseline", metavar="BRANCH", help="the branch to compare with")
    command.set_defaults(action=_gate)
    group = commands.add_parser("artifacts", help="send files that a shard left behind")
    actions = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    about = artifacts_command
    command = _command(actions, "upload", "send files of a shard", about.HELP, about.EXAMPLES)
    command.add_argument("execution", metavar="EXECUTION", help="the execution's id")
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a file")
    command.add_argument("--shard", type=_positive, default=1, metavar="N", help="its shard (default: %(default)s)")
    command.add_argument("--kind", choices=about.KINDS, help="what they are (default: by their names)")
    command.add_argument("--test", metavar="TITLE", help="the test that they are of")
    command.add_argument("--file", metavar="PATH", help="the file of that test")
    command.add_argument("--attempt", type=_positive, metavar="N", help="which try of that test, from 1")
    command.set_defaults(action=_upload_artifacts)
    return parser


def _command(
    commands: "argparse._SubParsersAction[_Parser]", name: str, summary: str, description: str, examples: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "--url",
        default=os.environ.get("TMS_URL") or DEFAULT_URL,
        help=f"the server's address (default: TMS_URL, else {DEFAULT_URL})",
    )
    command.add_argument(
        "--token", default=os.environ.get("TMS_TOKEN", ""), help="the API token (default: TMS_TOKEN, which no ps shows)"
    )
    return command


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument("--suite", choices=SUITES, default="all", help="what is run (default: %(default)s)")
    command.add_argument(
        "--environment", choices=ENVIRONMENTS, default="dev", help="what it is run against (default: %(default)s)"
    )


def _add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--timeout",
        type=_positive,
        metavar="SECONDS",
        help="after which the server calls the execution failed (default: the server's)",
    )


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, not {text!r}")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    if not options.command:
        Console(stderr=True).print(
            "tms run: name the tests' command behind --, as in: tms run --shards 4 -- pytest tests"
        )
        return ExitCode.USAGE_ERROR
    asked = RunOptions(
        url=options.url,
        token=options.token,
        command=options.command,
        shards=options.shards,
        dealing=Dealing(options.mode, ORDERS[options.order], options.rerun),
        patience=Settings.read(os.environ).patience,
        suite=options.suite,
        environment=options.environment,
        timeout=options.timeout,
    )
    return run(asked, Console())


def _create(options: argparse.Namespace) -> int:
    described = configuration(
        shards=options.shards,
        provider="tms-create",
        suite=options.suite,
        environment=options.environment,
        timeout=options.timeout,
    )
    try:
        with TMSClient(options.token, options.url, retry=SOME_PATIENCE) as client:
            print(client.create_execution(described)["executionId"])  # noqa: T201 - for a script to read
    except TMSError as error:
        if not is_away(error, has_answered=False):
            raise
        words = f"{error}\nThe nodes run shares of their own without it, and keep their results for `tms send`."
        Console(stderr=True).print(Text(words, "bold yellow"), soft_wrap=True)
    return ExitCode.OK


def _send(options: argparse.Namespace) -> int:
    with TMSClient(options.token, options.url) as client:
        delivered = send(client, options.folder, options.execution, Console())
    return ExitCode.OK if delivered else ExitCode.INTERNAL_ERROR


def _watch(options: argparse.Namespace) -> int:
    from tms_sdk.watch import watch  # noqa: PLC0415 - websockets and asyncio, which no other command waits for

    return watch(options.url, options.token, options.execution, Console())


def _upload(options: argparse.Namespace) -> int:
    if options.shard is not None and options.execution is None:
        Console(stderr=True).print("tms upload: --shard is a shard of an --execution; name that too")
        return ExitCode.USAGE_ERROR
    target = None if options.execution is None else Target(options.execution, str(options.shard or 1))
    with TMSClient(options.token, options.url) as client:
        upload(client, options.files, target, options.suite, options.environment, Console())
    return ExitCode.OK


def _gate(options: argparse.Namespace) -> int:
    with TMSClient(options.token, options.url) as client:
        return gate(client, options.execution, options.rules, options.baseline, Console())


def _upload_artifacts(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in ("kind", "test", "file", "attempt")}
    binding = {name: value for name, value in given.items() if value is not None}
    with TMSClient(options.token, options.url) as client:
        artifacts_command.upload(client, options.execution, str(options.shard), options.files, binding)
    return ExitCode.OK

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

from tms_sdk import __version__, artifacts_command
from tms_sdk.client import TMSClient
from tms_sdk.errors import ReportError, ReportsRejected, TMSError, Unreachable, UsageError
from tms_sdk.executions import configuration
from tms_sdk.gate import gate
from tms_sdk.run import SOME_PATIENCE, RunOptions, run
from tms_sdk.send import send
from tms_sdk.settings import DEFAULT_URL, SPOOL, Settings
from tms_sdk.upload import Target, upload
from tms_sdk.verdict import ExitCode
from tms_sdk.watch import watch

SUITES = ("smoke", "regression", "api", "ui", "all")
ENVIRONMENTS = ("dev", "staging", "production")

_HELP = """\
Run tests in shards, report them to a TMS server, and watch them live.

  tms run --shards 4 -- pytest tests     run a pytest suite in four parallel shards
  tms create --shards 4                  an execution for CI nodes that run `pytest --tms`
  tms send                               results that were kept while the server was away
  tms watch exec_20250804123456          live bars of an execution that runs anywhere
  tms upload build/reports/*.xml         send the reports of any tool, in JUnit XML or CTRF JSON
  tms gate exec_20250804123456           whether an execution is good enough, by rules, as an exit code
  tms artifacts upload ID shots/*.png    send files that a shard left behind

The server and the token come from the environment, or from --url and --token:

  export TMS_URL=https://tms.example.com
  export TMS_TOKEN=...                   `orchestrator token create` on the server makes one

`tms COMMAND --help` tells more, with examples.
"""

_RUN = """\
Run a pytest suite in parallel shards, each result reported to the server.

Each shard is a pytest process of its own. The server deals the tests out: as a queue, from which each shard takes
batches, so that all end together, or in shards that are fixed beforehand. Your command is used as it is: arguments, ini
files and conftests stay as they are. tms-sdk has to be installed beside pytest. The failed tests' errors are printed as
they come.
"""

_RUN_EXAMPLES = """\
examples:
  tms run --shards 4 -- pytest tests
  tms run --shards 8 --suite regression --environment staging -- python -m pytest -m "not slow"
  tms run --shards 2 -- uv run pytest --junitxml=report.xml     (writes report-shard-1.xml, report-shard-2.xml)

exit codes, as pytest's own; of several shards the worst:
  0  all tests passed
  1  tests failed
  2  interrupted, or the execution was cancelled on the server
  3  internal error: a pytest process died, or the server refuses results
  4  wrong usage
  5  no tests were collected

Ctrl-C ends the shards and cancels the execution.
"""

_CREATE = """\
Create an execution for several CI nodes to share, and print its id.

Each node then runs `pytest --tms` with the id in TMS_EXECUTION. If the server is away, nothing is printed, with a word
on stderr, and the exit code is 0: nodes without an execution run a share of their own, and keep the results for
`tms send`.
"""

_CREATE_EXAMPLES = """\
examples:
  export TMS_EXECUTION=$(tms create --shards 4 --suite regression --environment staging)
  pytest --tms                           (on each of the nodes)

exit codes:
  0  created, or the server is away
  3  the server refuses
  4  wrong usage
"""

_SEND = """\
Send results that were kept on disk while the server was away.

Nothing counts twice, however often they are sent. Results of tests that others ran meanwhile come late: they are kept,
and do not count. Results of runs that had no execution become a new one's shards, or go to --execution.
"""

_SEND_EXAMPLES = """\
examples:
  tms send
  tms send --execution exec_20250804123456 artifacts/node-3/.tms-spool

exit codes:
  0  the server has the results
  3  the server refuses or does not answer; what it has not taken stays
  4  wrong usage
"""

_WATCH = """\
Show an execution live, with a bar per shard, until it ends.

After a disconnect it goes on where it stopped. Where there is no terminal, it prints a line per event.
"""

_WATCH_EXAMPLES = """\
examples:
  tms watch exec_20250804123456
  tms watch exec_20250804123456 && ./deploy.sh

exit codes:
  0  completed, no test failed
  1  tests failed, or the execution failed
  2  cancelled, or Ctrl-C (which ends the watching only)
  3  the server refuses or does not answer
  4  wrong usage
"""

_UPLOAD = """\
Send reports in JUnit XML, as nearly every test tool writes them, or in CTRF JSON. The server reads them, and its answer
is printed for each file: accepted, duplicate (the same content is there already) or rejected, and what was left out.

Without --execution, a new execution is made, with one shard per file. If a file cannot be stored, the execution is
cancelled with the reason, and the files after it are not sent. With --execution, all files go together into one of its
shards and replace what that shard had before; if one cannot be read, none is stored.
"""

_UPLOAD_EXAMPLES = """\
examples:
  tms upload report.xml
  tms upload --suite ui --environment staging target/surefire-reports/TEST-*.xml
  tms upload --execution exec_20250804123456 --shard 3 junit.xml ctrf-report.json

exit codes:
  0  the server has the reports, whatever the outcome of their tests
  2  interrupted
  3  the server refuses or does not answer
  4  wrong usage, or a report that cannot be read
"""


_GATE = """\
Judge an execution by rules, compared with former executions of its suite, and say so by the exit code. If it runs, wait
until it has ended.

A rule is a measure, `=` or `<=` (at most, both), and a number, or a percentage of the tests:

  new_failures     failed, and in none of the last 10 executions that it is compared with
  failures         failed; neither counts tests in quarantine
  flaky            passed on retry
  missing          tests of the last completed execution that it is compared with, not reported by this one
  duration_growth  how much longer it took than the median of those executions, in percent
  incomplete       shards without a result of their own: lost, broken or cancelled

Without --rules: incomplete=0,new_failures=0. An execution is compared with those of the main branch (main, master,
trunk or develop), so that a failure stays new on a branch until it is mended; or with those of its own branch where
there are none.
"""

_GATE_EXAMPLES = """\
examples:
  tms gate exec_20250804123456
  tms gate exec_20250804123456 --rules "new_failures=0,flaky<=2%,duration_growth<=20%,missing=0" && ./deploy.sh
  tms gate exec_20250804123456 --rules failures=0 --baseline release/7

exit codes:
  0  every rule passes
  1  a rule fails; the tests concerned are printed
  2  interrupted
  3  the server refuses or does not answer
  4  wrong usage, such as a rule that is none
"""


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
    parser = _Parser(prog="tms", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=f"tms {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = _command(commands, "run", "run a pytest suite in parallel shards", _RUN, _RUN_EXAMPLES)
    command.usage = (
        "tms run [--shards N] [--mode MODE] [--suite NAME] [--environment NAME] [--timeout SECONDS] -- pytest ..."
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
    _add_labels(command)
    _add_timeout(command)
    command.set_defaults(action=_run)

    command = _command(commands, "create", "create an execution for CI nodes", _CREATE, _CREATE_EXAMPLES)
    command.add_argument(
        "--shards", type=_positive, default=1, metavar="N", help="nodes that will share it (default: %(default)s)"
    )
    _add_labels(command)
    _add_timeout(command)
    command.set_defaults(action=_create)

    command = _command(commands, "send", "send results that were kept", _SEND, _SEND_EXAMPLES)
    command.add_argument(
        "folder", type=Path, nargs="?", default=SPOOL, metavar="DIR", help="where they are (default: %(default)s)"
    )
    command.add_argument("--execution", metavar="ID", help="where results go whose run had no execution")
    command.set_defaults(action=_send)

    command = _command(commands, "watch", "show an execution live", _WATCH, _WATCH_EXAMPLES)
    command.add_argument("execution", metavar="EXECUTION", help="the execution's id")
    command.set_defaults(action=_watch)

    command = _command(commands, "upload", "send reports in JUnit XML or CTRF JSON", _UPLOAD, _UPLOAD_EXAMPLES)
    command.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a report")
    command.add_argument("--execution", metavar="ID", help="an execution that exists")
    command.add_argument("--shard", type=_positive, metavar="N", help="its shard to fill (default: 1)")
    _add_labels(command)
    command.set_defaults(action=_upload)

    command = _command(commands, "gate", "judge an execution by rules", _GATE, _GATE_EXAMPLES)
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
        mode=options.mode,
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
    except Unreachable as error:
        words = f"{error}\nThe nodes run shares of their own without it, and keep their results for `tms send`."
        Console(stderr=True).print(Text(words, "bold yellow"), soft_wrap=True)
    return ExitCode.OK


def _send(options: argparse.Namespace) -> int:
    with TMSClient(options.token, options.url) as client:
        delivered = send(client, options.folder, options.execution, Console())
    return ExitCode.OK if delivered else ExitCode.INTERNAL_ERROR


def _watch(options: argparse.Namespace) -> int:
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

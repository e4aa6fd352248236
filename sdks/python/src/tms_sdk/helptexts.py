"""What `tms --help` and `tms COMMAND --help` say."""

HELP = """\
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

RUN = """\
Run a pytest suite in parallel shards, each result reported to the server.

Each shard is a pytest process of its own. The server deals the tests out: as a queue, from which each shard takes
batches, so that all end together, or in shards that are fixed beforehand. Your command is used as it is: arguments, ini
files and conftests stay as they are. tms-sdk has to be installed beside pytest. The failed tests' errors are printed as
they come.
"""

RUN_EXAMPLES = """\
examples:
  tms run --shards 4 -- pytest tests
  tms run --shards 8 --suite regression --environment staging -- python -m pytest -m "not slow"
  tms run --rerun exec_20250804123456 -- pytest tests           (what failed or is missing there)
  tms run --shards 2 -- uv run pytest --junitxml=report.xml     (writes report-shard-1.xml, report-shard-2.xml)

exit codes, as pytest's own; of several shards the worst:
  0  all tests passed
  1  tests failed, or were run nowhere
  2  interrupted, or the execution was cancelled on the server
  3  internal error: a pytest process died, or the server refuses results
  4  wrong usage
  5  no tests were collected

Ctrl-C ends the shards and cancels the execution.
"""

CREATE = """\
Create an execution for several CI nodes to share, and print its id.

Each node then runs `pytest --tms` with the id in TMS_EXECUTION. If the server is away, nothing is printed, with a word
on stderr, and the exit code is 0: nodes without an execution run a share of their own, and keep the results for
`tms send`.
"""

CREATE_EXAMPLES = """\
examples:
  export TMS_EXECUTION=$(tms create --shards 4 --suite regression --environment staging)
  pytest --tms                           (on each of the nodes)

exit codes:
  0  created, or the server is away
  3  the server refuses
  4  wrong usage
"""

SEND = """\
Send results that were kept on disk while the server was away.

Nothing counts twice, however often they are sent. Results of tests that others ran meanwhile come late: they are kept,
and do not count. Results of runs that had no execution become a new one's shards, or go to --execution.
"""

SEND_EXAMPLES = """\
examples:
  tms send
  tms send --execution exec_20250804123456 artifacts/node-3/.tms-spool

exit codes:
  0  the server has the results
  3  the server refuses or does not answer; what it has not taken stays
  4  wrong usage
"""

WATCH = """\
Show an execution live, with a bar per shard, until it ends.

After a disconnect it goes on where it stopped. Where there is no terminal, it prints a line per event.
"""

WATCH_EXAMPLES = """\
examples:
  tms watch exec_20250804123456
  tms watch exec_20250804123456 && ./deploy.sh

exit codes:
  0  completed: no test failed but such in quarantine, and none is missing
  1  tests failed or are missing, or the execution failed
  2  cancelled, or Ctrl-C (which ends the watching only)
  3  the server refuses or does not answer
  4  wrong usage
"""

UPLOAD = """\
Send reports in JUnit XML, as nearly every test tool writes them, or in CTRF JSON. The server reads them, and its answer
is printed for each file: accepted, duplicate (the same content is there already) or rejected, and what was left out.

Without --execution, a new execution is made, with one shard per file. If a file cannot be stored, the execution is
cancelled with the reason, and the files after it are not sent. With --execution, all files go together into one of its
shards and replace what that shard had before; if one cannot be read, none is stored.
"""

UPLOAD_EXAMPLES = """\
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

GATE = """\
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

GATE_EXAMPLES = """\
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

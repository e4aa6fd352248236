"""Executions that the server runs itself: a registered job in shards on the local cluster."""

import io
import re
import tarfile
from pathlib import Path
from textwrap import indent

import psutil
import pytest

from tests.gateway.conftest import Api
from tests.gateway.jobs import ended, job, output, registered, run, said, shards
from tests.patience import eventually
from tests.running import RunningServer

REPORT = """
import os
shard = os.environ["TMS_SHARD"]
print("shard", shard, "of", os.environ["TMS_SHARDS"], os.environ["GREETING"], flush=True)
os.makedirs("out")
with open(f"out/{shard}.xml", "w") as file:
    file.write(f'<testsuite><testcase classname="suite" name="works in {shard}" time="0.1"/></testsuite>')
"""

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print("family", os.getpid(), subprocess.check_output(["pgrep", "-P", str(os.getpid())]).split()[0].decode())
    sys.stdout.flush()
time.sleep(1000)
"""

SPEAKS = """
import json, os, urllib.error, urllib.request

def send(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": "Bearer " + os.environ["TMS_TOKEN"], "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(os.environ["TMS_URL"] + path, data, headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

execution = os.environ["TMS_EXECUTION"]
paths = (f"/api/executions/{execution}", f"/api/executions/{OTHER}", "/api/executions", "/api/jobs",
         f"/logs/{OTHER}", "/api/live", "/api/webhooks")
print("reads", [send(path) for path in paths])
body = {"executionId": OTHER, "shardId": "1", "status": "completed", "tests": [{"title": "x", "status": "passed"}]}
print("writes", send("/api/results", body), send("/api/results", body | {"executionId": execution}))
"""

CLAIMS = """
import json, os, urllib.request

def send(method, path, body):
    headers = {"Authorization": "Bearer " + os.environ["TMS_TOKEN"], "Content-Type": "application/json"}
    url = os.environ["TMS_URL"] + "/api/executions/" + os.environ["TMS_EXECUTION"] + path
    return urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers, method=method))

send("PUT", "/plan", {"mode": "queue", "tests": [{"file": "a.py", "title": "one"}]})
send("POST", "/claims", {"runnerId": "its own"})
raise SystemExit(3)
"""
"""Claims a test, and ends without a word of it."""

TAKES_PART = """
import os, pathlib, sys, time
import pytest
shard = os.environ["TMS_SHARD"]
for name in ("test_a.py", "test_b.py"):
    pathlib.Path(name).write_text(
        f"import pathlib\\ndef test_it():\\n pathlib.Path({MARK!r}).touch()\\n raise ValueError('in {shard}')\\n"
    )
while shard == "1" and not os.path.exists(MARK):
    time.sleep(0.05)
sys.exit(pytest.main(sys.argv[1:]))
"""
"""A suite of two failing tests, on which the second shard works first."""


async def family(api: Api, execution_id: str) -> list[psutil.Process]:
    """The processes of a stubborn command."""
    found = re.search(r"family (\d+) (\d+)\n", await said(api, execution_id, "family"))
    assert found is not None
    return [psutil.Process(int(pid)) for pid in found.groups()]


async def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


async def test_a_job_runs_in_shards_and_its_reports_are_the_results(newcomer: Api, server: RunningServer) -> None:
    await registered(newcomer, "two", job(REPORT, reports="out/{shardId}.xml", environment={"GREETING": "goôd day"}))
    execution_id = await run(newcomer, "two", shards=2)
    state = await ended(newcomer, execution_id)
    assert (state["status"], state["results"]["passed"], state["results"]["total"]) == ("completed", 2, 2)
    tests = (await newcomer.get(f"/api/executions/{execution_id}/tests")).json["tests"]
    assert [test["title"] for test in tests] == ["works in 1", "works in 2"]
    for shard in (1, 2):
        told = await output(newcomer, execution_id, shard)
        assert f"shard {shard} of 2 goôd day\n" in told
        beginning = told.partition("goôd")[0]
        assert beginning + await output(newcomer, execution_id, shard, after=str(len(beginning.encode()))) == told
    names = (await newcomer.get(f"/logs/{execution_id}")).json["shards"]
    assert names == {"1": ["shard-1"], "2": ["shard-2"]}
    assert [(one["attempt"], one["exitCode"]) for one in await shards(newcomer, execution_id)] == [(1, 0), (1, 0)]
    assert "goôd day" not in server.log


async def test_an_end_that_no_report_explains_is_told_by_the_exit_code(newcomer: Api) -> None:
    report = f"import os\nos.environ['GREETING'] = ''\n{REPORT}"
    jobs = {
        "well": (job("print('fine')"), "completed", "the command ended with 0"),
        "badly": (job("raise SystemExit(3)"), "error", "the command ended with 3"),
        "killed": (job("import os; os.kill(os.getpid(), 9)"), "error", "the command was ended by signal 9"),
        "broken": (job(f"{report}\nraise SystemExit(2)", reports="out/*.xml"), "error", "the command ended with 2"),
        "cut": (job("open('r.xml', 'w').write('<testsuite><no')", reports="*.xml"), "error", "r.xml"),
    }
    started = {}
    for name, (body, _, _) in jobs.items():
        await registered(newcomer, name, body)
        started[name] = await run(newcomer, name)
    for name, (_, status, told) in jobs.items():
        state = await ended(newcomer, started[name])
        assert state["shardResults"][0]["status"] == status
        assert state["status"] == ("completed" if status == "completed" else "failed")
        assert told in await output(newcomer, started[name])
        assert state["results"]["total"] == (name == "broken")


async def test_a_command_speaks_to_the_server_of_its_own_execution_alone(newcomer: Api) -> None:
    other = await newcomer.created(shards=1)
    await registered(newcomer, "speaks", job(f"OTHER = {other!r}\n{SPEAKS}"))
    state = await ended(newcomer, execution_id := await run(newcomer, "speaks"))
    told = await output(newcomer, execution_id)
    assert "reads [200, 403, 403, 403, 403, 403, 403]" in told
    assert "writes 403 201" in told
    assert (state["status"], state["results"]["total"]) == ("completed", 1)
    assert (await newcomer.state(other))["results"]["total"] == 0


async def test_pytest_that_takes_part_works_on_the_shard_that_it_was_started_for(newcomer: Api, tmp_path: Path) -> None:
    code = f"MARK = {str(tmp_path / 'ran')!r}\n{TAKES_PART}"
    options = ("-p", "no:cacheprovider", "--tms", "--tms-mode", "static")
    await registered(newcomer, "takes-part", job(code, *options))
    state = await ended(newcomer, execution_id := await run(newcomer, "takes-part", shards=2))
    assert [shard["status"] for shard in state["shardResults"]] == ["failed", "failed"]
    tests = (await newcomer.get(f"/api/executions/{execution_id}/tests")).json["tests"]
    assert sorted(test["shardId"] for test in tests) == ["1", "2"]
    assert all(f"in {test['shardId']}" in test["error"] for test in tests)


async def test_the_end_of_a_command_ends_no_shard_that_its_own_runner_has_claimed(newcomer: Api) -> None:
    await registered(newcomer, "claims", job(CLAIMS))
    execution_id = await run(newcomer, "claims")
    state = await ended(newcomer, execution_id)
    assert "the command ended with 3" in await output(newcomer, execution_id)
    [shard] = state["shardResults"]
    assert (shard["status"], shard["plan"]["runnerId"]) == ("running", "its own")
    await newcomer.delete(f"/api/executions/{execution_id}")


async def test_cancelling_ends_all_processes_of_the_shard(newcomer: Api) -> None:
    await registered(newcomer, "stubborn", job(STUBBORN))
    execution_id = await run(newcomer, "stubborn")
    processes = await family(newcomer, execution_id)
    assert (await newcomer.delete(f"/api/executions/{execution_id}")).status == 200
    await eventually(lambda: are_gone(processes))
    assert (await ended(newcomer, execution_id))["status"] == "cancelled"
    assert "the execution has ended" in await output(newcomer, execution_id)


async def test_a_job_that_takes_too_long_is_ended_with_all_its_processes(newcomer: Api) -> None:
    await registered(newcomer, "slow", job(STUBBORN, timeout=5000))
    execution_id = await run(newcomer, "slow")
    processes = await family(newcomer, execution_id)
    state = await ended(newcomer, execution_id)
    assert await are_gone(processes)
    assert (state["status"], state["shardResults"][0]["status"]) == ("failed", "error")
    assert "timed out after 5000 ms" in await output(newcomer, execution_id)


def runners(server: RunningServer) -> list[psutil.Process]:
    """The workers of Ray that run shards now."""
    return [one for one in server.family() if "ShardRunner" in " ".join(one.cmdline())]


@pytest.mark.parametrize(("retries", "status"), [(1, "completed"), (0, "failed")])
async def test_a_killed_runners_shard_is_run_again_while_there_are_retries(
    newcomer: Api, server: RunningServer, tmp_path: Path, retries: int, status: str
) -> None:
    mark = repr(str(tmp_path / "ran"))
    first = f"open({mark}, 'w').close()\n{STUBBORN}"
    code = f"import os\nif os.path.exists({mark}):\n{indent(REPORT, '    ')}\nelse:\n{indent(first, '    ')}"
    await registered(newcomer, "again", job(code, reports="out/*.xml", environment={"GREETING": ""}))
    execution_id = await run(newcomer, "again", retries=retries)
    processes = await family(newcomer, execution_id)
    [runner] = runners(server)
    runner.kill()
    await eventually(lambda: are_gone(processes))
    state = await ended(newcomer, execution_id)
    assert (state["status"], state["results"]["total"]) == (status, retries)
    [shard] = await shards(newcomer, execution_id)
    assert shard["attempt"] == 1 + retries
    if not retries:
        assert state["reasonCode"] == "shard_error"
        assert shard["reason"] == "Its runner, or the node that it was on, died"


async def test_what_there_is_no_room_for_waits(newcomer: Api) -> None:
    await registered(newcomer, "special", job("pass", resources={"cpus": 0.1, "custom": {"no-such-thing": 1}}))
    execution_id = await run(newcomer, "special", timeout=2000)
    state = await ended(newcomer, execution_id)
    assert state["reasonCode"] == "never_started"
    [shard] = await shards(newcomer, execution_id)
    assert (shard["attempt"], shard["reason"]) == (0, "No node of the cluster has so much: CPU 0.1, no-such-thing 1")


async def test_a_job_runs_in_its_archive_and_the_version_that_it_began_with(newcomer: Api) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("suite/data.txt")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"first"))
    kept = await newcomer.post("/api/job-archives", raw=made.getvalue(), headers={"Content-Type": "application/gzip"})
    assert kept.status == 201, kept.raw
    code = "print('read', open('suite/data.txt').read())"
    await registered(newcomer, "archived", job(code, source={"archive": kept.json["archive"]}))
    execution_id = await run(newcomer, "archived")
    await newcomer.send("PUT", "/api/jobs/archived", job("print('changed')"))
    assert "read first" in await said(newcomer, execution_id, "ended with 0")
    assert (await newcomer.get(f"/api/executions/{execution_id}/job")).json["version"] == 1


async def test_a_job_runs_in_a_folder_that_the_operator_allowed(newcomer: Api, server: RunningServer) -> None:
    folder = server.data_dir.parent / "suites" / "shop"
    folder.mkdir(parents=True)
    await registered(newcomer, "shared", job("import os; print('in', os.getcwd())", source={"folder": str(folder)}))
    assert f"in {folder.resolve()}" in await said(newcomer, await run(newcomer, "shared"), "ended with 0")
    (folder.parent / "out").symlink_to(server.data_dir)
    await registered(newcomer, "out", job("pass", source={"folder": str(folder.parent / "out")}))
    state = await ended(newcomer, execution_id := await run(newcomer, "out"))
    assert state["status"] == "failed"
    assert "leads out of the folders" in await output(newcomer, execution_id)


async def test_parameters_are_single_arguments(newcomer: Api) -> None:
    code = "import sys; print('arguments', sys.argv[1:])"
    body = job(code, "--suite={suite}", "{shardId}", parameters={"suite": {"pattern": "[a-z $;()-]+"}})
    await registered(newcomer, "echo", body)
    execution_id = await run(newcomer, "echo", {"suite": "a -x $(id); b"})
    assert "arguments ['--suite=a -x $(id); b', '1']" in await said(newcomer, execution_id, "ended with 0")

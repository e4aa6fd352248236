"""`tms run` and `tms watch` over a real server: bars move while shards run."""

import asyncio
import os
import re
import sys
from contextlib import aclosing
from pathlib import Path

from tests.plain_pytest import PYTEST
from tests.running import RunningServer
from tms_sdk.live import follow
from tms_sdk.progress import ExecutionProgress

WAITS = """
import pathlib, time
def test_quick():
    pass
def test_waits():
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
"""
QUICK = "import pytest\n@pytest.mark.parametrize('n', range(2))\ndef test_n(n): pass\n"


async def test_a_watcher_sees_how_far_a_running_shard_is(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_a.py").write_text(WAITS)
    (tmp_path / "test_b.py").write_text(QUICK)
    own = {"TMS_URL": server.url, "TMS_TOKEN": server.token, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "tms_sdk", "run", "--shards", "2", "--mode", "static", "--", *PYTEST),
        cwd=tmp_path,
        env=os.environ | own,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"exec_\d+", (await process.stdout.readline()).decode())
        assert found is not None

        progress = ExecutionProgress(found.group())
        async with asyncio.timeout(120), aclosing(follow(server.url, server.token, found.group())) as frames:
            async for frame in frames:
                progress.apply(frame)
                shards = progress.shards.values()
                waiting = [one for one in shards if one.planned and one.results["passed"] < one.planned]
                if waiting and progress.results["passed"]:
                    assert not any(one.ended for one in waiting)
                    (tmp_path / "go").touch()
        await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0
    assert progress.status == "completed"
    assert progress.results == {"total": 4, "passed": 4, "failed": 0, "skipped": 0, "flaky": 0}

"""Commands of shards: nothing of them is left, however they end."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from actors.shard_process import Order, ShardProcess
from tests.patience import eventually

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    # A grandchild in a session of its own, whose parent ends at once.
    between = "import subprocess, sys; subprocess.Popen([sys.executable, *sys.argv[1:]], start_new_session=True)"
    subprocess.run([sys.executable, "-c", between, __file__, "grandchild"], check=True)
print("pid", os.getpid(), flush=True)
time.sleep(1000)
"""

Start = Callable[..., "asyncio.Future[ShardProcess]"]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def started(stack: AsyncExitStack, folder: Path, *command: str, grace: float = 0.2) -> ShardProcess:
    order = Order(
        command=command,
        folder=str(folder),
        environment={"PATH": os.environ["PATH"], "NAME": "value"},
        grace_seconds=grace,
        scratch=str(folder),
    )
    process = await ShardProcess.start(order)
    stack.callback(process.close)
    return process


async def stubborn(
    stack: AsyncExitStack, folder: Path, grace: float = 0.2
) -> tuple[ShardProcess, list[psutil.Process]]:
    """A command and a grandchild of it; neither ends on SIGTERM."""
    program = folder / "stubborn.py"
    program.write_text(STUBBORN)
    process = await started(stack, folder, sys.executable, str(program), grace=grace)
    lines = [await process.output.readline() for _ in range(2)]
    return process, [psutil.Process(int(line.split()[1])) for line in lines]


def are_gone(family: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)


async def test_it_runs_in_its_folder_with_its_variables_and_tells_its_exit_code(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    code = "import os, sys; print(os.getcwd(), sorted(os.environ)); print('bad', file=sys.stderr); sys.exit(3)"
    process = await started(stack, tmp_path, sys.executable, "-S", "-c", code)
    assert await process.wait() == 3
    told = (await process.output.read()).decode()
    assert str(tmp_path.resolve()) in told
    assert "'NAME', 'PATH'" in told
    assert "bad" in told


async def test_the_signal_that_ended_it_is_told(stack: AsyncExitStack, tmp_path: Path) -> None:
    process = await started(stack, tmp_path, "sh", "-c", "kill -9 $$")
    assert await process.wait() == -9


async def test_what_cannot_be_started_says_so(stack: AsyncExitStack, tmp_path: Path) -> None:
    process = await started(stack, tmp_path, "no-such-program")
    assert await process.wait() == 127
    assert b"no-such-program cannot be started: No such file" in await process.output.read()


async def test_stopping_ends_grandchildren_that_ignore_sigterm_in_sessions_of_their_own(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    process, family = await stubborn(stack, tmp_path)
    process.stop()
    assert await process.wait() == -9
    assert are_gone(family)


async def test_who_ends_on_sigterm_has_the_time_to(stack: AsyncExitStack, tmp_path: Path) -> None:
    code = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    process = await started(stack, tmp_path, "sh", "-c", code, grace=60)
    assert await process.output.readline() == b"up\n"
    process.stop()
    assert await process.wait() == 5
    assert (await process.output.read()).endswith(b"bye\n")


async def test_what_a_command_leaves_behind_is_ended_with_it(stack: AsyncExitStack, tmp_path: Path) -> None:
    process = await started(stack, tmp_path, "sh", "-c", "sleep 1000 & echo $!")
    left = psutil.Process(int(await process.output.readline()))
    assert await process.wait() == 0
    assert are_gone([left])


async def test_everything_is_killed_and_cleared_away_when_its_runner_is_gone(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    process, family = await stubborn(stack, folder, grace=600)
    process.close()
    assert await process.wait() is None
    await eventually(lambda: _later(are_gone(family) and not folder.exists()))


async def test_a_killed_keeper_takes_the_command_with_it(stack: AsyncExitStack, tmp_path: Path) -> None:
    process = await started(stack, tmp_path, "sh", "-c", "echo $$; sleep 1000")
    command = psutil.Process(int(await process.output.readline()))
    keeper = command.parent()
    assert keeper is not None
    keeper.kill()
    assert await process.wait() is None
    await eventually(lambda: _later(are_gone([command])))


async def _later(holds: bool) -> bool:  # noqa: FBT001 - what was found
    return holds

"""What a test process writes about its tests is what its runner reads."""

import json
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tms_sdk.channel import Channel, Journal
from tms_sdk.inbox import Inbox

ids = st.text()
seconds = st.floats(0, allow_infinity=False)
told = st.one_of(
    st.tuples(ids, seconds),
    st.tuples(ids, st.fixed_dictionaries({"status": st.just("failed"), "seconds": seconds, "error": st.text()})),
)


def read(inbox: Inbox) -> list[dict[str, Any]]:
    """All lines that are there."""
    lines = []
    while (arrived := inbox.get(0)) is not None:
        lines.append(arrived[1])
    return lines


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(told)))
def test_what_is_in_the_journal_is_read_once_and_in_order(tmp_path: Path, pieces: list[list[tuple[str, Any]]]) -> None:
    path, address = tmp_path / "journal", str(tmp_path / "socket")
    for one in (path, Path(address)):
        one.unlink(missing_ok=True)
    journal = Journal(str(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen()
        inbox = Inbox(listener)
        channel = Channel.connect(address)
        hello = {"hello": {"journal": str(path)}}
        channel.send(hello)
        arrived = inbox.get(10)
        assert arrived is not None
        assert arrived[1] == hello
        for piece in pieces:
            expected: list[dict[str, Any]] = []
            for test_id, ended in piece:
                journal.start(test_id)
                expected.append({"start": test_id})
                if isinstance(ended, float):
                    journal.passed(ended)
                    expected.append({"passed": ended})
                else:
                    journal.end(test_id, ended)
                    expected.append({"test": {"id": test_id, **ended}})
            assert read(inbox) == expected
        journal.close()
        channel.close()
        inbox.close()


def test_a_journal_grows(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    ids = [f"{number}{'x' * 1000}" for number in range(1000)]
    for test_id in ids:
        journal.start(test_id)
    content = path.read_bytes().rstrip(b"\0").decode()
    journal.close()
    assert content == "".join(f'{{"start": "{test_id}"}}\n' for test_id in ids)


class Interrupted(Exception):
    pass


def interrupt(journal: Journal, test_id: str, steps: int) -> bool:
    """Write a line, and break off after so many steps of the code that does it; tell whether it came so far."""
    left = steps

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code is not Journal._write.__code__:
            return None
        left -= event == "line"
        if left < 0:
            raise Interrupted
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        journal.start(test_id)
    except Interrupted:
        return True
    finally:
        sys.settrace(former)
    return False


def test_a_signal_in_the_middle_of_a_line_costs_that_line_at_most(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    steps = 0
    while interrupt(journal, f"interrupted {steps}", steps):
        journal.start(f"after {steps}")
        steps += 1
    lines = [json.loads(line)["start"] for line in path.read_bytes().rstrip(b"\0").splitlines()]
    journal.close()
    assert steps > 5
    assert [line for line in lines if line.startswith("after")] == [f"after {number}" for number in range(steps)]
    assert f"interrupted {steps - 1}" in lines, "it was written, though not to the end"

"""What a test process writes about its tests is what its runner reads."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tms_sdk.channel import Journal

ids = st.text()
seconds = st.floats(0, allow_infinity=False)
plain = st.fixed_dictionaries({"status": st.sampled_from(["passed", "skipped"]), "seconds": seconds})
failed = st.fixed_dictionaries({"status": st.just("failed"), "seconds": seconds, "error": st.text()})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(ids, plain | failed)))
def test_a_journal_has_each_start_and_each_end_in_order(tmp_path: Path, told: list[tuple[str, dict[str, Any]]]) -> None:
    path = tmp_path / "journal"
    path.unlink(missing_ok=True)
    journal = Journal(str(path))
    expected = []
    for test_id, ended in told:
        journal.start(test_id)
        journal.hold(test_id, ended)
        expected += [{"start": test_id}, {"test": {"id": test_id, **ended}}]
    journal.close()

    assert [json.loads(line) for line in path.read_bytes().splitlines()] == expected

"""Marks in output, wherever the pieces of it are cut."""

import pytest

from orchestrator.executions.formats.notes import Notes, OutputMarks


@pytest.mark.parametrize("path", ["shot.png", "trace[1]", "a[chrome].png", "w]]"])
def test_a_name_may_end_in_brackets_and_be_cut_anywhere(path: str) -> None:
    output = f"before [[ATTACHMENT|{path}]]"
    for cut in range(len(output) + 1):
        notes = Notes()
        marks = OutputMarks(notes)

        marks.add(output[:cut])
        marks.add(output[cut:])
        marks.close()

        assert notes.attachments == (path,)

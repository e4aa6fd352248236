"""Tags, properties and attachments of a test, gathered from wherever a report tells them."""

import re
from collections.abc import Sequence

from orchestrator.executions.formats.report import MOST_ATTEMPTS, MOST_NOTES, NAME_LENGTH, shorten
from orchestrator.executions.model import Attempt, Property, TestDetails

# The search for an end goes no further than the next beginning, so that no output is searched twice. A name may itself
# end in a bracket, as `trace[1]` does: of several, the last two end the mark.
_MARK = re.compile(rf"\[\[(ATTACHMENT|PROPERTY)\|((?:[^\[\n]|\[(?!\[)){{1,{NAME_LENGTH}}}?)\]\](?!\])")
# What stands at the end of a piece may be the beginning of a mark, which is so long at the most.
_LONGEST_MARK = NAME_LENGTH + len("[[ATTACHMENT|]]") + 1


class Notes:
    """What is noted of one test: each thing once, in the order it was told."""

    __slots__ = ("_attachments", "_properties", "_tags")

    def __init__(self) -> None:
        self._tags: dict[str, None] = {}
        self._properties: dict[Property, None] = {}
        self._attachments: dict[str, None] = {}

    @property
    def tags(self) -> tuple[str, ...] | None:
        """Simple words; None for none."""
        return tuple(self._tags) or None

    @property
    def attachments(self) -> tuple[str, ...]:
        """Names of files."""
        return tuple(self._attachments)

    def details(self, attempts: Sequence[Attempt]) -> TestDetails | None:
        """All but the tags, beside the attempts of the test; None for nothing."""
        if not (attempts or self._properties or self._attachments):
            return None
        return TestDetails(tuple(attempts[:MOST_ATTEMPTS]), tuple(self._properties), self.attachments)

    def add_tag(self, tag: str) -> None:
        """Note a tag."""
        tag = shorten(tag.strip(), NAME_LENGTH)
        if tag and len(self._tags) < MOST_NOTES:
            self._tags[tag] = None

    def add_property(self, name: str, value: str) -> None:
        """Note a property."""
        name = shorten(name.strip(), NAME_LENGTH)
        if name and len(self._properties) < MOST_NOTES:
            self._properties[Property(name, shorten(value.strip(), NAME_LENGTH))] = None

    def add_attachment(self, path: str) -> None:
        """Note a file; one whose content stands in the report itself has no name, and is left out."""
        path = path.strip()
        if 0 < len(path) <= NAME_LENGTH and not path.startswith("data:") and len(self._attachments) < MOST_NOTES:
            self._attachments[path.replace("\0", "")] = None


class OutputMarks:
    """Finds `[[ATTACHMENT|path]]` and `[[PROPERTY|name=value]]` in output that comes in pieces, and keeps nothing else.

    Jenkins reads the former and Testmo both, so test tools print them.
    """

    __slots__ = ("_notes", "_rest")

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._rest = ""

    def add(self, piece: str) -> None:
        """The next piece."""
        text = self._rest + piece
        end = 0
        if "[[" in text:
            for mark in _MARK.finditer(text):
                if mark.end() == len(text):
                    break  # the next piece may begin with one more bracket
                end = mark.end()
                self._note(mark[1], mark[2])
        self._rest = text[max(end, len(text) - _LONGEST_MARK) :]

    def close(self) -> None:
        """There is no next piece."""
        for mark in _MARK.finditer(self._rest):
            self._note(mark[1], mark[2])

    def _note(self, kind: str, content: str) -> None:
        if kind == "ATTACHMENT":
            self._notes.add_attachment(content)
        else:
            name, _, value = content.partition("=")
            self._notes.add_property(name, value)

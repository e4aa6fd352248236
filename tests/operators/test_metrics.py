"""The metrics of a running server: all of them documented, none of them without bounds, well named."""

import re

from tests.operators.conftest import promtool
from tests.operators.exported import Exported, Family
from tests.running import ROOT

DOCUMENT = ROOT / "docs" / "metrics.md"


def documented() -> dict[str, Family]:
    """The table of the document."""
    rows = re.findall(r"^\| `(tms_\w+)` \| (\w+) \|([^|]*)\|", DOCUMENT.read_text(), re.MULTILINE)
    return {
        name: Family(kind, frozenset(filter(None, map(str.strip, labels.split(","))))) for name, kind, labels in rows
    }


def test_the_table_is_what_a_server_exports(exported: Exported) -> None:
    assert documented() == exported.families


def test_names_and_types_are_as_prometheus_wants_them(exported: Exported) -> None:
    promtool("check", "metrics", text=exported.text)


def test_no_label_holds_what_callers_choose(exported: Exported) -> None:
    assert not re.search(r'"[^"]*(exec|wh|tok|dlv)_[0-9a-zA-Z]', exported.text)
    assert "://" not in re.sub(r"^#.*", "", exported.text, flags=re.MULTILINE)


def test_every_process_tells_of_itself(exported: Exported) -> None:
    told = set(re.findall(r'^tms_process_resident_memory_bytes\{process="([^"]+)"\} ', exported.text, re.MULTILINE))
    partitions = re.findall(r'^tms_owner_up\{partition="(\d+)"\} 1.0$', exported.text, re.MULTILINE)
    assert told == {
        "gateway",
        "scheduler-0",
        *(f"{kind}-{number}" for kind in ("owner", "courier") for number in partitions),
    }

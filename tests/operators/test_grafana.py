"""Grafana dashboards: they can be imported, and every query is one that Prometheus takes, of what a server exports."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operators.conftest import GRAFANA, promtool
from tests.operators.exported import Exported

COLUMNS = 24
FILES = sorted(GRAFANA.glob("*.json"))


def parsed(file: Path) -> Any:
    return json.loads(file.read_text())


def queries(dashboard: Any) -> list[str]:
    """All expressions, as they are once the variables have values."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [query.replace("$__rate_interval", "5m").replace("$job", "tms") for query in found]


def test_there_are_dashboards() -> None:
    assert [file.stem for file in FILES] == ["server", "webhooks"]
    uids = [parsed(file)["uid"] for file in FILES]
    assert len(set(uids)) == len(uids)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_asks_for_data_source_and_installation(file: Path) -> None:
    dashboard = parsed(file)
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["job"]["query"]["query"] == "label_values(tms_build_info, job)"
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            sources = {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])}
            assert sources == {"${datasource}"}, panel["title"]
            assert all('job="$job"' in target["expr"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_has_its_place_and_says_what_it_shows(file: Path) -> None:
    panels = parsed(file)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = {panel["id"]: cells_of(panel["gridPos"]) for panel in panels}
    for one, other in combinations(cells.values(), 2):
        assert not one & other
    assert panels[0]["type"] == "row"
    assert all(panel["title"].endswith("?") for panel in panels if panel["type"] == "row")
    assert all(panel["description"].endswith(".") for panel in panels if panel["type"] != "row")


def cells_of(place: Any) -> set[tuple[int, int]]:
    assert place["x"] + place["w"] <= COLUMNS
    return {
        (column, line)
        for column in range(place["x"], place["x"] + place["w"])
        for line in range(place["y"], place["y"] + place["h"])
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_prometheus_takes_every_query(file: Path, tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries(parsed(file)))]
    written = tmp_path / "queries.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", written)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_query_speaks_of_what_a_server_exports(file: Path, exported: Exported) -> None:
    unknown = {query: exported.unknown(query, {}) for query in queries(parsed(file))}
    assert {query: found for query, found in unknown.items() if found} == {}

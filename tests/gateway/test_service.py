"""Health, metrics and the API's description of itself."""

import re

import pytest

from gateway.calls import Access
from gateway.openapi import document, refusals
from gateway.routes import ROUTES
from tests.gateway.conftest import Api


async def test_life_and_readiness_need_no_token(api: Api) -> None:
    nobody = api.with_token(None)

    assert ((await nobody.get("/healthz")).json, (await nobody.get("/readyz")).json) == (
        {"status": "alive"},
        {"status": "ready"},
    )


async def test_metrics_count_requests_and_tell_of_every_owner(api: Api) -> None:
    execution_id = await api.created()
    await api.get("/api/executions/exec_1")

    answer = await api.with_token(None).get("/metrics")

    text = answer.raw.decode()
    assert answer.headers["Content-Type"].startswith("text/plain")
    created = r'tms_http_requests_total\{method="POST",route="/api/executions",status="201"\} ([0-9.]+)'
    missing = r'tms_http_requests_total\{method="GET",route="/api/executions/\{executionId\}",status="404"\} ([0-9.]+)'
    for pattern in (created, missing):
        found = re.search(pattern, text)
        assert found is not None
        assert float(found[1]) >= 1
    assert 'tms_owner_up{partition="0"} 1.0' in text
    assert re.search(r'tms_owner_commands_total\{partition="0"\} ', text)
    assert re.search(r'tms_mailbox_commands\{partition="0"\} 0', text)
    assert "tms_http_request_seconds_bucket" in text
    assert execution_id not in text


async def test_unknown_paths_do_not_fill_the_metrics(api: Api) -> None:
    for number in range(3):
        await api.send("GET", f"/nothing/{number}")
        await api.send(f"M{number}", "/nothing")

    text = (await api.get("/metrics")).raw.decode()

    assert "/nothing" not in text
    assert 'method="M1"' not in text


async def test_the_description_is_served_as_document_and_page(api: Api) -> None:
    nobody = api.with_token(None)
    described = (await nobody.get("/api/openapi.json")).json
    page = await nobody.get("/api/docs")

    assert described["openapi"] == "3.1.0"
    assert described["paths"] == document(ROUTES)["paths"]
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for route in ROUTES:
        assert f"<code>{route.path}</code>" in page.raw.decode()
    assert "http://" not in page.raw.decode()
    assert "https://" not in page.raw.decode()


def test_the_document_has_every_route_and_its_refusals() -> None:
    described = document(ROUTES)

    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        assert {str(int(status)) for status in [*route.answers, *refusals(route)]} <= set(operation["responses"])
        assert bool(operation["security"]) == (route.access is not Access.OPEN)
        assert all(
            scheme in described["components"]["securitySchemes"] for one in operation["security"] for scheme in one
        )
    names = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names) == len(ROUTES)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    described = document(ROUTES)

    names = set(re.findall(r"#/components/schemas/(\w+)", str(described)))

    assert names <= set(described["components"]["schemas"])


@pytest.mark.contract("X-078")
def test_the_document_knows_the_words_of_a_suite() -> None:
    assert set(document(ROUTES)["components"]["schemas"]["TestSuite"]["enum"]) == {
        "smoke",
        "regression",
        "api",
        "ui",
        "all",
    }

"""The document against the server: no fault of ours, no status or body that the document does not have."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.conftest import Api, TokenMaker

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
EXAMPLES = 8


@pytest.mark.contract("X-080", "X-083")
@pytest.mark.parametrize(
    "selected",
    [
        # A live stream has no end to wait for; ends and rotations of tokens hit the one that the run itself uses.
        ["--exclude-path-regex", r"live$|/api/tokens/"],
        ["--include-path-regex", r"/api/tokens/"],
    ],
    ids=["all", "tokens"],
)
async def test_the_server_does_what_its_document_says(
    api: Api, token_for: TokenMaker, tmp_path: Path, selected: list[str]
) -> None:
    token = await token_for(tenant=None)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/api/openapi.json", "--no-color"]
    options = ["--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES), "--checks", ",".join(CHECKS)]

    run = subprocess.run(
        [*command, *options, *selected, "--generation-deterministic", "-H", f"Authorization: Bearer {token}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr

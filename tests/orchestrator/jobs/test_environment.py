"""Variables of jobs are sealed, and versions told apart without telling them."""

import pytest

from orchestrator.errors import InternalError
from orchestrator.jobs import environment
from orchestrator.jobs.model import Definition

KEY = b"k" * 32
NONCE = b"n" * 12
VALUES = {"TOKEN": "a secret", "B": ""}


def test_variables_can_be_opened_for_their_job_alone() -> None:
    kept = environment.sealed(KEY, "job_1", VALUES, NONCE)
    assert b"a secret" not in kept
    assert environment.opened(KEY, "job_1", kept) == VALUES
    for key, job_id in ((KEY, "job_2"), (b"j" * 32, "job_1")):
        with pytest.raises(InternalError):
            environment.opened(key, job_id, kept)


def test_a_fingerprint_tells_versions_apart_and_needs_the_key() -> None:
    job = Definition(command=("run",))
    mark = environment.fingerprint(KEY, job, VALUES)
    assert mark == environment.fingerprint(KEY, job, dict(reversed(VALUES.items())))
    assert mark != environment.fingerprint(KEY, job, VALUES | {"B": "x"})
    assert mark != environment.fingerprint(KEY, Definition(command=("run", "")), VALUES)
    assert mark != environment.fingerprint(b"j" * 32, job, VALUES)

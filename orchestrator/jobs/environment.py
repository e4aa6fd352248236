"""The variables of a job's environment: their values are sealed where they are kept, and never shown again."""

import hmac
from collections.abc import Mapping

import msgspec

from orchestrator.jobs.model import Definition
from orchestrator.webhooks.sealing import Sealer

_PURPOSE = b"tms job environments"
_decoder = msgspec.json.Decoder(dict[str, str])


def sealed(secret_key: bytes, job_id: str, values: Mapping[str, str], nonce: bytes) -> bytes:
    """The variables as they are kept; `nonce` as in `Sealer.seal`."""
    return Sealer(secret_key, _PURPOSE).seal(msgspec.json.encode(values).decode(), job_id, nonce)


def opened(secret_key: bytes, job_id: str, kept: bytes) -> dict[str, str]:
    """The variables again.

    Raises:
        InternalError: they were sealed with another key, or for another job.
    """
    return _decoder.decode(Sealer(secret_key, _PURPOSE).open(kept, job_id))


def fingerprint(secret_key: bytes, definition: Definition, values: Mapping[str, str]) -> bytes:
    """The same for the same version of a job alone; tells nothing to who does not have the key."""
    content = b"job\0" + msgspec.json.encode((definition, values), order="sorted")
    return hmac.digest(secret_key, content, "sha256")

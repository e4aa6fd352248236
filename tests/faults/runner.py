"""A runner that may be killed at any moment: claims, runs, reports each few tests, until there is nothing left.

    python runner.py URL TOKEN EXECUTION

It needs nothing but the standard library, so that it starts at once. Its tests take some milliseconds and pass.
"""

import json
import os
import sys
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

TEST_SECONDS = 0.004
PIECE = 3
RETRY_SECONDS = 0.1


class Runner:
    """One runner of one execution."""

    def __init__(self, url: str, token: str, execution_id: str) -> None:
        self._url = url
        self._token = token
        self._execution_id = execution_id
        self._name = f"runner-{os.getpid()}-{uuid4().hex[:8]}"

    def run(self) -> None:
        """Work until nothing is left, then close the shard."""
        base = f"/api/executions/{self._execution_id}"
        done = None
        while True:
            claimed = self._post(f"{base}/claims", {"runnerId": self._name, "done": done})
            done = None
            if claimed["state"] == "leased":
                if self._work(f"{base}/shards/{claimed['shardId']}/tests", claimed):
                    done = claimed["leaseId"]
            elif claimed["state"] == "wait":
                time.sleep(claimed["retryAfter"])
            else:
                break
        if claimed["shardId"] is not None:
            body = {"executionId": self._execution_id, "shardId": claimed["shardId"], "status": "completed"}
            self._post("/api/results", body)

    def _work(self, path: str, claimed: dict[str, Any]) -> bool:
        """Run and report the tests of a lease; false where it was lost."""
        tests = claimed["tests"]
        for start in range(0, len(tests), PIECE):
            piece = tests[start : start + PIECE]
            time.sleep(TEST_SECONDS * len(piece))
            results = [{"file": one["file"], "title": one["title"], "status": "passed"} for one in piece]
            body = {"leaseId": claimed["leaseId"], "runnerId": self._name, "tests": results}
            if self._post(path, body)["order"] != "continue":
                return False
        return True

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send until it is answered for good."""
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Idempotency-Key": uuid4().hex,
        }
        request = Request(self._url + path, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - our own server
        while True:
            try:
                with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                    result: dict[str, Any] = json.load(answer)
                    return result
            except HTTPError as error:
                if error.code < 500:
                    raise
            except (OSError, HTTPException):
                pass  # not answered: send it again
            time.sleep(RETRY_SECONDS)


if __name__ == "__main__":
    Runner(*sys.argv[1:]).run()

"""A small TMS server on a real socket: the documented API as the SDK meets it, and faults on demand.

Every request is checked against the document. What breaks it is answered 422 and kept in `complaints`, which the `fake`
fixture expects to be empty at the end.
"""

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import WSCloseCode, web

from tests.sdk.fake_plan import Flaw, Name, Plan, nothing

TOKEN = "tms_token_of_the_tests"
SUITES = {"smoke", "regression", "api", "ui", "all"}
ENVIRONMENTS = {"dev", "staging", "production"}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COUNTERS = ("total", "passed", "failed", "skipped", "flaky")
FINAL = {"completed", "failed", "cancelled"}
MOST_BYTES = 32 * 1024 * 1024
NOW = "2025-08-04T12:34:56.789Z"


@dataclass(frozen=True)
class Seen:
    """A request as it came; what is no JSON, as bytes."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Fault:
    """Spoils the next `times` requests whose method and path match: an answer, or a connection cut without one.

    With `in_front`, the answer is one of something that stands in front of the server.
    """

    method: str
    path: str
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    in_front: bool = False
    before: Callable[[], object] | None = None


@dataclass
class Execution:
    """An execution as the server keeps it."""

    execution_id: str
    body: dict[str, Any]
    status: str = "created"
    shards: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    inbound: list[dict[str, Any]] = field(default_factory=list)
    plan: Plan | None = None
    reason: str = ""
    late_ends: list[dict[str, Any]] = field(default_factory=list)

    @property
    def webhook_token(self) -> str:
        return f"wh_token_{self.execution_id}"

    @property
    def planned(self) -> int:
        return int(self.body.get("configuration", {}).get("shards", 1))

    def totals(self) -> dict[str, int]:
        streamed = self.plan.streamed if self.plan is not None else {}
        open_shards = [counted(tests) for shard_id, tests in streamed.items() if shard_id not in self.shards]
        results = [*open_shards, *(shard["results"] for shard in self.shards.values())]
        return {name: sum(one.get(name, 0) for one in results) for name in COUNTERS}

    def printed(self) -> dict[str, Any]:
        return {
            "executionId": self.execution_id,
            "status": self.status,
            "progress": {
                "startedAt": None if self.status == "created" else NOW,
                "completedAt": NOW if self.status in FINAL else None,
                "duration": 0,
                "shardsCompleted": self.planned if self.status == "completed" else len(self.shards),
                "totalShards": self.planned,
            },
            "results": self.totals(),
            "shardResults": [
                {"shardId": shard_id, "status": shard["status"], "results": shard["results"]}
                for shard_id, shard in self.shards.items()
            ],
            "artifacts": {"reportUrl": f"http://reports/{self.execution_id}"},
        }


def counted(tests: list[dict[str, Any]]) -> dict[str, int]:
    """Add up results, as the server does where no counters were sent."""
    counters = {name: sum(test["status"] == name for test in tests) for name in ("passed", "failed", "skipped")}
    flaky = sum(test["status"] == "passed" and test.get("retries", 0) > 0 for test in tests)
    return {"total": len(tests), **counters, "flaky": flaky}


def flaws(body: dict[str, Any], execution: Execution) -> Iterator[tuple[str, str]]:
    """Yield what breaks the document in a submission: (field, what is wrong)."""
    if not (body["shardId"].isdigit() and 1 <= int(body["shardId"]) <= execution.planned):
        yield "shardId", f"{body['shardId']} is outside the plan"
    if body.get("status") not in {"completed", "failed", "error"}:
        yield "status", f"{body.get('status')} is no status"
    yield from result_flaws(body.get("tests", []))
    for name in ("startTime", "endTime"):
        moment = body["metadata"].get(name)
        if moment is not None and not MOMENT.fullmatch(moment):
            yield f"metadata.{name}", f"has to be ISO with ms and Z, not {moment}"


def result_flaws(tests: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield what breaks the document in single results."""
    for number, test in enumerate(tests):
        if test.get("status") not in {"passed", "failed", "skipped"} or not test.get("title"):
            yield f"tests[{number}]", f"is not as documented: {test}"
        if not isinstance(test.get("duration", 0), int):
            yield f"tests[{number}].duration", "has to be whole milliseconds"
        if test.get("retries", 0) != len(test.get("attempts", [])) and "attempts" in test:
            yield f"tests[{number}].attempts", "do not match retries"


class FakeTMS:
    """The server, in a thread of its own; use it as a context.

    Attributes:
        url: its address, without `/api`.
        seen: all requests, in the order they came.
        faults: what to spoil.
        complaints: what broke the document.
        closes: for each live connection to come, after how many frames to close it and with which code.
        withheld: numbers of events that live readers do not get at the first time.
        repeats: how often each live event is sent.
        lease_seconds: how long a lease holds.
        quarantined: titles of tests whose failures do not count.
        gives_ahead: whether leases get more tests before they are worked off.
        expected_ms: what each test is expected to take; None where nobody knows.
    """

    def __init__(self) -> None:
        self.token = TOKEN
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.complaints: list[str] = []
        self.closes: deque[tuple[int, int]] = deque()
        self.withheld: set[int] = set()
        self.repeats = 1
        self.lease_seconds = 30.0
        self.quarantined: set[str] = set()
        self.gives_ahead = True
        self.expected_ms: float | None = None
        self.executions: dict[str, Execution] = {}
        self._answers: dict[str, web.Response] = {}
        self._changed: asyncio.Condition
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _start(self) -> None:
        self._changed = asyncio.Condition()
        app = web.Application(middlewares=[self._front], client_max_size=MOST_BYTES)
        app.add_routes(
            [
                web.post("/api/executions", self._create),
                web.get("/api/executions", self._list),
                web.get("/api/executions/{id}", self._get),
                web.delete("/api/executions/{id}", self._cancel),
                web.get("/api/executions/{id}/tests", self._tests),
                web.get("/api/executions/{id}/events", self._events),
                web.get("/api/executions/{id}/live", self._live),
                web.post("/api/webhooks/executions/{id}", self._inbound),
                web.post("/api/results", self._results),
                web.put("/api/executions/{id}/plan", self._put_plan),
                web.get("/api/executions/{id}/plan", self._get_plan),
                web.get("/api/executions/{id}/gate", self._gate),
                web.post("/api/executions/{id}/claims", self._claim),
                web.post("/api/executions/{id}/claims/{lease}/heartbeat", self._heartbeat),
                web.delete("/api/executions/{id}/claims/{lease}", self._hand_back),
                web.post("/api/executions/{id}/shards/{shard}/tests", self._stream),
            ]
        )
        # A live stream whose reader is gone waits for the next event; to aiohttp, 0 would mean to wait with it.
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    # For tests

    def requests(self, method: str, path: str) -> list[Seen]:
        """All requests so far of a method to a path; the path may be a pattern."""
        return [seen for seen in self.seen if seen.method == method and re.fullmatch(path, seen.path)]

    def add_execution(self, execution_id: str = "exec_20250804000001", **body: Any) -> Execution:
        """Make an execution without a request."""
        self.executions[execution_id] = Execution(execution_id, body)
        return self.executions[execution_id]

    def happen(self, execution_id: str, event: str, data: dict[str, Any] | None = None) -> None:
        """Let an event happen; live readers see it."""
        self._do(self._happen(self.executions[execution_id], event, data or {}))

    async def _happen(self, execution: Execution, event: str, data: dict[str, Any]) -> None:
        execution.events.append(
            {
                "type": "event",
                "seq": len(execution.events) + 1,
                "event": event,
                "executionId": execution.execution_id,
                "timestamp": NOW,
                "data": data,
            }
        )
        subject, _, verb = event.partition(".")
        if subject == "execution":
            execution.status = "running" if verb in {"started", "progress"} else verb
            execution.reason = data.get("reason", "")
        async with self._changed:
            self._changed.notify_all()

    # In front of all routes

    @web.middleware
    async def _front(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        body = None
        if request.can_read_body:
            body = await (request.json() if request.content_type == "application/json" else request.read())
        self.seen.append(Seen(request.method, request.path, dict(request.headers), body))
        for fault in self.faults:
            if fault.times and fault.method == request.method and re.fullmatch(fault.path, request.path):
                fault.times -= 1
                if fault.before is not None:
                    fault.before()
                if fault.cut and request.transport is not None:
                    request.transport.abort()
                if fault.in_front:
                    page = f"<h1>{fault.status}</h1>default backend"
                    return web.Response(status=fault.status, text=page, content_type="text/html")
                return self._refuse(fault.status, "OUT_OF_ORDER", "Out of order", headers=fault.headers)
        if refusal := self._check(request):
            return refusal
        key = request.headers.get("Idempotency-Key")
        if key is not None and key in self._answers:
            former = self._answers[key]
            return web.Response(status=former.status, body=former.body, content_type="application/json")
        answer = await handler(request)
        if key is not None and isinstance(answer, web.Response) and answer.status < 500:
            self._answers[key] = answer
        return answer

    def _check(self, request: web.Request) -> web.Response | None:
        execution = self.executions.get(request.match_info.get("id", ""))
        own_token = f"Bearer {self.token}"
        if request.path.startswith("/api/webhooks/executions/"):
            own_token = f"Bearer {execution.webhook_token}" if execution else ""
        if request.headers.get("Authorization") != own_token and not request.path.endswith("/live"):
            return self._refuse(401, "UNAUTHORIZED", "The token is not known")
        if request.method == "POST":
            if not request.headers.get("Content-Type", "").startswith("application/json"):
                return self._complain("Content-Type", "has to be application/json")
            if not request.headers.get("Idempotency-Key"):
                return self._complain("Idempotency-Key", "is missing")
        if "id" in request.match_info and execution is None and not request.path.endswith("/live"):
            return self._refuse(404, "NOT_FOUND", "There is no such execution")
        return None

    def _refuse(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, *fields: tuple[str, str]
    ) -> web.Response:
        error = {
            "code": code,
            "message": message,
            "details": [{"field": name, "message": words} for name, words in fields],
            "requestId": "req_abc123def456",
            "timestamp": NOW,
        }
        return web.json_response({"error": error}, status=status, headers=headers)

    def _complain(self, name: str, words: str) -> web.Response:
        self.complaints.append(f"{name} {words}")
        return self._refuse(422, "VALIDATION_ERROR", "Request validation failed", None, (name, words))

    # Routes

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("testSuite") not in SUITES:
            words = "Must be one of: smoke, regression, api, ui, all"
            return self._refuse(422, "VALIDATION_ERROR", "Request validation failed", None, ("testSuite", words))
        configuration = body.get("configuration", {})
        for name, right in (
            ("environment", body.get("environment") in ENVIRONMENTS),
            ("provider", isinstance(body.get("provider"), str)),
            ("triggerSource", body.get("triggerSource", "api") in {"api", "manual", "scheduled"}),
            ("configuration.shards", isinstance(configuration.get("shards", 1), int)),
            ("configuration.timeout", isinstance(configuration.get("timeout", 1), int)),
        ):
            if not right:
                return self._complain(name, "is not as documented")
        execution = self.add_execution(f"exec_20250804{len(self.executions):06}", **body)
        await self._happen(execution, "execution.created", {})
        answer = {
            "executionId": execution.execution_id,
            "status": "created",
            "createdAt": NOW,
            "configuration": {"testSuite": body["testSuite"], "environment": body["environment"], **configuration},
            "webhookUrl": f"{self.url}/api/webhooks/executions/{execution.execution_id}",
            "webhookToken": execution.webhook_token,
        }
        return web.json_response(answer, status=201)

    async def _list(self, request: web.Request) -> web.Response:
        found = [
            execution.printed()
            for execution in reversed(self.executions.values())
            if request.query.get("status", execution.status) == execution.status
        ]
        return web.json_response({"executions": found})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self.executions[request.match_info["id"]].printed())

    async def _cancel(self, request: web.Request) -> web.Response:
        execution = self.executions[request.match_info["id"]]
        if execution.status in FINAL:
            return self._refuse(409, "CONFLICT", "The execution has ended already")
        body = await request.json() if request.body_exists else {}
        reason = body.get("reason", "User requested cancellation")
        await self._happen(execution, "execution.cancelled", {"reason": reason})
        answer = {
            "executionId": execution.execution_id,
            "status": "cancelled",
            "cancelledAt": NOW,
            "reason": reason,
        }
        return web.json_response(answer)

    async def _tests(self, request: web.Request) -> web.Response:
        execution = self.executions[request.match_info["id"]]
        streamed = execution.plan.streamed if execution.plan is not None else {}
        submitted = {shard_id: shard["tests"] for shard_id, shard in execution.shards.items()}
        tests = [
            {"shardId": shard_id, **test} for shard_id, listed in (streamed | submitted).items() for test in listed
        ]
        wanted = request.query.get("status")
        return web.json_response({"tests": [test for test in tests if wanted in {None, test["status"]}]})

    async def _events(self, request: web.Request) -> web.Response:
        execution = self.executions[request.match_info["id"]]
        return web.json_response({"events": execution.events[int(request.query.get("after", 0)) :]})

    async def _inbound(self, request: web.Request) -> web.Response:
        execution = self.executions[request.match_info["id"]]
        body = await request.json()
        if not MOMENT.fullmatch(body.get("timestamp", "")):
            return self._complain("timestamp", f"has to be ISO with ms and Z, not {body.get('timestamp')}")
        if body.get("executionId") != execution.execution_id or body["data"].get("executionId") != body["executionId"]:
            return self._complain("executionId", "differs from the path")
        if execution.status == "cancelled":
            return self._refuse(409, "CONFLICT", f"{execution.execution_id} was cancelled; stop its runners")
        execution.inbound.append(body)
        await self._happen(execution, body["event"], body["data"])
        return web.Response(status=202)

    async def _results(self, request: web.Request) -> web.Response:
        body = await request.json()
        execution = self.executions.get(body.get("executionId", ""))
        if execution is None:
            return self._refuse(404, "NOT_FOUND", "There is no such execution")
        if execution.status == "cancelled":
            return self._refuse(409, "CONFLICT", f"{execution.execution_id} was cancelled; stop its runners")
        for name, words in flaws(body, execution):
            return self._complain(name, words)
        if execution.plan is None:
            await self._take_results(execution, body)
        elif not body.get("runnerId"):
            return self._complain("runnerId", "is missing, though there is a plan")
        elif execution.plan.may_close(body["shardId"], body["runnerId"]):
            await self._close(execution, execution.plan, body)
        else:
            execution.late_ends.append(body)
        answer = {
            "submissionId": f"sub_{len(self.seen)}",
            "executionId": execution.execution_id,
            "shardId": body["shardId"],
            "status": "accepted",
            "processedAt": NOW,
            "summary": {"testsProcessed": len(body.get("tests", [])), "artifactsUploaded": 0, "webhooksTriggered": 0},
        }
        return web.json_response(answer, status=201)

    async def _take_results(self, execution: Execution, body: dict[str, Any]) -> None:
        execution.shards[body["shardId"]] = body
        if len(execution.shards) == execution.planned and execution.status not in FINAL:
            errors = any(shard["status"] == "error" for shard in execution.shards.values())
            await self._happen(execution, "execution.failed" if errors else "execution.completed", {})

    async def _close(self, execution: Execution, plan: Plan, body: dict[str, Any]) -> None:
        tests = plan.close(body["shardId"])
        execution.shards[body["shardId"]] = body | {"tests": tests, "results": counted(tests)}
        if execution.status not in FINAL and body["status"] == "error":
            await self._happen(execution, "execution.failed", {"reason": "a shard broke"})
        else:
            await self._end_if_over(execution)

    async def _put_plan(self, request: web.Request) -> web.Response:
        execution, body = self.executions[request.match_info["id"]], await request.json()
        if execution.status in FINAL and execution.plan is None:
            return self._refuse(409, "CONFLICT", f"{execution.execution_id} has ended")
        try:
            wanted = self._unfinished(body["rerunOf"]) if body.get("rerunOf") else None
            made = Plan(body, execution.planned, self.lease_seconds, self.quarantined, wanted)
            made.gives_ahead, made.expected_ms = self.gives_ahead, self.expected_ms
        except Flaw as flaw:
            return self._complain(flaw.name, flaw.words)
        status = 200 if execution.plan else 201
        execution.plan = execution.plan or made
        return web.json_response(execution.plan.printed(execution.execution_id, body), status=status)

    def _unfinished(self, execution_id: str) -> set[Name]:
        """What failed in an execution, or was not reported."""
        plan = self.executions[execution_id].plan
        if plan is None:
            raise Flaw("rerunOf", "has no plan")
        results = {(test["file"], test["title"]): test["status"] for test in self._results_of(plan)}
        return {name for name in plan.tests if results.get(name, "failed") == "failed"}

    @staticmethod
    def _results_of(plan: Plan) -> list[dict[str, Any]]:
        return [test for tests in plan.streamed.values() for test in tests]

    async def _get_plan(self, request: web.Request) -> web.Response:
        execution = self.executions[request.match_info["id"]]
        if execution.plan is None:
            return self._refuse(404, "NOT_FOUND", "There is no plan")
        return web.json_response(execution.plan.printed(execution.execution_id))

    async def _gate(self, request: web.Request) -> web.Response:
        execution = self.executions[request.match_info["id"]]
        if request.query != {"rules": "failures=0,incomplete=0"}:
            return self._complain("rules", f"are others than are judged here: {request.query}")
        verdict = "pending"
        if execution.status in FINAL:
            verdict = "passed" if self._is_sound(execution) else "failed"
        return web.json_response({"executionId": execution.execution_id, "verdict": verdict})

    def _is_sound(self, execution: Execution) -> bool:
        if execution.plan is None:
            return execution.status == "completed" and not execution.totals()["failed"]
        results = self._results_of(execution.plan)
        fails = any(test["status"] == "failed" and test["title"] not in self.quarantined for test in results)
        return execution.status == "completed" and not fails and "missing" not in execution.plan.state.values()

    async def _claim(self, request: web.Request) -> web.Response:
        execution, body = self.executions[request.match_info["id"]], await request.json()
        if execution.plan is None:
            return self._refuse(409, "CONFLICT", "There is no plan")
        if body.keys() - {"runnerId", "shardId", "done", "ahead"} or not body.get("runnerId"):
            return self._complain("body", f"is not as documented: {body}")
        if execution.status in FINAL:
            state = "done" if execution.status == "completed" else "cancelled"
            return web.json_response(nothing(state, execution.reason or None))
        try:
            answer = execution.plan.claim(body)
        except Flaw as flaw:
            return self._complain(flaw.name, flaw.words)
        if execution.status == "created":
            await self._happen(execution, "execution.started", {})
        if answer["state"] == "leased" and not body.get("ahead"):
            told = {"shardId": answer["shardId"], "leaseId": answer["leaseId"], "tests": len(answer["tests"])}
            await self._happen(execution, "shard.claimed", told)
        await self._end_if_over(execution)
        return web.json_response(answer)

    async def _heartbeat(self, request: web.Request) -> web.Response:
        execution, body = self.executions[request.match_info["id"]], await request.json()
        lease_id = request.match_info["lease"]
        lease = execution.plan.held(lease_id, body["runnerId"]) if execution.plan else None
        order, reason = "continue" if lease is not None else "abandon", None
        if lease is not None:
            lease.expires = time.monotonic() + self.lease_seconds
        if execution.status in FINAL:
            order, reason = "cancel", execution.reason
        return web.json_response({"leaseId": lease_id, "expiresAt": NOW, "order": order, "reason": reason})

    async def _hand_back(self, request: web.Request) -> web.Response:
        execution, lease_id = self.executions[request.match_info["id"]], request.match_info["lease"]
        runner_id, returned, others = request.query["runnerId"], 0, 0
        if execution.plan is not None:
            returned = execution.plan.end(lease_id, runner_id, "waiting")
            others = execution.plan.others(runner_id)
        await self._end_if_over(execution)
        return web.json_response({"leaseId": lease_id, "returned": returned, "others": others})

    async def _stream(self, request: web.Request) -> web.Response:
        execution, body = self.executions[request.match_info["id"]], await request.json()
        if execution.status == "cancelled" or execution.plan is None:
            return self._refuse(409, "CONFLICT", f"{execution.execution_id} was cancelled; stop its runners")
        for name, words in result_flaws(body["tests"]):
            return self._complain(name, words)
        try:
            answer = execution.plan.report(request.match_info["shard"], body)
        except Flaw as flaw:
            return self._complain(flaw.name, flaw.words)
        results = counted(execution.plan.streamed.get(request.match_info["shard"], []))
        await self._happen(execution, "shard.progress", {"shardId": request.match_info["shard"], "results": results})
        return web.json_response(answer)

    async def _end_if_over(self, execution: Execution) -> None:
        if execution.plan is not None and execution.plan.is_over() and execution.status not in FINAL:
            await self._happen(execution, "execution.completed", {})

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("tms.v1",))
        await socket.prepare(request)
        execution = self.executions.get(request.match_info["id"])
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            await socket.close(code=4401, message=b"no right to look")
        elif execution is None:
            await socket.close(code=4404, message=b"unknown execution")
        else:
            frames, code = self.closes.popleft() if self.closes else (1 << 30, WSCloseCode.GOING_AWAY)
            await self._send(socket, execution, request.query.get("after"), frames)
            await socket.close(code=code)
        return socket

    async def _send(self, socket: web.WebSocketResponse, execution: Execution, after: str | None, frames: int) -> None:
        sent = 0
        position = len(execution.events) if after is None else int(after)
        if after is None and frames:
            await socket.send_json({"type": "snapshot", "seq": position, "execution": execution.printed()})
            sent += 1
        while sent < frames:
            if position < len(execution.events):
                position += 1
                if position in self.withheld:
                    self.withheld.remove(position)
                    continue
                for _ in range(self.repeats):
                    await socket.send_json(execution.events[position - 1])
                sent += 1
            elif execution.status in FINAL:
                return
            else:
                async with self._changed:
                    await self._changed.wait()

"""The whole API on one screen. The router and the OpenAPI document are both made from this table."""

from http import HTTPStatus
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST

from gateway.accepts import PAGE
from gateway.calls import HTML, JSON, Access, Family, Route
from gateway.handlers import (
    artifact_files,
    artifact_uploads,
    artifacts,
    badges,
    deliveries,
    documentation,
    execution_details,
    executions,
    health,
    inbound_events,
    report_files,
    report_uploads,
    reports,
    results,
    tokens,
    webhooks,
)
from gateway.live import endpoint as live
from gateway.wire import artifacts as wire_artifacts
from gateway.wire import badges as wire_badges
from gateway.wire import deliveries as wire_deliveries
from gateway.wire import executions as wire_executions
from gateway.wire import health as wire_health
from gateway.wire import inbound_events as wire_events
from gateway.wire import listings as wire_listings
from gateway.wire import live as wire_live
from gateway.wire import report_uploads as wire_uploads
from gateway.wire import reports as wire_reports
from gateway.wire import results as wire_results
from gateway.wire import tokens as wire_tokens
from gateway.wire import webhooks as wire_webhooks
from orchestrator.artifacts import kinds
from orchestrator.identity.roles import Permission

OK, CREATED, ACCEPTED = HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED
PARTIAL, SAME, RANGE = HTTPStatus.PARTIAL_CONTENT, HTTPStatus.NOT_MODIFIED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
MISSING, CONFLICT, WRONG = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
READ, WRITE, MANAGE = Permission.READ_EXECUTIONS, Permission.WRITE_EXECUTIONS, Permission.MANAGE_TOKENS
HOOKS = Permission.MANAGE_WEBHOOKS

# fmt: off
ROUTES = (
    Route(method="POST", path="/api/executions", handler=executions.create, permission=WRITE,
          summary="Create an execution",
          body=wire_executions.CreateExecution, answers={CREATED: wire_executions.ExecutionCreated}),
    Route(method="GET", path="/api/executions", handler=executions.page, permission=READ,
          summary="List executions, newest first",
          query=wire_executions.ExecutionQuery, answers={OK: wire_executions.ExecutionPage}),
    Route(method="GET", path="/api/executions/{executionId}", handler=executions.show, permission=READ,
          summary="Look at an execution", answers={OK: wire_executions.ExecutionState}),
    Route(method="DELETE", path="/api/executions/{executionId}", handler=executions.cancel, permission=WRITE,
          summary="Cancel an execution", body=wire_executions.CancelExecution, body_may_lack=True,
          answers={OK: wire_executions.ExecutionCancelled}, refusals=(CONFLICT,)),
    Route(method="GET", path="/api/executions/{executionId}/tests", handler=execution_details.tests, permission=READ,
          summary="List an execution's tests",
          query=wire_listings.TestQuery, answers={OK: wire_listings.TestPage}),
    Route(method="GET", path="/api/executions/{executionId}/events", handler=execution_details.events, permission=READ,
          summary="Read an execution's history",
          query=wire_listings.EventQuery, answers={OK: wire_listings.EventPage}),
    Route(method="GET", path="/api/executions/{executionId}/deliveries", handler=deliveries.of_execution,
          permission=HOOKS, summary="List what webhooks were told of an execution",
          query=wire_deliveries.ExecutionDeliveryQuery, answers={OK: wire_deliveries.DeliveryPage}),
    Route(method="GET", path="/api/executions/{executionId}/live", handler=live.execution_live, permission=READ,
          summary="Watch an execution: a websocket, or server-sent events", stream=True,
          query=wire_live.ExecutionLiveQuery, answers={OK: str}),
    Route(method="GET", path="/api/live", handler=live.all_live, permission=READ,
          summary="Watch all executions: a websocket, or server-sent events", stream=True,
          query=wire_live.AllLiveQuery, answers={OK: str}),
    Route(method="POST", path="/api/results", handler=results.submit, permission=WRITE,
          summary="Submit the results of a shard",
          body=wire_results.ResultSubmission, answers={CREATED: wire_results.SubmissionAccepted},
          refusals=(MISSING, CONFLICT)),
    Route(method="POST", path="/api/executions/{executionId}/reports", handler=report_uploads.upload, permission=WRITE,
          summary="Submit reports of test tools as the results of a shard", takes_files=True,
          query=wire_uploads.UploadQuery, refusals=(CONFLICT,),
          answers={CREATED: wire_uploads.ReportsAccepted, WRONG: wire_uploads.ReportsRejected}),
    Route(method="POST", path="/api/executions/{executionId}/artifacts", handler=artifacts.upload, permission=WRITE,
          summary="Send a file of a shard", streams_body=True, is_repeatable=True, query=wire_artifacts.ArtifactUpload,
          answers={CREATED: wire_artifacts.Artifact}),
    Route(method="GET", path="/api/executions/{executionId}/artifacts", handler=artifacts.page, permission=READ,
          summary="List an execution's files",
          query=wire_artifacts.ArtifactQuery, answers={OK: wire_artifacts.ArtifactPage}),
    Route(method="POST", path="/api/executions/{executionId}/artifact-uploads", handler=artifact_uploads.begin,
          permission=WRITE, summary="Begin, or find again, a file that is sent in parts", is_repeatable=True,
          body=wire_artifacts.NewArtifact, answers={CREATED: wire_artifacts.Artifact}),
    Route(method="GET", path="/api/executions/{executionId}/artifacts/{artifactId}", handler=artifacts.show,
          permission=READ, summary="Look at a file, or at what is missing of it",
          answers={OK: wire_artifacts.Artifact}),
    Route(method="DELETE", path="/api/executions/{executionId}/artifacts/{artifactId}", handler=artifacts.delete,
          permission=WRITE, summary="Delete a file", answers={OK: wire_artifacts.ArtifactDeleted}),
    Route(method="PUT", path="/api/executions/{executionId}/artifacts/{artifactId}/parts/{part}",
          handler=artifact_uploads.part, permission=WRITE, summary="Send one part of a file", streams_body=True,
          answers={OK: wire_artifacts.PartReceived}, refusals=(CONFLICT,)),
    Route(method="POST", path="/api/executions/{executionId}/artifacts/{artifactId}/complete",
          handler=artifact_uploads.complete, permission=WRITE, summary="Put the parts of a file together",
          is_repeatable=True, answers={OK: wire_artifacts.Artifact}, refusals=(CONFLICT, TOO_LARGE)),
    Route(method="GET", path="/api/badges", handler=badges.link, permission=READ,
          summary="The URL of a suite's badge", query=wire_badges.BadgeQuery, answers={OK: wire_badges.BadgeLink}),
    Route(method="POST", path="/api/webhooks/executions/{executionId}", handler=inbound_events.receive,
          summary="Tell of an execution, as its runner", access=Access.WEBHOOK_TOKEN,
          body=wire_events.AnyInboundEvent, answers={OK: wire_events.EventAccepted}, refusals=(CONFLICT,)),
    Route(method="POST", path="/api/webhooks", handler=webhooks.create, is_limited=True, permission=HOOKS,
          summary="Register a webhook",
          body=wire_webhooks.CreateWebhook, answers={CREATED: wire_webhooks.WebhookCreated}, refusals=(CONFLICT,)),
    Route(method="GET", path="/api/webhooks", handler=webhooks.page, is_limited=True, permission=HOOKS,
          summary="List webhooks, newest first",
          query=wire_webhooks.WebhookQuery, answers={OK: wire_webhooks.WebhookPage}),
    Route(method="GET", path="/api/webhooks/{webhookId}", handler=webhooks.show, is_limited=True, permission=HOOKS,
          summary="Look at a webhook", answers={OK: wire_webhooks.Webhook}),
    Route(method="PATCH", path="/api/webhooks/{webhookId}", handler=webhooks.change, is_limited=True, permission=HOOKS,
          summary="Change, pause or resume a webhook",
          body=wire_webhooks.ChangeWebhook, answers={OK: wire_webhooks.Webhook}, refusals=(CONFLICT,)),
    Route(method="DELETE", path="/api/webhooks/{webhookId}", handler=webhooks.delete, is_limited=True, permission=HOOKS,
          summary="Delete a webhook", answers={OK: wire_webhooks.WebhookDeleted}),
    Route(method="POST", path="/api/webhooks/{webhookId}/validate", handler=webhooks.validate, is_limited=True,
          permission=HOOKS, summary="Send a test request to a webhook", answers={OK: wire_webhooks.Validation}),
    Route(method="POST", path="/api/webhooks/{webhookId}/rotate-secret", handler=webhooks.rotate_secret,
          is_limited=True, permission=HOOKS, summary="Give a webhook another secret", body=wire_webhooks.RotateSecret,
          body_may_lack=True, answers={OK: wire_webhooks.SecretRotated}),
    Route(method="POST", path="/api/webhooks/{webhookId}/sample", handler=deliveries.sample, permission=HOOKS,
          summary="Deliver an example of an event",
          body=wire_webhooks.SendSample, answers={ACCEPTED: wire_deliveries.Delivery}, refusals=(CONFLICT,)),
    Route(method="POST", path="/api/webhooks/{webhookId}/recover", handler=deliveries.recover, permission=HOOKS,
          summary="Send again what failed or was missed",
          body=wire_deliveries.Recover, answers={ACCEPTED: wire_deliveries.Recovered}, refusals=(CONFLICT,)),
    Route(method="GET", path="/api/webhooks/{webhookId}/deliveries", handler=deliveries.page, permission=HOOKS,
          summary="List a webhook's deliveries, newest first",
          query=wire_deliveries.DeliveryQuery, answers={OK: wire_deliveries.DeliveryPage}),
    Route(method="GET", path="/api/webhooks/{webhookId}/deliveries/{deliveryId}", handler=deliveries.show,
          permission=HOOKS, summary="Look at a delivery and its attempts",
          answers={OK: wire_deliveries.DeliveryDetails}),
    Route(method="POST", path="/api/webhooks/{webhookId}/deliveries/{deliveryId}/redeliver",
          handler=deliveries.redeliver, permission=HOOKS, summary="Send a delivery again",
          answers={ACCEPTED: wire_deliveries.Delivery}, refusals=(CONFLICT,)),
    Route(method="POST", path="/api/tokens", handler=tokens.create, permission=MANAGE, family=Family.SERVICE,
          summary="Make an API token",
          body=wire_tokens.CreateToken, answers={CREATED: wire_tokens.SecretToken}, refusals=(CONFLICT,)),
    Route(method="GET", path="/api/tokens", handler=tokens.page, permission=MANAGE, family=Family.SERVICE,
          summary="List API tokens", answers={OK: wire_tokens.TokenList}),
    Route(method="DELETE", path="/api/tokens/{tokenId}", handler=tokens.revoke, permission=MANAGE,
          family=Family.SERVICE, summary="Revoke an API token", answers={OK: wire_tokens.Token}),
    Route(method="POST", path="/api/tokens/{tokenId}/rotate", handler=tokens.rotate, permission=MANAGE,
          family=Family.SERVICE, summary="Give an API token another secret",
          answers={OK: wire_tokens.SecretToken}, refusals=(CONFLICT,)),
    Route(method="GET", path="/reports/{executionId}.xml", handler=report_files.junit, permission=READ,
          summary="Report of an execution in JUnit XML", media=report_files.JUNIT, answers={OK: str}),
    Route(method="GET", path="/reports/{executionId}.ctrf.json", handler=report_files.ctrf, permission=READ,
          summary="Report of an execution in CTRF JSON", media=report_files.CTRF, answers={OK: dict[str, Any]}),
    Route(method="GET", path="/reports/{executionId}/shard-{shardId}.xml", handler=report_files.shard_junit,
          permission=READ, summary="Report of a shard in JUnit XML", media=report_files.JUNIT, answers={OK: str}),
    Route(method="GET", path="/reports/{executionId}/shard-{shardId}.ctrf.json", handler=report_files.shard_ctrf,
          permission=READ, summary="Report of a shard in CTRF JSON", media=report_files.CTRF,
          answers={OK: dict[str, Any]}),
    Route(method="GET", path="/reports/{executionId}", handler=reports.report, visitors=reports.visitors,
          permission=READ, summary="Report of an execution", other_media=(report_files.JUNIT, report_files.CTRF, PAGE),
          answers={OK: wire_reports.Report}),
    Route(method="GET", path="/reports/{executionId}/shard-{shardId}", handler=reports.shard_report,
          visitors=reports.visitors, permission=READ, summary="Report of a shard",
          other_media=(report_files.JUNIT, report_files.CTRF, PAGE),
          answers={OK: wire_reports.ShardReport}),
    Route(method="GET", path="/logs/{executionId}", handler=reports.logs, visitors=reports.visitors, permission=READ,
          summary="An execution's logs", other_media=(PAGE,), answers={OK: wire_reports.ShardLogs}),
    Route(method="GET", path="/artifacts/{executionId}", handler=reports.artifacts, visitors=reports.visitors,
          permission=READ, summary="An execution's artifacts", other_media=(PAGE,),
          answers={OK: wire_reports.ShardArtifacts}),
    Route(method="GET", path="/artifacts/{executionId}/files/{artifactId}", handler=artifact_files.send,
          access=Access.SIGNED_URL, permission=READ, summary="The bytes of an artifact", media=artifact_files.BYTES,
          other_media=kinds.SHOWN, query=wire_artifacts.FileQuery,
          answers={OK: bytes, PARTIAL: bytes, SAME: bytes}, refusals=(RANGE,)),
    Route(method="GET", path="/badges/{testSuite}.svg", handler=badges.show, access=Access.OPEN,
          family=Family.SERVICE, summary="A suite's badge", media=badges.SVG,
          query=wire_badges.SignedBadgeQuery, answers={OK: str, SAME: str}),
    Route(method="GET", path="/api/openapi.json", handler=documentation.document, access=Access.OPEN,
          family=Family.SERVICE, summary="This document", media=JSON, answers={OK: dict[str, Any]}),
    Route(method="GET", path="/api/docs", handler=documentation.page, access=Access.OPEN,
          family=Family.SERVICE, summary="This document as a page", media=HTML, answers={OK: str}),
    Route(method="GET", path="/healthz", handler=health.alive, access=Access.OPEN,
          family=Family.SERVICE, summary="Whether the process lives", answers={OK: wire_health.Alive}),
    Route(method="GET", path="/readyz", handler=health.ready, access=Access.OPEN,
          family=Family.SERVICE, summary="Whether it can work", answers={OK: wire_health.Ready}),
    Route(method="GET", path="/metrics", handler=health.metrics, access=Access.OPEN, family=Family.SERVICE,
          summary="Numbers for Prometheus", media=CONTENT_TYPE_LATEST, answers={OK: str}),
)
# fmt: on

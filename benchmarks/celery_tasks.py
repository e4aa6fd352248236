"""The same job as one would write it for Celery: what its workers load.

Its settings are those that Celery's documentation recommends for many short tasks that must not be lost.
"""

import urllib3
from celery import Celery

from benchmarks import posts

SUCCESS = range(200, 300)
TIMEOUT_SECONDS = 15.0
MAX_RETRIES = 3
FIRST_RETRY_SECONDS = 5
MOST_CONNECTIONS = 256

# Broker and result backend are in the variables CELERY_BROKER_URL and CELERY_RESULT_BACKEND.
app = Celery("webhooks")
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=64,
    result_backend_thread_safe=True,  # otherwise every greenlet makes a backend of its own, which takes 15 ms
    broker_connection_retry_on_startup=True,
)

_client = urllib3.PoolManager(maxsize=MOST_CONNECTIONS, retries=False, timeout=TIMEOUT_SECONDS)


class DeliveryFailed(Exception):
    """The endpoint answered with anything but 2xx."""


def _post(url: str, message_id: str, body: str) -> int:
    """Post a message; returns the status, which Celery keeps as the result."""
    data = body.encode()
    response = _client.request("POST", url, body=data, headers=posts.headers(message_id, data), redirect=False)
    if response.status not in SUCCESS:
        raise DeliveryFailed(response.status)
    return response.status


post = app.task(
    _post,
    name="post",
    autoretry_for=(DeliveryFailed, urllib3.exceptions.HTTPError),
    retry_backoff=FIRST_RETRY_SECONDS,
    max_retries=MAX_RETRIES,
)

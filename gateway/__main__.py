"""`python -m gateway` prints the API's OpenAPI document, of which the dashboard's types are made."""

import msgspec

from gateway.openapi import document
from gateway.routes import ROUTES

print(msgspec.json.encode(document(ROUTES)).decode())  # noqa: T201 - this is what it is for

"""Webhooks out: who is told of what, how it is signed, when it is tried again, and where it may go."""

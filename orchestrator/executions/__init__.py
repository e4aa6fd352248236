"""Executions and their shards: model, commands, events, and the machine that turns commands into events."""

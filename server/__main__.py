"""`python -m server`: the `orchestrator` command without its script."""

from server.cli import main

main()

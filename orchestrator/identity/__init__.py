"""Who asks, and what they may do: roles, API tokens, webhook tokens."""

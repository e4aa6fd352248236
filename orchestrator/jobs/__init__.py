"""Jobs: commands that an administrator registered, and that executions run in shards on the cluster."""

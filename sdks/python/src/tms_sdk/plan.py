"""Which shard runs which file."""

from collections.abc import Mapping


def split(files: Mapping[str, int], shards: int) -> dict[str, int]:
    """Give every file to exactly one shard, numbered from 1, so that all have about as many tests.

    `files` holds each file's number of tests. The largest file goes first, always to the shard with the fewest tests
    so far; ties are settled by name and number, so the same files give the same plan on every machine.
    """
    loads = [0] * shards
    plan = {}
    for file in sorted(files, key=lambda name: (-files[name], name)):
        shard = loads.index(min(loads))
        # A file without tests costs a little as well: it may be one that failed to import.
        loads[shard] += max(1, files[file])
        plan[file] = shard + 1
    return plan

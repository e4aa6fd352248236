"""Files that a shard left behind: what kinds there are, how they may be named, and how large ones come in parts."""

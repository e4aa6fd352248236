"""The servers that one machine needs: a Postgres and a Valkey of its own, on a data folder.

    .tms/
    ├── lock                 held while a server uses the folder
    ├── postgres/            the database; `postgres.new` while it is being made
    ├── postgres-password    of its superuser, mode 0600
    ├── postgres.log, valkey.log
    ├── valkey/              working folder; nothing is kept in it
    └── run/                 the unix sockets; a link to a folder in /tmp where the path does not do for a socket

A start is right whatever happened before: after a `kill -9` of any of the processes, beside their orphans and zombies,
and with their files lying about.
"""

from storage.embedded.lock import DataFolderInUse, DataFolderLock
from storage.embedded.process import EmbeddedServerFailed
from storage.embedded.servers import EmbeddedServers, running_database_url

__all__ = ["DataFolderInUse", "DataFolderLock", "EmbeddedServerFailed", "EmbeddedServers", "running_database_url"]

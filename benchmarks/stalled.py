"""A live reader that stops reading: it takes the answer to its handshake, and not a byte more."""

import select
import socket
from multiprocessing.connection import Connection

from benchmarks.client import Address
from benchmarks.readers import HANDSHAKE

_RECEIVE_BYTES = 4096
_GONE = select.POLLHUP | select.POLLERR | select.POLLRDHUP


def stall(pipe: Connection, address: Address, path: str) -> None:
    """A companion's work: keep one such reader connected; another comes where the server cuts one off."""
    request = address.head("GET", path) + HANDSHAKE
    is_first = True
    while True:
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            reader.connect((address.host, address.port))
            reader.sendall(request)
            reader.recv(1)
            if is_first:
                pipe.send("connected")
                is_first = False
            events = select.poll()
            events.register(reader, _GONE)
            events.register(pipe.fileno(), select.POLLIN | _GONE)
            if any(descriptor == pipe.fileno() for descriptor, _ in events.poll()):
                return

"""A frame is encoded once, however many readers get it."""

from typing import Any
from unittest import mock

import pytest
from prometheus_client import CollectorRegistry

from gateway.live import frames
from gateway.live.hub import Hub
from gateway.live.measures import LiveMeasures
from gateway.live.sinks import WebSocketSink
from storage.bus import Bus
from tests.live.memory import MemoryLog, settle
from tests.live.reading import Reader

X = "exec_x"
READERS = 1000
EVENTS = 5


class Connection:
    """Request, transport and websocket in one; keeps what is written to it at once, the very objects."""

    def __init__(self) -> None:
        self.transport = self
        self.written: list[bytes] = []

    def get_extra_info(self, _name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def send_frame(self, *_: Any) -> None:
        """The snapshot with which a reader begins."""


async def test_a_thousand_readers_are_given_the_same_bytes_each_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = mock.Mock(wraps=frames._header)
    monkeypatch.setattr(frames, "_header", encoded)
    log = MemoryLog()
    log.commit(X, events=1)
    hub = Hub(log, Bus("redis://localhost:1"), LiveMeasures(CollectorRegistry()))
    connections = [Connection() for _ in range(READERS)]
    readers = []
    for connection in connections:
        sink = WebSocketSink(connection, connection)  # type: ignore[arg-type] # it uses no more of either than there is
        readers.append(await Reader(hub, sink=sink).watch(X))
    await settle()
    hub._tell(log.commit(X, events=EVENTS))
    first = connections[0].written
    assert len(first) == EVENTS
    for connection in connections:
        assert list(map(id, connection.written)) == list(map(id, first))
    assert encoded.call_count == EVENTS
    for reader in readers:
        await reader.leave()
    await hub.close()

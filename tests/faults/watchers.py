"""Live readers that resume after every cut, and remember each number they were sent."""

import asyncio
import json
from dataclasses import dataclass, field

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ENDS = frozenset({"execution.completed", "execution.failed", "execution.cancelled"})


@dataclass
class Watcher:
    """One reader of one execution's stream, from its first event to its end."""

    url: str
    token: str
    execution_id: str
    seen: list[int] = field(default_factory=list)
    cuts: int = 0

    async def watch(self) -> None:
        """Read until the execution has ended, over as many connections as it takes."""
        address = self.url.replace("http", "ws", 1) + f"/api/executions/{self.execution_id}/live"
        headers = {"Authorization": f"Bearer {self.token}"}
        while True:
            after = self.seen[-1] if self.seen else 0
            try:
                async with connect(f"{address}?after={after}", additional_headers=headers) as socket:
                    async for text in socket:
                        frame = json.loads(text)
                        assert frame["type"] == "event", f"a resumed reader of few events gets events: {frame}"
                        last = self.seen[-1] if self.seen else 0
                        assert frame["seq"] == last + 1, f"connected after {after}, had {last}, got {frame['seq']}"
                        self.seen.append(frame["seq"])
                        if frame["event"] in ENDS:
                            return
            except (ConnectionClosed, InvalidHandshake, OSError, TimeoutError, EOFError):
                self.cuts += 1
            await asyncio.sleep(0.1)

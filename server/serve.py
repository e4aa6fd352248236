"""`orchestrator serve`: from settings to an open port, and back."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from gateway.app import build_app
from gateway.runner import Runner
from gateway.services import Services
from orchestrator.config import Settings
from orchestrator.errors import Misconfigured
from server import parts

log = structlog.get_logger(__name__)

# How long requests under way may take to finish after a SIGTERM.
GRACE_SECONDS = 15.0
BACKLOG = 1024


async def serve(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: of this process.
        announce: told the URL once requests are answered.

    Raises:
        Misconfigured, Unavailable: it cannot start like this; nothing is left running.
    """
    stop = asyncio.Event()
    _stop_on_signals(stop)
    with listening_socket(settings) as port:
        async with parts.services(settings, url_on_this_machine(port)) as services, open_port(services, port) as url:
            # Anew, for Ray has put a handler in front that would print a stack trace for every SIGTERM.
            _stop_on_signals(stop)
            _spare_garbage_collection()
            log.info("serving", url=url)
            announce(url)
            await stop.wait()
            log.info("stopping")
    log.info("stopped")


def _stop_on_signals(stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _spare_garbage_collection() -> None:
    """Leave what was loaded out of all collections, and collect less often.

    A full collection walks every module: 170 ms of a busy gateway each, seen in its p99 (250 to 310 ms instead of 360
    to 460 with 128 connections on two cores).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@asynccontextmanager
async def open_port(services: Services, port: socket.socket) -> AsyncIterator[str]:
    """Answer requests on a bound socket; at the end, those under way are finished first."""
    runner = Runner(build_app(services), grace_seconds=GRACE_SECONDS)
    await runner.setup()
    try:
        await web.SockSite(runner, port, backlog=BACKLOG).start()
        yield _url(port)
    finally:
        await runner.cleanup()


def url_on_this_machine(port: socket.socket) -> str:
    """Where what runs on this machine finds a bound socket, also one that listens on all addresses."""
    return _url(port).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _url(port: socket.socket) -> str:
    host, number = port.getsockname()[:2]
    return f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"


def listening_socket(settings: Settings) -> socket.socket:
    """The port of the settings, taken at once so that a taken one ends the start before anything else began.

    Raises:
        Misconfigured: the address or port cannot be used.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    port = socket.socket(family, socket.SOCK_STREAM)
    try:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind((settings.host, settings.port))
        port.listen(BACKLOG)
    except OSError as error:
        port.close()
        reason = error.strerror or str(error)
        raise Misconfigured(
            f"Cannot listen on {settings.host}:{settings.port}: {reason}; set TMS_HOST or TMS_PORT to another"
        ) from error
    return port

"""Serving the app with waitress, and stopping it so that nothing acknowledged is lost."""

from __future__ import annotations

import contextlib
import errno
import gc
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from rom_core.http.server.dispatcher import Dispatcher
from rom_core.http.server.last_scrape import LastScrape
from rom_core.http.server.listener import listen
from rom_core.http.server.parser import MAX_HEAD_BYTES
from rom_core.runtime import Runtime

logger = structlog.get_logger("rom.server")

# Threads beyond those of the turns that run or wait: they give the next chats a place, or tell them to come back later.
REFUSING_THREADS = 2
# waitress's own cap counts what surrounds chunks too and knows no ids of the request: it is only the last resort.
_BODY_CAP_FACTOR = 10
_CONNECTION_LIMIT = 1000
# Descriptors for everything else, of those the process may have: connections to the model, stores, pipes.
_OTHER_FILES = 128
# The listening socket and the loop's own pipe, which waitress counts as connections.
_OWN_FILES = 2
# Bytes a client may leave unread before whoever writes to it waits. waitress's 16 MiB are more than any answer has, so
# that nothing would ever wait, and one client that does not read would cost as much memory.
_UNREAD_BYTES = 256 * 1024
# Requests read ahead of the one that is served: while waitress reads, it notices that the client has left.
_READ_AHEAD = 8
_MAINTENANCE_SECONDS = 5
_POLL_SECONDS = 0.02
# What is cut off at the end of the grace period still gets this long to send its error event.
_FLUSH_SECONDS = 2.0


class Server:
    """A waitress server for one runtime. `start` binds and serves in a thread; `stop` drains."""

    def __init__(self, app: Any, runtime: Runtime) -> None:
        """Binds to HOST and PORT (0 = any free one). Raises OSError if that is not possible, or would serve nobody."""
        settings = runtime.current.settings
        self._runtime = runtime
        self.last_scrape = LastScrape(app)
        self._threads = int(settings.HTTP_THREADS)
        self._dispatcher = Dispatcher(runtime.max_turns + REFUSING_THREADS)
        resources: Mapping[str, object] = getattr(app, "resources", {})
        self._server: Any = listen(
            self.last_scrape,
            self._dispatcher,
            lambda: runtime.current.settings,
            host=settings.HOST,
            port=settings.PORT,
            authenticator=getattr(app, "authenticator", None),
            turns=_paths(resources, "takes_turns"),
            uploads=_paths(resources, "takes_files"),
            proxies=settings.TRUSTED_PROXY_COUNT,
            room=runtime.body_room,
            # For a loop without epoll: select() takes no descriptor above 1023, which many connections reach.
            asyncore_use_poll=True,
            channel_request_lookahead=_READ_AHEAD,
            outbuf_high_watermark=_UNREAD_BYTES,
            cleanup_interval=_MAINTENANCE_SECONDS,
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=max(
                max(settings.MAX_BODY_BYTES, settings.MAX_ATTACHMENT_BYTES) * _BODY_CAP_FACTOR, 1 << 20
            ),
            connection_limit=connection_limit(self._threads),
            ident="rom",
            # The app heeds and clears them (rom_core/http/addresses.py); waitress knows no mapped addresses or ports.
            clear_untrusted_proxy_headers=False,
        )
        self._thread = threading.Thread(target=self._server.run, name="rom-http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.effective_port)

    @property
    def url(self) -> str:
        """Where it listens."""
        host = self._server.effective_host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve in threads."""
        self._dispatcher.set_thread_count(self._threads)
        self._thread.start()

    def stop(
        self, grace_seconds: float, at_once: threading.Event | None = None, *, linger_seconds: float = 0.0
    ) -> bool:
        """Refuse new turns, let running ones finish for `grace_seconds` or until `at_once`, cut off what is left.

        Meanwhile everything else is still served: /ready says that it drains, chats are refused with `draining`. With
        the last turn counted it goes on so until one more scrape of /metrics has been answered, for `linger_seconds`
        at most and within the grace. True if nothing had to be cut off.
        """
        end = time.monotonic() + grace_seconds
        self._runtime.drain()
        hurry = at_once or threading.Event()
        _until(lambda: not self._runtime.admitted or hurry.is_set(), grace_seconds)
        finished = not self._runtime.admitted
        if not finished:
            self._runtime.cancel_active("draining")
            _until(lambda: not self._runtime.admitted, _FLUSH_SECONDS)
        # A turn gives its place back a moment before its request is counted.
        _until(lambda: not self._dispatcher.chats, _FLUSH_SECONDS)
        self.last_scrape.settled.set()
        linger = min(linger_seconds, end - time.monotonic())
        _until(lambda: self.last_scrape.done.is_set() or hurry.is_set(), linger)
        self._runtime.intake.ending.set()
        self._server.trigger.pull_trigger(self._stop_listening)
        _until(lambda: not self._busy(), _FLUSH_SECONDS)
        self._dispatcher.shutdown(timeout=0.5)
        # The loop of waitress ends when nothing is left in its map.
        # Another thread's pull may wake the loop first: it closes the trigger, and ours finds it closed.
        with contextlib.suppress(OSError):
            self._server.trigger.pull_trigger(self._close_channels)
        self._thread.join(timeout=2)
        return finished

    def _stop_listening(self) -> None:
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()

    def _close_channels(self) -> None:
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        self._server.trigger.close()

    def _busy(self) -> bool:
        channels = list(self._server.active_channels.values())
        return self._dispatcher.busy or any(c.requests or c.total_outbufs_len for c in channels)


class Signals:
    """SIGTERM and SIGINT: the first one, whenever it comes, asks for the end; a second one does not wait any longer."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.at_once = threading.Event()

    def install(self) -> None:
        """Take the signals over; only the main thread may."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._take)

    def _take(self, *_: Any) -> None:
        (self.at_once if self.stop.is_set() else self.stop).set()


def serve(server: Server, runtime: Runtime, signals: Signals) -> None:
    """Serve until a signal comes, then drain. The runtime is started, and stays so for the caller to stop."""
    # What start-up has built stays: a full collection that walks over it would stop every request for 100 ms.
    gc.collect()
    gc.freeze()
    gc.enable()
    server.start()
    logger.info("server.started", url=server.url, environment=runtime.current.settings.environment)
    while not signals.stop.wait(1.0):
        pass
    grace = float(runtime.current.settings.SHUTDOWN_GRACE_SECONDS)
    logger.info("server.draining", active_turns=runtime.active_turns, grace_seconds=grace)
    settings = runtime.current.settings
    linger = float(settings.SHUTDOWN_LINGER_SECONDS) if getattr(settings, "METRICS_ENABLED", False) else 0.0
    clean = server.stop(grace, signals.at_once, linger_seconds=linger)
    runtime.stop()
    logger.info("server.stopped", clean=clean, scraped=server.last_scrape.done.is_set())


def _paths(resources: Mapping[str, object], mark: str) -> frozenset[str]:
    """Those of the resources that say so of themselves."""
    return frozenset(path for path, resource in resources.items() if getattr(resource, mark, False))


def connection_limit(threads: int) -> int:
    """How many clients may be connected at once: a process out of descriptors could not even refuse them.

    Raises OSError if there are not even descriptors for as many clients as there are `threads` to serve them.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = _OTHER_FILES + _OWN_FILES + threads
    if files == resource.RLIM_INFINITY:
        return _CONNECTION_LIMIT
    if files < needed:
        raise OSError(errno.EMFILE, f"this process may open {files} files and needs {needed} (ulimit -n {needed})")
    return min(_CONNECTION_LIMIT, files - _OTHER_FILES)


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(_POLL_SECONDS)
    return True

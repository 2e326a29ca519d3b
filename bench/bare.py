"""The yardstick over HTTP: Falcon, waitress and boto3 with nothing between them.

`python -m bench.bare ENDPOINT` serves and prints its URL.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import falcon
import waitress

from bench.plain import collect, converse, make_client


class Chat:
    """One streamed Converse request, answered whole, as Server-Sent Events, or with the calls of the client's tools."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The same body as /api/chat."""
        body = req.get_media()
        tools = [_spec(tool) for tool in body.get("tools", ())]
        stream = converse(self._client, [{"role": "user", "content": [{"text": body["message"]}]}], tools)
        if body.get("stream"):
            resp.content_type = "text/event-stream"
            resp.stream = _events(stream)
            return
        if tools:
            content, _ = collect(stream)
            resp.media = {"tool_uses": [block["toolUse"] for block in content if "toolUse" in block]}
            return
        text = "".join(e["contentBlockDelta"]["delta"].get("text", "") for e in stream if "contentBlockDelta" in e)
        resp.media = {"reply": text}


def _spec(tool: Any) -> dict[str, Any]:
    schema = {"json": tool["input_schema"]}
    return {"toolSpec": {"name": tool["name"], "description": tool["description"], "inputSchema": schema}}


def _events(stream: Any) -> Iterator[bytes]:
    for event in stream:
        if "contentBlockDelta" in event:
            yield b"data: " + json.dumps(event["contentBlockDelta"]["delta"]).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def main() -> None:
    """Serve until killed."""
    app = falcon.App()
    app.add_route("/api/chat", Chat(make_client(sys.argv[1])))
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=32)  # type: ignore[attr-defined]
    print(f"http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()


if __name__ == "__main__":
    main()

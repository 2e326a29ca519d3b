"""The yardstick: Falcon, waitress and boto3 with nothing between them.

`python -m bench.bare ENDPOINT` serves and prints its URL.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import falcon
import waitress
from botocore.config import Config

MODEL = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"


class Chat:
    """One streamed Converse request, answered whole or as Server-Sent Events."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The same body as /api/chat."""
        body = req.get_media()
        stream = self._client.converse_stream(
            modelId=MODEL,
            messages=[{"role": "user", "content": [{"text": body["message"]}]}],
            system=[{"text": "You answer."}],
            inferenceConfig={"maxTokens": 4096},
        )["stream"]
        if body.get("stream"):
            resp.content_type = "text/event-stream"
            resp.stream = _events(stream)
            return
        text = "".join(e["contentBlockDelta"]["delta"].get("text", "") for e in stream if "contentBlockDelta" in e)
        resp.media = {"reply": text}


def _events(stream: Any) -> Iterator[bytes]:
    for event in stream:
        if "contentBlockDelta" in event:
            yield b"data: " + json.dumps(event["contentBlockDelta"]["delta"]).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def main() -> None:
    """Serve until killed."""
    client = boto3.Session().client(
        "bedrock-runtime",
        region_name="us-west-2",
        endpoint_url=sys.argv[1],
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=64),
    )
    app = falcon.App()
    app.add_route("/api/chat", Chat(client))
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=32)  # type: ignore[attr-defined]
    print(f"http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()


if __name__ == "__main__":
    main()

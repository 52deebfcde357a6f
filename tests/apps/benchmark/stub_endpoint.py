"""A stub of an OpenAI-compatible endpoint on this machine."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Stub:
    """What the server says, and what it was asked.

    Attributes:
        url: Base of the endpoint.
        content: Answer of the model.
        body: In place of a completion, where not None.
        status: HTTP status.
        redirect: Where to send the client, if anywhere.
        drip_s: Seconds between single bytes of the answer; 0 sends it at once.
        requests: (path, headers, body) of each request.
    """

    url: str = ""
    content: str = "she smiles"
    body: bytes | None = None
    status: int = 200
    redirect: str = ""
    drip_s: float = 0.0
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """Serve while the block runs."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            asked = json.loads(self.rfile.read(size))
            stub.requests.append((self.path, dict(self.headers), asked))
            answer = {"choices": [{"message": {"role": "assistant", "content": stub.content}}]}
            body = json.dumps(answer).encode() if stub.body is None else stub.body
            self.send_response(302 if stub.redirect else stub.status)
            if stub.redirect:
                self.send_header("Location", stub.redirect)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not stub.drip_s:
                self.wfile.write(body)
                return
            for byte in body:
                if stopped.is_set():
                    return
                self.wfile.write(bytes([byte]))
                time.sleep(stub.drip_s)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield stub
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()

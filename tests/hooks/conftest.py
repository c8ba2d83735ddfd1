"""A chat server in a thread, for hooks that run an event loop of their own."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

REPLY = {
    "id": "chatcmpl-1",
    "model": "small-1",
    "choices": [{"message": {"role": "assistant", "content": "12 rows"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3},
}


class ChatServer(ThreadingHTTPServer):
    """Knows one model; ``routes`` maps (method, path) to (status, JSON body)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.routes = {
            ("GET", "/v1/models"): (200, {"data": [{"id": "small-1"}]}),
            ("POST", "/v1/chat/completions"): (200, REPLY),
        }

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        content = json.loads(sent) if sent else None
        self.server.requests.append((self.command, self.path, dict(self.headers), content))
        status, body = self.server.routes.get(
            (self.command, self.path), (404, {"error": {"message": "no such path"}})
        )
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = answer  # noqa: N815 - names set by http.server

    def log_message(self, *_):
        """Keep the test output clean."""


@pytest.fixture
def chat_server():
    """A running chat server."""
    with ChatServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connect(monkeypatch):
    """Define a connection as a user would: in the environment."""

    def define(conn_id="llm_default", *, uri=None, extra=None, **fields):
        value = uri or json.dumps({"conn_type": "llm", **fields, "extra": extra or {}})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", value)
        return conn_id

    return define

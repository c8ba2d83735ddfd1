"""
What Google's own client sends and understands: JSON on standard input, JSON on standard output.

Run by an interpreter that has ``google-genai``. In: a list of exchanges, each with the
``body`` of our request and the ``answer`` to give. Out: the same list, each with the
``path``, the ``headers`` and the body as the client ``sent`` it, and what it ``understood``
of the answer. So ``google_client.py < recorded.json > new.json`` records anew.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google import genai


class Recorder(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        headers = {name: self.headers[name] for name in ("content-type", "x-goog-api-key")}
        self.server.seen = {"path": self.path, "headers": headers, "sent": body}
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_):
        """Say nothing."""


def understood(answer):
    parts = [part for part in answer.candidates[0].content.parts if not part.thought]
    calls = [part.function_call for part in parts if part.function_call]
    usage = answer.usage_metadata
    return {
        "text": "".join(part.text or "" for part in parts),
        "tools": [[call.id, call.name, call.args] for call in calls],
        "usage": [
            usage.prompt_token_count,
            usage.candidates_token_count + usage.thoughts_token_count,
            usage.cached_content_token_count,
            usage.thoughts_token_count,
        ],
        "model": answer.model_version,
        "request_id": answer.response_id,
    }


def exchanged(client, server, one):
    body = one["body"]
    server.answer = one["answer"]
    config = {**body["generationConfig"], **body}
    del config["generationConfig"], config["contents"]
    reply = client.models.generate_content(model="small-1", contents=body["contents"], config=config)
    given = {name: one[name] for name in ("name", "body", "answer")}
    return {**given, **server.seen, "understood": understood(reply)}


with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {"base_url": f"http://127.0.0.1:{server.server_port}", "api_version": "v1beta"}
    client = genai.Client(api_key="sk-secret-123", http_options=options)
    exchanges = [exchanged(client, server, one) for one in json.load(sys.stdin)]
    json.dump(exchanges, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
    server.shutdown()

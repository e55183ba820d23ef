"""Prints the replies of a Rookery webhook: WEBHOOK_SECRET=… python receive.py, listening on 127.0.0.1:9000."""

import hmac
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = os.environ["WEBHOOK_SECRET"].encode()


class Replies(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        signed = self.headers.get("X-Rookery-Timestamp", "").encode() + b"." + body
        expected = "sha256=" + hmac.new(SECRET, signed, "sha256").hexdigest()
        good = hmac.compare_digest(expected.encode(), self.headers.get("X-Rookery-Signature", "").encode())
        if good:
            reply = json.loads(body)
            sys.stdout.write(f"to {reply['to']['senderId']}: {reply['text']}\n")
        self.send_response(200 if good else 401)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Only the replies are printed."""


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Replies).serve_forever()

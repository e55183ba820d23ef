"""Sends one signed message to a Rookery webhook: WEBHOOK_SECRET=… python send.py SENDER TEXT."""

import hmac
import json
import os
import sys
import time
import uuid
from contextlib import closing
from http.client import HTTPConnection


def signed(secret: str, body: bytes, now: int) -> dict[str, str]:
    """The headers that prove who sends this body, and when."""
    moment = str(now)
    mac = hmac.new(secret.encode(), moment.encode() + b"." + body, "sha256").hexdigest()
    return {"X-Rookery-Timestamp": moment, "X-Rookery-Signature": f"sha256={mac}"}


def message(sender: str, text: str, message_id: str) -> bytes:
    """A direct message; the same id sent again is not answered again."""
    chat = {"kind": "dm", "id": sender}
    return json.dumps({"messageId": message_id, "senderId": sender, "text": text, "chat": chat}).encode()


def send(host: str, account: str, secret: str, body: bytes) -> tuple[int, bytes]:
    """Hand it in; on 503, and when nothing is answered, send the same body again."""
    headers = {"Content-Type": "application/json", **signed(secret, body, int(time.time()))}
    with closing(HTTPConnection(host, timeout=30)) as connection:
        connection.request("POST", f"/api/channels/webhook/{account}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


if __name__ == "__main__":
    host = os.environ.get("ROOKERY_HOST", "127.0.0.1:8484")
    body = message(sys.argv[1], sys.argv[2], uuid.uuid4().hex)
    status, answer = send(host, "default", os.environ["WEBHOOK_SECRET"], body)
    sys.stdout.write(f"{status} {answer.decode()}\n")

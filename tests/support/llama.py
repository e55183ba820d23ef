"""llama.cpp's server in a process of its own, on the loopback, with the tiny model: both wire formats, for real.

    server = Llama.start(tmp_path, context=512)
    server.base_url        # http://127.0.0.1:…/v1
    server.close()

`python -m tests.support.llama MODEL --context 512` is that process; it prints where it listens, and lives until
its standard input ends.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Self

import msgspec

from rookery.outbound.client import Outbound
from tests.support.tiny_model import CONTEXT, write_tiny_model

MODEL = "tiny"
"""What the model is called on the wire."""

_PROJECT = Path(__file__).resolve().parents[2]


class Slot(msgspec.Struct):
    """One of the conversations that the server can hold at once."""

    is_processing: bool


@dataclass(slots=True)
class Llama:
    """One running server; it answers one request after another, in one slot."""

    url: str
    key: str | None
    _process: subprocess.Popen[str]

    @classmethod
    def start(cls, folder: Path, *, context: int = CONTEXT, key: str | None = None) -> Self:
        """Write the model into `folder`, serve it with room for `context` tokens, and wait until it listens."""
        model = folder / "tiny.gguf"
        write_tiny_model(model)
        command = [sys.executable, "-m", "tests.support.llama", str(model), "--context", str(context)]
        if key is not None:
            command += ["--key", key]
        with (folder / "llama.log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=_PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, f"The model server did not start: {(folder / 'llama.log').read_text()[-2000:]}"
        return cls(url, key, process)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    async def busy(self, outbound: Outbound) -> bool:
        """Whether the server works on a request at this moment."""
        slots = msgspec.json.decode(await self._get(outbound, "/slots"), type=list[Slot])
        return any(slot.is_processing for slot in slots)

    async def said(self, outbound: Outbound) -> int:
        """How many tokens the server has written in all the requests that are over, by its own count."""
        return int(await self._metric(outbound, "tokens_predicted_total"))

    async def read(self, outbound: Outbound) -> tuple[int, int]:
        """How many tokens of prompts it has read, and how many more it remembered, by its own count."""
        fresh = await self._metric(outbound, "prompt_tokens_total")
        return int(fresh), int(await self._metric(outbound, "prompt_tokens_cached_total"))

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        self._process.communicate()

    async def _metric(self, outbound: Outbound, name: str) -> float:
        text = (await self._get(outbound, "/metrics")).decode()
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"llamacpp:{name} "))

    async def _get(self, outbound: Outbound, path: str) -> bytes:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        async with outbound.operator("GET", self.url + path, headers=headers, total_seconds=20) as answer:
            return await answer.read_whole(1 << 20)


def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    xllamacpp = import_module("xllamacpp")  # brings no types
    arguments = argparse.ArgumentParser(description="llama.cpp's server over the tiny model.")
    arguments.add_argument("model")
    arguments.add_argument("--context", type=int, default=CONTEXT)
    arguments.add_argument("--key")
    given = arguments.parse_args()
    params = xllamacpp.CommonParams()
    params.model.path = given.model
    params.model_alias = {MODEL}
    params.port = 0
    params.n_ctx = given.context
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.endpoint_metrics = True
    params.endpoint_slots = True
    if given.key is not None:
        params.api_keys = [given.key]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

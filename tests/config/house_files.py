"""Configuration files as the tests write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from rookery.config import Config, load
from rookery.errors import ConfigError

EXAMPLE = """\
gateway:  { host: 127.0.0.1, port: 8484, publicUrl: null, allowedHosts: [], trustedProxies: [] }
database: { url: null }                  # null: SQLite under the home; postgresql://… : several gateways share it
models:
  default: offline/demo                  # provider/model
  fallbacks: []
  allowed: null                          # null = whatever the providers offer
  providers:
    openai:    { api: openai }
    anthropic: { api: anthropic }
    local:     { api: openai, baseUrl: http://127.0.0.1:11434/v1, prices: { some-model: { input: 0, output: 0 } } }
  sharedKeys:
    house: { provider: openai, keyFrom: "env:OPENAI_API_KEY" }     # or sealed in the store by `rookery key share`
  limits: { maxConcurrent: 16, perUser: 3, perKey: null, background: 4, timeoutSeconds: 120 }
  embeddings: { provider: null, model: null }
agents:
  defaults: { model: null, skills: null, tools: [time, sessions, memory, knowledge, schedules], maxSteps: 25 }
  list:
    - { id: helpdesk, sponsor: alice }   # a shared agent; people's own agents come with the people
bindings:
  - { agentId: helpdesk, match: { channel: telegram, account: default, peer: { kind: group, id: "-100123" } } }
session:
  dmScope: null                          # null = main within one person's agent
  mainKey: main
  identityLinks: {}
  isolation: { enabled: false, defaultScope: per-channel }   # per-channel | per-sender | global
  resetPrompt: null
  reset: { mode: none }                  # none | daily (atHour) | idle (idleMinutes)
  maintenance: { archiveAfterDays: null, maxEntries: null, binDays: 30 }
  compaction: { enabled: true, reserveTokens: 16384, keepRecentTokens: 20000 }
messages: { queue: { mode: collect, debounceMs: 500, cap: 20 } }   # collect | followup | steer | interrupt
budgets: { default: { perDayUsd: null, perMonthUsd: null, perDayTokens: null } }
usersFile: null
storage: { openBrains: 64 }
channels:
  webchat:  { enabled: true }
  webhook:  { accounts: { default: { secret: "a-long-and-quiet-secret", callbackUrl: http://127.0.0.1:9000/reply,
                                     dmPolicy: allowlist, sessionBinding: isolated } } }
  telegram: { accounts: { default: { botToken: "${TELEGRAM_BOT_TOKEN}", dmPolicy: pairing, groupPolicy: allowlist,
                                     groupAllowFrom: [], requireMention: true } } }
  cron:     { sessionBinding: ephemeral }
"""
"""The example of the public contract, its elided secret filled in."""

ENVIRON = {"TELEGRAM_BOT_TOKEN": "12345:telegram-canary", "OPENAI_API_KEY": "sk-openai-canary"}


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Config:
    """Load `text` as `rookery.yaml`."""
    path = tmp_path / "rookery.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, {} if environ is None else environ)


def refused(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Load `text`, which does not load, and give the lines that say why."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, environ)
    return caught.value.detail.split("\n")

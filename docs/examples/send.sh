#!/usr/bin/env bash
# Sends one signed message to the webhook: WEBHOOK_SECRET=… ./send.sh SENDER TEXT
set -euo pipefail
url=${ROOKERY_URL:-http://127.0.0.1:8484}/api/channels/webhook/default
sender=$1 text=${2//\\/\\\\} text=${text//\"/\\\"}
id=$(date +%s)-$RANDOM
body=$(printf '{"messageId":"%s","senderId":"%s","text":"%s","chat":{"kind":"dm","id":"%s"}}' "$id" "$sender" "$text" "$sender")
now=$(date +%s)
mac=$(printf '%s.%s' "$now" "$body" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" | sed 's/.* //')
curl -sS "$url" \
  -H "X-Rookery-Timestamp: $now" \
  -H "X-Rookery-Signature: sha256=$mac" \
  -H 'Content-Type: application/json' \
  --data-raw "$body"
echo

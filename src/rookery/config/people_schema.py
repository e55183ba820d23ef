"""The JSON schema of the people file, for editors and for readers."""

from __future__ import annotations

from typing import Any

from rookery.config.people import People


def people_schema() -> dict[str, Any]:
    """The complete schema (JSON Schema 2020-12), with camelCase keys and a description for every key."""
    generated = People.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **generated, "title": "users.yaml"}

"""Who this gateway knows: users, their addresses, and the agents that answer."""

from rookery.users.agents import (
    Agent,
    ConfiguredAgent,
    add_shared_agent,
    get_agent,
    grant_key,
    granted_keys,
    list_agents,
    set_model,
    sync_configured_agents,
    ungrant_key,
)
from rookery.users.credentials import Credential, CredentialKind, Issued
from rookery.users.identities import Identity, identify, link, list_identities, unlink
from rookery.users.people import User, UserRole, add_user, get_user, is_taken, list_users

__all__ = [
    "Agent",
    "ConfiguredAgent",
    "Credential",
    "CredentialKind",
    "Identity",
    "Issued",
    "User",
    "UserRole",
    "add_shared_agent",
    "add_user",
    "get_agent",
    "get_user",
    "grant_key",
    "granted_keys",
    "identify",
    "is_taken",
    "link",
    "list_agents",
    "list_identities",
    "list_users",
    "set_model",
    "sync_configured_agents",
    "ungrant_key",
    "unlink",
]

"""The table of operations: what each is called, takes, asks the gate for, and where it is done.

It brings the code of all of them with it, so it is read when the first is called, and not at the start.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from rookery.gateway.operations import (
    agents,
    channels,
    checks,
    credentials,
    files,
    keys,
    leaving,
    log,
    logins,
    looking,
    pairings,
    people,
    people_file,
    sealed_keys,
    setting_up,
    spaces,
    state,
    usage,
)
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import (
    AgentAdd,
    AgentChange,
    AgentFileNamed,
    AgentFilePut,
    AgentFiles,
    AgentNamed,
    AuditList,
    CredentialNamed,
    DeadLetterList,
    DeadLetterRetry,
    IdentityChange,
    IdentityList,
    KeyGrant,
    KeyList,
    KeyNamed,
    KeySet,
    KeyShare,
    Nothing,
    PairingApprove,
    PairingReject,
    PasswordSet,
    SessionList,
    SessionNamed,
    SessionNew,
    SharedKeyNamed,
    SpaceAdmit,
    SpaceNamed,
    TokenList,
    TokenNew,
    UsageAsk,
    UserAdd,
    UserChange,
    UserErase,
    UserNamed,
)
from rookery.gateway.shapes.people_file import PeopleApply
from rookery.policy import Action


class Operation(Struct, frozen=True):
    """One operation. `run` gives its result, or is a generator of events when the result is too large for one.

    `action` is what it asks the gate for whoever is at the desk, before anything is done or told.
    """

    params: type[Struct]
    run: Callable[[Desk, Any], Awaitable[object] | AsyncGenerator[Struct]]
    action: Action


OPERATIONS: Mapping[str, Operation] = {
    "status": Operation(Nothing, state.status, Action.READ_HOUSE),
    "config.reload": Operation(Nothing, state.reload, Action.CHANGE_CONFIG),
    "user.add": Operation(UserAdd, people.add, Action.ADD_PERSON),
    "user.apply": Operation(PeopleApply, people_file.apply, Action.APPLY_PEOPLE),
    "user.list": Operation(Nothing, people.listed, Action.LIST_PEOPLE),
    "user.show": Operation(UserNamed, people.shown, Action.READ_PERSON),
    "user.change": Operation(UserChange, people.change, Action.MANAGE_PERSON),
    "user.export": Operation(UserNamed, leaving.export, Action.EXPORT_PERSON),
    "user.erase": Operation(UserErase, leaving.erase, Action.ERASE_PERSON),
    "user.kept": Operation(UserNamed, leaving.kept, Action.EXPORT_PERSON),
    "user.passwd": Operation(PasswordSet, logins.set_password, Action.SET_PASSWORD),
    "token.create": Operation(TokenNew, credentials.create_token, Action.CREATE_TOKEN),
    "token.list": Operation(TokenList, credentials.list_tokens, Action.LIST_PEOPLE),
    "token.revoke": Operation(CredentialNamed, credentials.revoke_token, Action.END_CREDENTIAL),
    "setup.link": Operation(Nothing, setting_up.make_setup_link, Action.MAKE_SETUP_LINK),
    "identity.link": Operation(IdentityChange, people.link, Action.LINK_IDENTITY),
    "identity.unlink": Operation(IdentityChange, people.unlink, Action.LINK_IDENTITY),
    "identity.list": Operation(IdentityList, people.identities, Action.READ_IDENTITIES),
    "agent.list": Operation(Nothing, agents.listed, Action.LIST_AGENTS),
    "agent.show": Operation(AgentNamed, agents.shown, Action.READ_AGENT),
    "agent.add": Operation(AgentAdd, agents.add, Action.ADD_AGENT),
    "agent.set": Operation(AgentChange, agents.alter, Action.CHANGE_AGENT),
    "agent.remove": Operation(AgentNamed, agents.remove, Action.REMOVE_AGENT),
    "key.set": Operation(KeySet, keys.set_key, Action.SET_KEY),
    "key.revoke": Operation(KeyNamed, keys.revoke, Action.SET_KEY),
    "key.share": Operation(KeyShare, keys.share, Action.SHARE_KEY),
    "key.unshare": Operation(SharedKeyNamed, keys.unshare, Action.SHARE_KEY),
    "file.list": Operation(AgentFiles, files.listed, Action.READ_FILES),
    "file.show": Operation(AgentFileNamed, files.sent, Action.READ_FILES),
    "file.put": Operation(AgentFilePut, files.put, Action.CHANGE_FILES),
    "file.remove": Operation(AgentFileNamed, files.removed, Action.CHANGE_FILES),
    "key.grant": Operation(KeyGrant, keys.grant, Action.GRANT_KEY),
    "key.rotateMaster": Operation(Nothing, sealed_keys.rotate_master, Action.ROTATE_MASTER_KEY),
    "key.ungrant": Operation(KeyGrant, keys.ungrant, Action.GRANT_KEY),
    "key.list": Operation(KeyList, keys.listed, Action.READ_KEYS),
    "session.list": Operation(SessionList, looking.listed, Action.LIST_SESSIONS),
    "session.show": Operation(SessionNamed, looking.show, Action.READ_SESSION),
    "session.export": Operation(SessionNamed, looking.export, Action.EXPORT_SESSION),
    "session.new": Operation(SessionNew, looking.new, Action.NEW_SESSION),
    "space.admit": Operation(SpaceAdmit, spaces.admit, Action.MANAGE_SPACES),
    "space.list": Operation(Nothing, spaces.listed, Action.MANAGE_SPACES),
    "space.remove": Operation(SpaceNamed, spaces.remove, Action.MANAGE_SPACES),
    "pairing.list": Operation(Nothing, pairings.listed, Action.MANAGE_PAIRINGS),
    "pairing.approve": Operation(PairingApprove, pairings.approve, Action.MANAGE_PAIRINGS),
    "pairing.reject": Operation(PairingReject, pairings.reject, Action.MANAGE_PAIRINGS),
    "channel.list": Operation(Nothing, channels.listed, Action.READ_HOUSE),
    "channel.deadLetters": Operation(DeadLetterList, channels.dead_letters, Action.READ_HOUSE),
    "channel.retry": Operation(DeadLetterRetry, channels.retry, Action.RETRY_DELIVERY),
    "check.database": Operation(Nothing, checks.database, Action.READ_HOUSE),
    "check.configuration": Operation(Nothing, checks.configuration, Action.READ_HOUSE),
    "usage.sum": Operation(UsageAsk, usage.summed, Action.READ_ALL_USAGE),
    "audit.list": Operation(AuditList, log.listed, Action.READ_LOG),
    "audit.verify": Operation(Nothing, log.verify, Action.READ_LOG),
    "check.audit": Operation(Nothing, checks.audit_trail, Action.READ_LOG),
    "check.models": Operation(Nothing, checks.models, Action.READ_HOUSE),
    "check.sealed": Operation(Nothing, sealed_keys.check, Action.READ_HOUSE),
    "check.brain": Operation(AgentNamed, checks.brain, Action.CHECK_AGENT),
    "brain.reindex": Operation(AgentNamed, checks.reindex, Action.CHECK_AGENT),
}

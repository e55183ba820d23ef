"""Where a request may go that a person, a model, a message or a page named; before anything is looked up.

An address is read once, by the parser of the client that will use it: what is checked is what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from yarl import URL

from rookery.outbound.addresses import why_not, why_not_name

LONGEST_URL = 8192
"""In characters."""


class Blocked(ConnectionRefusedError):
    """The address is not one that may be asked; the message is for the person who named it.

    It names nothing that the person did not write themselves: no address a name leads to, and whether a name of
    an inner network exists reads like a name that does not.
    """


@dataclass(frozen=True, slots=True)
class Asking:
    """One request as it is sent; a redirect makes another of it.

    `secrets` are headers that only the first origin may see.
    """

    method: str
    target: URL
    headers: Mapping[str, str]
    secrets: Mapping[str, str]
    body: bytes | None

    def redirected(self, status: int, location: str) -> Asking:
        """The request that follows a redirect, checked like the first.

        Another origin gets no credentials, and never gets them back. Raises `Blocked`, also for a step down
        from https, and when the body would have to be sent to another origin.
        """
        target = checked(location, base=self.target)
        if self.target.scheme == "https" and target.scheme != "https":
            raise Blocked("It sends us on from https to http, where others could read along.")
        asking = replace(self, target=target)
        if (status in (301, 302) and self.method == "POST") or (status == 303 and self.method != "HEAD"):
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_A_BODY}
            asking = replace(asking, method="GET", body=None, headers=headers)
        if _origin(target) == _origin(self.target):
            return asking
        if asking.body is not None:
            raise Blocked("It wants what was sent to be sent on to another server.")
        headers = {name: value for name, value in asking.headers.items() if name.lower() not in _CREDENTIALS}
        return replace(asking, headers=headers, secrets={})


def checked(url: str, *, base: URL | None = None) -> URL:
    """Read an address and make sure that it may be asked, as far as that shows before its name is looked up.

    `base` is what a relative address is relative to. Raises `Blocked`.
    """
    if len(url) > LONGEST_URL:
        raise Blocked(f"The address is longer than {LONGEST_URL} characters.")
    url = url.strip(" ")
    if _UNWRITABLE.search(url):
        raise Blocked("The address holds characters that no address may hold.")
    try:
        target = URL(url) if base is None else base.join(URL(url))
        host, port = target.raw_host, target.port
    except (ValueError, TypeError) as error:
        raise Blocked("This is not a web address.") from error
    if target.scheme not in ("http", "https"):
        raise Blocked("Only http and https addresses can be asked.")
    if not host or port is None:
        raise Blocked("The address names no host.")
    if target.raw_user is not None or target.raw_password is not None or "@" in _authority(url):
        raise Blocked("The address holds a user name or a password; give it without.")
    _check_host(host, bracketed="[" in target.raw_authority)
    if port in _NOT_THE_WEB:
        raise Blocked(f"Port {port} is for another service than the web.")
    return target.with_fragment(None)


def _check_host(host: str, *, bracketed: bool) -> None:
    if bracketed:
        try:
            address = str(IPv6Address(host))
        except ValueError as error:
            raise Blocked("The address in brackets is not an IPv6 address.") from error
        _check_address(address)
    elif _ENDS_IN_A_NUMBER.search(host):
        # Resolvers read 0x7f.1, 2130706433 or 0177.0.0.1 as addresses too; there is no honest use for them.
        try:
            address = str(IPv4Address(host))
        except ValueError as error:
            raise Blocked("An IPv4 address is written as four decimal numbers, such as 192.0.2.1.") from error
        _check_address(address)
    elif not _NAME.fullmatch(host):
        raise Blocked("The host's name holds characters that no name may hold.")
    elif (what := why_not_name(host)) is not None:
        raise Blocked(f"{host!r} is {what}, which cannot be asked.")


def _check_address(address: str) -> None:
    what = why_not(address)
    if what is not None:
        raise Blocked("This address is not on the public internet.")


def _authority(url: str) -> str:
    """What stands between the two slashes and the path, as it was written."""
    match = _AUTHORITY.match(url)
    return match["authority"] if match is not None else ""


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port


_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?P<authority>[^/?#]*)")
_NAME = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_ENDS_IN_A_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?\Z")

_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})
_OF_A_BODY = frozenset({"content-type", "content-encoding", "content-language", "content-location"})

# The ports that browsers refuse (fetch.spec.whatwg.org, "bad port"), and the databases they forgot.
_NOT_THE_WEB = frozenset(
    {0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104}
    | {109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515}
    | {526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049}
    | {3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}
    | {1433, 1521, 2375, 2376, 2379, 2380, 3306, 3389, 5432, 5900, 6379, 11211, 27017}
)

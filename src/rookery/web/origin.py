"""Where a request comes from and what it was sent to: host names, proxies, and pages of other people's."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from rookery.web.asgi import Scope

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Seen(Struct, frozen=True):
    """A request as it was made: the address of who made it, and the origin it was sent to."""

    source: str
    scheme: str
    origin: str


class Origins:
    """What `gateway.publicUrl`, `allowedHosts` and `trustedProxies` say."""

    def __init__(
        self, *, public_url: str | None, allowed_hosts: Iterable[str], trusted_proxies: Iterable[str] = ()
    ) -> None:
        public = None if public_url is None else urlsplit(public_url)
        self._public = None if public is None else f"{public.scheme}://{public.netloc}".lower()
        self._hosts = {"localhost", *(host.lower() for host in allowed_hosts)}
        if public is not None and public.hostname is not None:
            self._hosts.add(public.hostname)
        self._proxies = [ipaddress.ip_network(proxy) for proxy in trusted_proxies]

    def knows_host(self, host: str) -> bool:
        """Whether we go by this `Host`. A page of somebody else's that had its name point here (DNS rebinding)
        is not served."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:  # brackets around what is no address
            return False
        if name is None:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def see(self, scope: Scope, headers: Mapping[str, str]) -> Seen:
        """What a request says of its way here. Forwarding headers are believed of `trustedProxies` alone."""
        client = scope.get("client")
        source = client[0] if client else ""
        scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
        if self._is_proxy(source):
            scheme = "https" if headers.get("x-forwarded-proto", "").strip().lower() == "https" else scheme
            source = self._behind_proxies(source, headers.get("x-forwarded-for", ""))
        host = headers.get("host", "").lower()
        if self._public is not None and host == urlsplit(self._public).netloc:
            scheme = "https" if self._public.startswith("https:") else "http"
        return Seen(source, scheme, f"{scheme}://{host}")

    def is_ours(self, seen: Seen, origin: str | None) -> bool:
        """Whether an `Origin` header names the page that we serve ourselves."""
        return origin is not None and origin.lower() in {seen.origin, self._public}

    def _is_proxy(self, source: str) -> bool:
        try:
            address = ipaddress.ip_address(source)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)

    def _behind_proxies(self, source: str, forwarded: str) -> str:
        """The nearest address that is no proxy of ours: what stands further left anybody can write."""
        for hop in reversed([hop.strip() for hop in forwarded.split(",") if hop.strip()]):
            try:
                ipaddress.ip_address(hop)
            except ValueError:
                return source
            source = hop
            if not self._is_proxy(hop):
                return source
        return source

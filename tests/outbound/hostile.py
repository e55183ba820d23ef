"""What must never be connected to, in every spelling we know of, and what must not be refused by mistake."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

BAD_4 = (
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
)

BAD_6 = (
    "::",
    "::1",
    "::ffff:0:0",
    "64:ff9b:1::808:808",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:db8::1",
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff::1",
    "5f00::1",
    "4000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
)

BAD_NAMES = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "ⓛocalhost",
    "ｌｏｃａｌｈｏｓｔ",
    "sub.localhost",
    "localhost.localdomain",
    "printer.local",
    "db.internal",
    "router.home.arpa",
    "x.onion",
    "intranet",
    "metadata",
    "metadata.google.internal",
    "metadata.google.internal.",
    "METADATA.GOOGLE.INTERNAL",
    "metadata。google。internal",
    "metadata.goog",
    "instance-data",
    "metadata.tencentyun.com",
    "kubernetes.default.svc.cluster.local",
)

TRICKS = (
    "http://good.example@127.0.0.1/",
    "http://good.example:80@127.0.0.1/",
    "http://@127.0.0.1/",
    "http://127.0.0.1@good.example/",
    "http://user:secret@good.example/",
    "http://good.example\\@127.0.0.1/",
    "http://127.0.0.1\\.good.example/",
    "http://127.0.0.1\t/",
    "http://127.0.\n0.1/",
    "http://127.0.0.1\x00.good.example/",
    "http://1.1.1.1 &@127.0.0.1# @good.example/",
    "http://127.0.0.1#@good.example/",
    "http://127.0.0.1?@good.example/",
    "http://127.0.0.1:80:80/",
    "http://127.0.0.1%00/",
    "http://127.0.0.1%2f@good.example/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%2e/",
    "http://[127.0.0.1]/",
    "http://[::1]good.example/",
    "http://[::1%25lo]/",
    "http://[fe80::1%25eth0]/",
    "http://[2606:4700::1111%25eth0]/",
    "http://[v1.127.0.0.1]/",
    "http://[::ffff:127.0.0.1%25lo]/",
    "http:/127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "//127.0.0.1/",
    "127.0.0.1",
    "",
    "file:///etc/passwd",
    "ftp://good.example/",
    "gopher://127.0.0.1:6379/_INFO",
    "data:text/plain,x",
    "javascript:alert(1)",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "ws://good.example/",
    "tcp://good.example/",
    "http://good.example:0/",
    "http://good.example:22/",
    "http://good.example:25/",
    "http://good.example:6379/",
    "http://good.example:99999/",
    "http://good.example:-80/",
    "http://good.ex ample/",
    "http://good..example/",
    "http://" + "a" * 64 + ".example/",
    "http://good.example/" + "a" * 9000,
)
"""Whole addresses; `good.example` is a public name, so a connection to it would be just as wrong here."""

GOOD_4 = [
    "1.1.1.1",
    "1.0.0.1",
    "8.8.8.8",
    "8.8.4.4",
    "9.9.9.9",
    "5.9.49.12",
    "11.0.0.1",
    "9.255.255.255",
    "100.63.255.255",
    "100.128.0.1",
    "101.0.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "128.101.101.101",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "172.217.16.142",
    "191.255.255.255",
    "192.0.1.1",
    "192.0.3.1",
    "192.1.0.1",
    "192.167.255.255",
    "192.169.0.1",
    "193.0.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "198.51.99.255",
    "198.51.101.1",
    "203.0.112.255",
    "203.0.114.1",
    "208.67.222.222",
    "216.58.212.206",
    "223.255.255.254",
    "185.199.108.153",
    "140.82.121.4",
    "151.101.1.69",
    "104.16.132.229",
    "13.107.42.14",
    "17.253.144.10",
    "31.13.71.36",
    "34.107.221.82",
    "52.216.1.1",
    "54.239.28.85",
    "91.189.91.48",
    "95.216.1.1",
    "99.84.1.1",
]

GOOD_6 = [
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "2620:fe::fe",
    "2a00:1450:4001:80b::200e",
    "2a01:4f8::1",
    "2a02:26f0::1",
    "2a03:2880:f12d:83:face:b00c:0:25de",
    "2a04:4e42::81",
    "2001:200::1",
    "2001:67c:2e8:22::c100:68b",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2003::1",
    "2400:cb00:2048:1::c629:d7a2",
    "2600:1f18::1",
    "2602:fed2::1",
    "2604:a880::1",
    "2607:f8b0:4004:800::200e",
    "2610:20::1",
    "2620:0:2d0:200::7",
    "2620:1ec:c11::200",
    "2800:3f0::1",
    "2801::1",
    "2803:f800::1",
    "2804::1",
    "2a0c:b641::1",
    "2a10:cc40::1",
    "2c0f:fb50::1",
    "2401:db00::1",
    "2402:1f00::1",
    "2403:300::1",
    "2404:6800:4001:80b::200e",
    "2405:b500::1",
    "2406:da00::1",
    "2407::1",
    "2408:4000::1",
    "240e::1",
    "2409:8000::1",
    "64:ff9b::808:808",
    "64:ff9b::101:101",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
    "2a00::5efe:808:808",
]

GOOD_NAMES = [
    "good.example",
    "www.python.org",
    "xn--mnchen-3ya.example",
    "münchen.example",
    "例え.example",
    "a-b.example",
    "a_b.example",
    "good.example.",
    "GOOD.example",
    "localhost.example.com",
    "local.example",
    "internal.example",
    "metadata.example.org",
    "127.0.0.1.nip.example",
    "1password.example",
    "0x7f.example",
    "3com.example",
    "x.co",
    "example.com",
]


def spellings_of(address: str) -> Iterator[str]:
    """Hosts that some parser, resolver or kernel takes for this IPv4 address."""
    parts = address.split(".")
    a, b, c, d = map(int, parts)
    number = int(IPv4Address(address))
    yield address
    yield f"{address}."
    yield str(number)
    yield f"0x{number:08x}"
    yield f"0X{number:X}"
    yield f"0{number:o}"
    yield ".".join(f"0x{int(part):x}" for part in parts)
    yield ".".join(f"0{int(part):o}" for part in parts)
    yield ".".join(f"{int(part):04o}" for part in parts)
    yield f"{a}.{(b << 16) + (c << 8) + d}"
    yield f"{a}.{b}.{(c << 8) + d}"
    yield f"0x{a:x}.{b}.0{c:o}.{d}"
    yield address.replace(".", "。")
    yield address.replace(".", "．")
    yield address.translate({48 + digit: 0xFF10 + digit for digit in range(10)})
    yield address.translate({49 + digit: 0x2460 + digit for digit in range(9)})
    yield from (f"[{wrapped}]" for wrapped in wrappings_of(address))


def wrappings_of(address: str) -> Iterator[str]:
    """IPv6 addresses that carry this IPv4 address."""
    number = int(IPv4Address(address))
    yield str(IPv6Address((0xFFFF << 32) | number))  # mapped
    yield f"::ffff:{address}"
    yield f"0:0:0:0:0:FFFF:{address}"
    yield f"::{address}"  # compatible
    yield str(IPv6Address((0xFFFF << 48) | number))  # translated (SIIT)
    yield str(IPv6Address((0x64FF9B << 96) | number))  # NAT64
    yield f"64:ff9b::{address}"
    yield str(IPv6Address((0x64FF9B0001 << 80) | number))  # local NAT64
    yield str(IPv6Address((0x2002 << 112) | (number << 80) | 1))  # 6to4
    yield str(IPv6Address((0x20010000 << 96) | (0x08080808 << 64) | (number ^ 0xFFFFFFFF)))  # Teredo, client
    yield str(IPv6Address((0x20010000 << 96) | (number << 64) | (0x08080808 ^ 0xFFFFFFFF)))  # Teredo, server
    yield str(IPv6Address((0x2A00 << 112) | (0x00005EFE << 32) | number))  # ISATAP
    yield str(IPv6Address((0x2A00 << 112) | (0x02005EFE << 32) | number))


def bad_urls() -> list[str]:
    """Every hostile address as a URL; none of them may lead to a connection."""
    hosts = [spelling for address in BAD_4 for spelling in spellings_of(address)]
    hosts += [f"[{address}]" for address in BAD_6]
    hosts += BAD_NAMES
    return [*(f"http://{host}/" for host in hosts), *TRICKS]


def bad_answers() -> list[str]:
    """Every hostile address as a name server may give it."""
    return [*BAD_4, *(wrapped for address in BAD_4 for wrapped in wrappings_of(address)), *BAD_6]

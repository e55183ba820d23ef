"""A channel is found by its name, and imported only when somebody wants it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rookery.channels import registry, terminal, webchat
from rookery.channels.webhook import channel as webhook
from rookery.errors import ConfigError

Install = Callable[[str, dict[str, str]], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with these entry points, for the length of one test."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    known = set(sys.modules)

    def install(package: str, points: dict[str, str]) -> None:
        (tmp_path / f"{package}.py").write_text("wings = 2\n\n\ndef create(accounts, needs): ...\n")
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {target}\n" for name, target in points.items())
        (metadata / "entry_points.txt").write_text(f"[rookery.channels]\n{lines}")

    yield install
    for name in set(sys.modules) - known:
        del sys.modules[name]


def test_our_own_channels_are_there():
    """Each under the name it bears itself."""
    assert registry.find("webhook") is webhook.create
    assert registry.find("terminal") is terminal.create
    assert registry.find("webchat") is webchat.create
    assert {"terminal", "webchat", "webhook"} <= set(registry.names())


def test_no_channel_is_imported_before_it_is_wanted():
    """The start pays for what is configured and for nothing else."""
    program = """
import sys
from rookery.channels import registry
registry.names()
loaded = {name for name in sys.modules if name.startswith("rookery.channels.")}
assert loaded == {"rookery.channels.contract", "rookery.channels.registry"}, loaded
assert registry.find("terminal").__module__ == "rookery.channels.terminal"
assert not any("webhook" in name or name.startswith(("aiohttp", "pytest")) for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_channel_is_named_with_the_nearest():
    """A slip of the pen is mended by reading the error."""
    with pytest.raises(ConfigError, match="There is no channel 'webhok'; did you mean 'webhook'"):
        registry.find("webhok")
    with pytest.raises(ConfigError, match=r"There is no channel 'pigeon'; there are terminal, webchat, webhook\."):
        registry.find("pigeon")


def test_a_package_brings_a_channel_by_an_entry_point(install: Install):
    """Ours keep their names, and a name is no name when it does not fit."""
    create = "pigeons:create"
    install("pigeons", {"pigeon": create, "webhook": create, "Odd-Name": create})

    assert registry.find("pigeon").__module__ == "pigeons"
    assert registry.find("webhook") is webhook.create
    assert registry.names() == ("pigeon", "terminal", "webchat", "webhook")


def test_two_packages_with_one_name_are_both_named(install: Install):
    """Which one is meant is not guessed."""
    install("pigeons", {"pigeon": "pigeons:create"})
    install("doves", {"pigeon": "doves:create"})

    with pytest.raises(ConfigError, match=r"claimed by several packages \(doves, pigeons\)"):
        registry.find("pigeon")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere:create", "No module named 'nowhere'"),
        ("pigeons:absent", "absent"),
        ("pigeons:wings", "which cannot create a channel"),
    ],
)
def test_a_channel_that_cannot_be_loaded_says_why(install: Install, place: str, told: str):
    """The operator installs what is missing or removes the key."""
    install("pigeons", {"pigeon": place})

    with pytest.raises(ConfigError, match="'pigeon'") as caught:
        registry.find("pigeon")
    assert told in caught.value.detail

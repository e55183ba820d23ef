"""What the people file can say: every key of a person and of a friend."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from rookery.config.addresses import WrittenAddress
from rookery.config.fields import ListOf, ModelName, Text, UserName
from rookery.config.people_fields import (
    ChatAddress,
    ExactUsd,
    MailAddress,
    Password,
    PasswordHash,
    PhoneAddress,
    Tokens,
    Words,
)
from rookery.config.section import Section
from rookery.messages.permission import Permission


class Role(StrEnum):
    """What a person may do for others."""

    MEMBER = "member"
    ADMIN = "admin"


class PersonBudget(Section):
    """What one person may spend; what is left out has no limit."""

    per_day_usd: ExactUsd | None = Field(default=None, description="US dollars a day; null: no limit.")
    per_month_usd: ExactUsd | None = Field(default=None, description="US dollars a month; null: no limit.")
    per_day_tokens: Tokens | None = Field(default=None, description="Tokens a day; null: no limit.")


class Who(Section):
    """Who a friend is, in words for the model."""

    gender: Words | None = Field(default=None, description="Such as female.")
    roles: ListOf[Words] = Field(default=(), description="What it is to the person, such as [friend, coach].")
    personalities: ListOf[Words] = Field(default=(), description="What it is like, such as [gentle, witty].")
    language: Words | None = Field(default=None, description="The language it answers in, as a BCP 47 tag.")
    response_length: Words | None = Field(
        default=None, description="How long its answers are: short, medium, long."
    )
    description: Text | None = Field(default=None, description="Anything else, in a few sentences.")


class Friend(Section):
    """An assistant of a person's own, beside their main one."""

    name: Words = Field(description="What it is called.")
    id: Text | None = Field(
        default=None, description="Its id, which stays: letters, digits, - and _; null: taken from the name."
    )
    relation: Words | None = Field(default=None, description="What it is to the person, in a word or two.")
    who: Who | None = Field(default=None, description="Who it is.")
    persona: Text | None = Field(default=None, description="Who it is, in instructions to the model.")
    identity: Text | None = Field(
        default=None,
        description="A text file, relative to this file, that is copied into the friend's workspace once.",
    )
    model: ModelName | None = Field(default=None, description="Its model, as provider/model; null: as it is.")
    skills: tuple[Text, ...] | None = Field(default=None, description="The skills it has; null: as it is.")


class Person(Section):
    """One person. What is left out stays as it is for somebody who is there already."""

    id: UserName = Field(description="The person's id, which stays; unique regardless of case.")
    name: Words | None = Field(default=None, description="The name people see; at first the id.")
    role: Role | None = Field(
        default=None,
        description="What they may do for others; null: as it is, or member where this file had said it.",
    )
    timezone: Words | None = Field(default=None, description="An IANA name, such as Europe/Madrid; at first UTC.")
    language: Words | None = Field(default=None, description="A BCP 47 tag, such as es; at first en.")
    username: Text | None = Field(default=None, description="The name to log in by, which is the id.")
    password_hash: PasswordHash | None = Field(default=None, description="An Argon2id hash of their password.")
    password: Password | None = Field(
        default=None, description="A first password, taken once and to be changed; passwordHash is better."
    )
    email: ListOf[MailAddress] = Field(default=(), description="Mail addresses; [] is none.")
    im: ListOf[ChatAddress] = Field(
        default=(), description="Addresses on chat networks, channel[@account]:sender."
    )
    phone: ListOf[PhoneAddress] = Field(default=(), description="Telephone numbers, sms:+… and voice:+….")
    permissions: tuple[Permission, ...] | None = Field(
        default=None, description="The kinds of channel they may use; [] is none, left out: all."
    )
    model: ModelName | None = Field(default=None, description="The model of their main agent, as provider/model.")
    skills: tuple[Text, ...] | None = Field(default=None, description="The skills of their main agent.")
    budget: PersonBudget | None = Field(default=None, description="What they may spend.")
    friends: ListOf[Friend] = Field(default=(), description="Further assistants of their own.")

    @property
    def addresses(self) -> tuple[WrittenAddress, ...]:
        """All of their addresses, in the order of the file."""
        return (*self.email, *self.im, *self.phone)


class People(Section):
    """A whole people file."""

    users: ListOf[Person] = Field(default=(), description="The people.")

"""The smallest organism: a greeting comes in, an answer goes out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Greeting:
    """Somebody wants to be greeted."""

    name: str


@dataclass
class Greeted:
    """What we said."""

    text: str


async def greet(greeting: Greeting) -> Greeted:
    """Greet back."""
    return Greeted(f"Hello, {greeting.name}!")

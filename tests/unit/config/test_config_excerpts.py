"""The lines that findings show: at the right place, and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from xpipe.config.loading import check_definition
from xpipe.core.secrets import is_secret_name, redacted, redacted_line

HEAD = "organism: x\nlisteners:\n  - {name: a, handler: handlers.greet}\n"


def excerpts(folder: Path, text: str) -> list[str]:
    """Each excerpt with a mark where its caret is."""
    (folder / "organism.yaml").write_text(text)
    _, findings = check_definition("organism.yaml", {}, imports=False)
    shown = [finding.excerpt for finding in findings]
    return ["" if one is None else f"{one.text[: one.caret]}^{one.text[one.caret :]}" for one in shown]


def test_the_caret_stands_before_what_is_wrong(folder: Path) -> None:
    text = f"{HEAD}limits: {{hops: ~, depth: many}}\r\nprocess_pool: {{wörkers: 世}}\n"
    assert excerpts(folder, text) == ["limits: {hops: ~, depth: ^many}", "process_pool: {^wörkers: 世}"]


def test_there_is_none_where_there_is_no_line(folder: Path) -> None:
    assert excerpts(folder, "") == [""]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("backend: {type: rdis, redis_url: 'redis://:hush@h:1/0'}", "backend: {type: ^rdis, redis_url: ***}"),
        ("backend: {redis_url: 'redis://:hush@h', typ: redis}", "backend: {redis_url: ***, ^typ: redis}"),
        ("backend: {redis_ulr: 'redis://u:hush@h/0'}", "backend: {^redis_ulr: 'redis://***@h/0'}"),
        ("backend:\n  manager_authkey: [hush, hush]", "  manager_authkey: ^***"),
        ("backend:\n  manager_authkey:\n    - hush", "    ^***"),
        ("backend:\n  manager_autkey:\n    hush", "  ^manager_autkey:"),
        ('backend:\n  manager_authkey: "hush', "  manager_authkey: ^***"),
        ("backend: {redis_pasword: hush}", "backend: {^redis_pasword: ***"),
        ("backend: {manager_key: hush, pth: a}", "backend: {^manager_key: ***"),
    ],
)
def test_secrets_are_masked_and_the_caret_stays_right(folder: Path, line: str, shown: str) -> None:
    found = excerpts(folder, f"{HEAD}{line}\n")
    assert shown in found
    assert "hush" not in "".join(found)


@pytest.mark.parametrize(
    "line", ["backend: {^pth: state.db}", "backend: {^retntion: 5m}", "backend: {^synchronous: full, path: a}"]
)
def test_the_value_of_an_unknown_key_that_is_no_secret_is_shown(folder: Path, line: str) -> None:
    assert line in excerpts(folder, f"{HEAD}{line.replace('^', '')}\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://me:hush@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:hu@s/h@host/0", "redis://***@host/0"),
        ("https://host/?user=me&token=hush&x=1", "https://host/?user=me&token=***&x=1"),
        ("https://host:80/path", "https://host:80/path"),
        ("mail me@host", "mail me@host"),
        ("/folder/redis:/me:hush@host/x", "/folder/redis:/***@host/x"),
        ("/folder/redis:/me@host/x, C:/a@b, f:/x:1", "/folder/redis:/me@host/x, C:/a@b, f:/x:1"),
    ],
)
def test_urls_lose_their_passwords(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_values_are_secret_by_the_names_before_them() -> None:
    assert redacted_line("api_token: a b, c") == "api_token: ***"
    assert redacted_line("{password: 'it''s', name: x}") == "{password: ***, name: x}"
    assert redacted_line("max_tokens: 5") == "max_tokens: 5"


def test_names_tell_what_is_secret() -> None:
    named = ("API_TOKEN", "password", "DB_PASS", "apiKey", "manager_authkey", "client-secret")
    assert all(map(is_secret_name, named))
    assert not any(map(is_secret_name, ("tokenizer", "compass", "passengers", "key", "secretary")))

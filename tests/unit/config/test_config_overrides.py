"""`--set PATH=VALUE`: where a value goes, and what is told when it cannot go there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xpipe.config.loading import check_definition
from xpipe.core.organism import OrganismDefinition
from xpipe.core.payloads import SequenceStep

ORGANISM = """\
organism: x
backend: redis
listeners:
  - {name: a.b, handler: handlers.greet}
  - {name: a, handler: handlers.greet, timeout: 5s}
  - {name: s, sequence: [a, {step: a.b}]}
  - {name: p, handler: handlers.plain, <<: &shared {retry: {max_attempts: 3, jitter: 0}}}
  - {name: q, handler: handlers.plain, <<: *shared}
messages:
  - {to: a, payload: {name: "${WHO:-Ada}", list: [1, {n: 2}]}}
"""


@pytest.fixture(autouse=True)
def file(folder: Path) -> Path:
    (folder / "organism.yaml").write_text(ORGANISM)
    return folder


def given(*overrides: str) -> OrganismDefinition:
    definition, findings = check_definition("organism.yaml", {}, overrides=overrides)
    assert definition is not None, findings
    return definition


def told(*overrides: str) -> list[str]:
    definition, findings = check_definition("organism.yaml", {}, overrides=overrides)
    assert definition is None
    return [str(finding) for finding in findings]


def by_name(definition: OrganismDefinition) -> dict[str, Any]:
    return {listener.name: listener for listener in definition.listeners}


def test_a_value_goes_into_a_section_that_the_file_has_not() -> None:
    assert given("limits.hops=3").limits.hops == 3


def test_a_listener_goes_by_its_name_and_of_two_names_the_longest_counts() -> None:
    listeners = by_name(given("listeners.a.concurrency=4", "listeners.a.b.timeout=250ms"))
    assert (listeners["a"].concurrency, listeners["a"].timeout) == (4, 5.0)
    assert (listeners["a.b"].concurrency, listeners["a.b"].timeout) == (None, 0.25)


def test_an_entry_goes_by_its_number_too() -> None:
    assert by_name(given("listeners.1.timeout=7"))["a"].timeout == 7.0


def test_a_short_form_is_spelt_out_where_more_is_said() -> None:
    backend = given("backend.redis_prefix='p:'").backend
    assert (backend.type, backend.options) == ("redis", {"redis_prefix": "p:"})
    steps = by_name(given("listeners.s.sequence.a.timeout=1s", "listeners.s.sequence.a.b.retry=2"))["s"].sequence
    assert (steps[0], steps[1].retry.max_attempts) == (SequenceStep("a", 1.0), 2)


def test_a_value_is_yaml_and_its_variables_are_not_replaced() -> None:
    (message,) = given("messages.0.payload={name: '${WHO}', n: 3}").messages
    assert message.payload == {"name": "${WHO}", "n": 3}


def test_a_value_goes_deep_into_a_payload() -> None:
    (message,) = given("messages.0.payload.list.1.n=5", "messages.0.payload.new.key=[1]").messages
    assert message.payload == {"name": "Ada", "list": [1, {"n": 5}], "new": {"key": [1]}}


def test_no_value_takes_the_key_away() -> None:
    assert by_name(given("listeners.a.timeout="))["a"].timeout == 30.0


def test_the_last_of_two_counts() -> None:
    assert given("limits.hops=3", "limits.hops=4").limits.hops == 4


def test_what_is_shared_by_an_anchor_changes_only_where_it_is_meant() -> None:
    listeners = by_name(given("listeners.q.retry.max_attempts=9"))
    assert [listeners[name].retry.max_attempts for name in "pq"] == [3, 9]


TOLD = {
    "listeners.a.concurency=4": 'error[unknown-key]: A listener has no key "concurency". Did you mean "concurrency"?',
    "limts.hops=3": 'error[unknown-key]: An organism file has no key "limts". Did you mean "limits"?',
    "limits.hops=many": 'error[wrong-type]: hops must be a whole number of at least 1, not "many". '
    "Write 1 or more, or leave hops out for 10000.",
    "listeners.c.timeout=3": 'error[unknown-path]: listeners has no entry "c". '
    "Give a.b, a, s, p, q or a number from 0 to 4.",
    "listeners.s.sequence.aa.timeout=3": 'error[unknown-path]: sequence has no entry "aa". Did you mean "a"?',
    "messages.1.to=a": 'error[unknown-path]: messages has no entry "1". Give the number 0.',
    "messages.0.payload.list.7=a": 'error[unknown-path]: The list has no item "7". Give a number from 0 to 1.',
    "messages.0.payload.name.first=A": "error[unknown-path]: "
    "The path goes on where the file has text, which has nothing inside.",
    "limits..hops=3": "error[unknown-path]: The path has an empty part. "
    "Write keys and names joined by dots, then = and the value.",
    "limits.hops.x=3": "error[wrong-type]: hops must be a whole number of at least 1, not a mapping. "
    "Write 1 or more, or leave hops out for 10000.",
    "backend.redis_prefix=demo:": "error[wrong-type]: redis_prefix must be text, not a mapping. A colon at the end or "
    "before a space makes a mapping; put text with one in quotes, inside those of the shell: 'PATH=\"VALUE\"'.",
    "listeners.a.peers=[nobody]": 'error[unknown-peer]: The peer "nobody" is no listener or broadcast group '
    "of this organism. There are: a.b, a, s, p, q, system.buffer, system.sequence.",
    "listeners.a.handler=": "error[missing-value]: handler has no value. Write package.module.name or file.py:name.",
    "limits={hops: 1, hops: 2}": 'error[duplicate-key]: The key "hops" stands twice in this mapping; '
    "the first one is at line 1, column 2. Keep one of them.",
    "limits=[1": "error[yaml-syntax]: A list or mapping in brackets is not closed. "
    "Close it, or separate its parts with commas.",
}


@pytest.mark.parametrize("override", TOLD)
def test_what_is_wrong_is_told_as_for_the_file_with_the_option_as_its_place(override: str) -> None:
    assert told(override) == [f"--set {override}: {TOLD[override]}"]


def test_a_duplicate_that_it_makes_is_told_with_both_places() -> None:
    assert told("listeners.q.name=p") == [
        '--set listeners.q.name=p: error[duplicate-listener]: The listener "p" is declared twice; '
        "the first is at line 7, column 12. Rename one of them."
    ]


def test_what_a_line_of_the_file_tells_of_is_about_the_option_that_made_it_wrong() -> None:
    assert told("listeners.a.name=b") == [
        '--set listeners.a.name=b: error[unknown-target]: The step "a" is no listener or broadcast group of this '
        "organism (organism.yaml:6:26). There are: a.b, b, s, p, q, system.buffer, system.sequence.",
        '--set listeners.a.name=b: error[unknown-target]: The target "a" is no listener or broadcast group of this '
        "organism (organism.yaml:10:10). There are: a.b, b, s, p, q, system.buffer, system.sequence.",
    ]


def test_what_is_wrong_without_the_option_stays_at_its_line(folder: Path) -> None:
    (folder / "organism.yaml").write_text(ORGANISM.replace("timeout: 5s", "timeout: soon"))
    [about_set, about_file] = told("listeners.p.name=q")
    assert about_set.startswith("--set listeners.p.name=q: error[duplicate-listener]: ")
    assert about_file.startswith("organism.yaml:5:49: error[wrong-value]: ")


def test_several_are_told_of_in_the_order_in_which_they_were_given() -> None:
    options = ("listeners.zz.timeout=1", "limits.hops=many", "backend.nope=1")
    assert [one.partition(":")[0] for one in told(*options)] == [f"--set {one}" for one in options]


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("backend.redis_url=5", "backend.redis_url=***"),
        ("backend.manager_authkey=[hush]", "backend.manager_authkey=***"),
        ("backend.manager_autkey=hush", "backend.manager_autkey=***"),
        ("backend.pth=a.db", "backend.pth=a.db"),
        ("backend.redis_ulr=redis://me:hush@h/0", "backend.redis_ulr=redis://***@h/0"),
        ("backend={type: redis, redis_url: 'redis://:hush@h', x: 1}", "backend={type: redis, redis_url: ***, x: 1}"),
        ("messages.0.nope={password: hush}", "messages.0.nope={password: ***}"),
    ],
)
def test_a_secret_in_the_option_is_not_told(override: str, shown: str) -> None:
    found = told(override)
    assert found[0].startswith(f"--set {shown}: ")
    assert "hush" not in "".join(found)


def test_a_variable_whose_place_is_taken_need_not_be_set(folder: Path) -> None:
    unset = "- {name: b, handler: handlers.greet, timeout: &t '${UNSET}', retry: {backoff: *t, jitter: '${'}}\n"
    (folder / "organism.yaml").write_text(f"organism: x\nlisteners:\n{unset}")

    listeners = by_name(given("listeners.b.timeout=7", "listeners.b.retry={max_attempts: 2}"))
    assert (listeners["b"].timeout, listeners["b"].retry.max_attempts) == (7.0, 2)
    assert by_name(given("listeners.0={name: c, handler: handlers.greet}")).keys() == {"c"}
    assert [one.split(": ")[1] for one in told("listeners.b.timeout=7")] == [
        "error[unset-variable]",  # The alias stands where nothing has taken its place.
        "error[bad-variable]",
    ]


def test_the_syntax_of_the_file_comes_first(folder: Path) -> None:
    (folder / "organism.yaml").write_text("organism: x\nlimits: {hops: 1\nlisteners:\n")
    assert [one.split(": ")[1] for one in told("listeners.a.timeout=3")] == ["error[yaml-syntax]"]

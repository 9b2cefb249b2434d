"""What is wrong with names across listeners: where it stands, and every word of it."""

from __future__ import annotations

import pytest

HEAD = "organism: x\nlisteners:\n  - name: a\n    handler: handlers.greet\n"

CASES: dict[str, tuple[str, list[str]]] = {}


def case(name: str, text: str, *expected: str) -> None:
    CASES[name] = (text, list(expected))


case(
    "a reserved name",
    HEAD.replace("name: a", "name: system.a"),
    '3:11: error[reserved-name]: The listener name "system.a" is reserved: names below system belong to xpipe. '
    "Begin it with another word.",
)
case(
    "a name with a line break",
    HEAD.replace("name: a", r'name: "a\nb"'),
    r'3:11: error[bad-name]: The name "a\nb" must have no spaces at its ends, '
    r"no control characters and at most 200 characters. Write letters, digits, - and _, with dots between parts.",
)
case(
    "a name with spaces at its ends",
    HEAD.replace("organism: x", "organism: ' x '"),
    '1:11: error[bad-name]: The name " x " must have no spaces at its ends, '
    "no control characters and at most 200 characters. Write letters, digits, - and _, with dots between parts.",
)
case(
    "a duplicate listener",
    HEAD + "  - name: a\n    handler: handlers.plain",
    '5:11: error[duplicate-listener]: The listener "a" is declared twice; the first is at line 3, column 11. '
    "Rename one of them.",
)
case(
    "an unknown peer",
    HEAD.replace("name: a", "name: greeter") + "    peers: [greter, system.buffer]",
    "5:13: error[unknown-peer]: "
    'The peer "greter" is no listener or broadcast group of this organism. Did you mean "greeter"?',
)
case(
    "a peer whose listener is broken",
    HEAD + "    peers: [b]\n  - {name: b, handler: handlers.greet, timeout: x}",
    '6:49: error[wrong-value]: timeout must be a duration such as 30s, not "x". '
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "an unknown target",
    HEAD + "messages:\n  - {to: zebra, payload: {name: Ada}}",
    '6:10: error[unknown-target]: The target "zebra" is no listener or broadcast group of this organism. '
    "There are: a, system.buffer, system.sequence.",
)
case(
    "a message without payload and with a wrong type",
    HEAD + "messages:\n  - {to: a, type: 4}",
    '6:5: error[missing-key]: A message needs the key "payload". '
    "Add payload: the payload as a mapping, or as JSON or XML text.",
    "6:19: error[wrong-type]: type must be text that is not empty, not 4. Put it in quotes.",
)
case(
    "a payload that is a list",
    HEAD + "messages:\n  - {to: a, payload: [1]}",
    "6:22: error[wrong-type]: payload must be a mapping, or JSON or XML text, not a list. Write one value.",
)
case(
    "an agent without peers",
    HEAD + "    agent: true",
    "5:12: warning[agent-without-peers]: The agent has no peers and so "
    "may call every listener. List its peers, or write peers: [].",
)
case(
    "a broadcast without a group",
    HEAD + "    broadcast: true",
    "5:16: error[broadcast-name]: The broadcast listener "
    '"a" has no dot in its name and so no group. Name it group.member.',
)
case(
    "a group that is a listener",
    HEAD + "  - {name: a.b, handler: handlers.greet, broadcast: true}",
    '3:11: error[broadcast-group]: The listener "a" has the name of the broadcast group of line 5. Rename one of them.',
)
case(
    "a message to a group",
    HEAD + "  - {name: g.b, handler: handlers.greet, broadcast: true}\nmessages: [{to: g, payload: {name: x}}]",
)


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_where_it_is_and_what_to_do(findings, name):
    text, expected = CASES[name]
    assert findings(text) == expected

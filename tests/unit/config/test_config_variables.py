"""Variables in organism.yaml."""

from __future__ import annotations

import pytest

from xpipe.config.loading import load_definition
from xpipe.config.variables import Expander

ENVIRON = {"A": "1", "EMPTY": "", "HASH": "x # 'y'\n\"z\"", "BRACES": "${A}", "NUL": "a\0b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("a${A}b${A}", "a1b1"),
        ("${B:-two}", "two"),
        ("${A:-two}", "1"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY}", ""),
        ("${B:-}", ""),
        ("${B:-${A}}", "1"),
        ('${B:-{"a": {"b": ${A}}}}', '{"a": {"b": 1}}'),
        ("${A:?needed}", "1"),
        ("$${A}", "${A}"),
        ("$$$${A}", "$${A}"),
        ("5$ $A $", "5$ $A $"),
        ("${HASH}", "x # 'y'\n\"z\""),
        ("${BRACES}", "${A}"),
    ],
)
def test_a_variable_is_replaced_by_its_value_as_data(text, expected):
    assert Expander(ENVIRON).expand(text) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${B}", ["The variable B is not set."]),
        ("${B} ${C:?give it} ${A} ${D:?}", ["The variable B is not set.", "The variable C is not set: give it.",
                                           "The variable D is not set."]),
        ("${EMPTY:?give it}", ["The variable EMPTY is not set: give it."]),
        ("${", ['The variable that begins with "${" is malformed.']),
        ("${A", ['The variable that begins with "${A" is malformed.']),
        ("${}", ['The variable that begins with "${" is malformed.']),
        ("${A-secret}", ['The variable that begins with "${A" is malformed.']),
        ("${1A}", ['The variable that begins with "${1A" is malformed.']),
        ("${A B}", ['The variable that begins with "${A" is malformed.']),
        ("${X:-" * 20 + "}" * 20, ['The variable that begins with "${X" is malformed.']),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_replaced_is_an_error(text, expected):
    assert [error.message for error in Expander(ENVIRON).expand(text)[1]] == expected


def test_values_that_would_fill_the_memory_are_refused():
    expander = Expander({"A": "x" * 1_000_000})
    assert expander.expand("${A}" * 100)[1][0].message == "The variable A makes the file larger than 16 MiB."


TEXT = "organism: x\nlisteners: [{name: a, handler: handlers.greet}]\n"


def test_an_unset_variable_is_reported_where_it_stands(findings):
    text = TEXT + 'backend:\n  path: ${FILE}  # ${COMMENT}\n  redis_url: "redis://${HOST}:${PORT:?tell me}"\n'
    assert findings(text) == [
        "4:9: error[unset-variable]: The variable FILE is not set. "
        "Set it in the environment, or write ${FILE:-default}.",
        "5:14: error[unset-variable]: The variable HOST is not set. "
        "Set it in the environment, or write ${HOST:-default}.",
        "5:14: error[unset-variable]: The variable PORT is not set: tell me.",
    ]


def test_a_plain_whole_variable_gets_the_type_of_its_value_and_a_quoted_one_stays_text(findings):
    text = TEXT + 'process_pool: {workers: "${N}"}\nlimits:\n  hops: ${N}\n  depth: ${N}0\n'
    assert findings(text, {"N": "8"}) == [
        '3:25: error[wrong-type]: workers must be a whole number of at least 1, not text (from "${N}"). '
        "Write 1 or more, or leave workers out.",
        '6:10: error[wrong-type]: depth must be a whole number of at least 1, not text (from "${N}0"). '
        "Write 1 or more, or leave depth out for 100.",
    ]


def test_the_value_of_a_variable_is_never_shown(findings):
    text = TEXT + "limits:\n  hops: ${KEY}\n"
    assert findings(text, {"KEY": "hush"}) == [
        '4:9: error[wrong-type]: hops must be a whole number of at least 1, not text (from "${KEY}"). '
        "Write 1 or more, or leave hops out for 10000."
    ]


def test_a_key_that_takes_text_takes_a_variable_that_looks_like_a_number(folder):
    (folder / "o.yaml").write_text(TEXT + "backend:\n  manager_authkey: ${KEY}\n  redis_url: ${URL:-}\n")
    definition = load_definition("o.yaml", {"KEY": "007"})
    assert definition.backend.options == {"manager_authkey": "007"}


def test_variables_are_replaced_in_payloads_and_in_values_only(folder):
    message = "messages:\n  - to: a\n    payload: {name: '${WHO}', n: \"${N}\", k: $${WHO}, '${KEY}': 1}\n"
    (folder / "o.yaml").write_text(TEXT + message.replace("k: $${WHO}", "k: '$${WHO}'"))
    definition = load_definition("o.yaml", {"WHO": "Ada: # '\"\n", "N": "5"})
    assert definition.messages[0].payload == {"name": "Ada: # '\"\n", "n": "5", "k": "${WHO}", "${KEY}": 1}

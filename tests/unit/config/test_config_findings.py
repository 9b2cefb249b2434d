"""What is wrong with the YAML of an organism: where it stands, and every word of it."""

from __future__ import annotations

import pytest

HEAD = "organism: x\nlisteners:\n  - name: a\n    handler: handlers.greet\n"

CASES: dict[str, tuple[str, list[str]]] = {}


def case(name: str, text: str, *expected: str) -> None:
    CASES[name] = (text, list(expected))


# -- sections and keys
case("a good file", HEAD)
case("an empty file", "", "1:1: error[file-empty]: The file is empty. It needs the keys organism and listeners.")
case(
    "a list",
    "- 1",
    "1:1: error[wrong-type]: An organism file must be a mapping with the keys organism and listeners, not a list. "
    "`xpipe init NAME` makes one to begin with.",
)
case(
    "text",
    "hello",
    "1:1: error[wrong-type]: An organism file must be a mapping with the keys organism and listeners, not text. "
    "`xpipe init NAME` makes one to begin with.",
)
case(
    "nothing required",
    "limits: {}",
    '1:1: error[missing-key]: An organism file needs the key "listeners". Add listeners: the receivers of messages.',
    '1:1: error[missing-key]: An organism file needs the key "organism". Add organism: what the organism is called.',
)
case(
    "an organism without a name",
    HEAD.replace("organism: x", "organism: {}"),
    '1:11: error[missing-key]: The organism section needs the key "name". '
    "Add name: names the organism; the root of all its call chains.",
)
case(
    "an organism without a value",
    HEAD.replace("organism: x", "organism:"),
    "1:10: error[missing-key]: The organism section is empty. "
    "Add name: names the organism; the root of all its call chains.",
)
case(
    "an organism that is a number",
    HEAD.replace("organism: x", "organism: 8"),
    "1:11: error[wrong-type]: organism must be text that is not empty, not 8. Put it in quotes.",
)
case(
    "an organism's name that is a list",
    HEAD.replace("organism: x", "organism: {name: [a]}"),
    "1:18: error[wrong-type]: name must be text that is not empty, not a list. Write one value.",
)
case(
    "a misspelt section",
    HEAD + "limit: {}",
    '5:1: error[unknown-key]: An organism file has no key "limit". Did you mean "limits"?',
)
case(
    "an unknown section",
    HEAD + "colour: red",
    '5:1: error[unknown-key]: An organism file has no key "colour". '
    "Known keys: organism, backend, process_pool, limits, listeners, messages.",
)
case(
    "a misspelt listener key",
    HEAD + "    timeuot: 3",
    '5:5: error[unknown-key]: A listener has no key "timeuot". Did you mean "timeout"?',
)
case(
    "a misspelt backend key",
    HEAD + "backend:\n  type: redis\n  redis_ulr: redis://:secret@host",
    '7:3: error[unknown-key]: The backend section has no key "redis_ulr". Did you mean "redis_url"?',
)
case(
    "a duplicate key",
    HEAD + "organism: y",
    '5:1: error[duplicate-key]: The key "organism" stands twice in this '
    "mapping; the first one is at line 1, column 1. Keep one of them.",
)
case(
    "a duplicate listener key",
    HEAD + "    name: b",
    '5:5: error[duplicate-key]: The key "name" stands twice in this '
    "mapping; the first one is at line 3, column 5. Keep one of them.",
)
case(
    "no listeners",
    "organism: x\nlisteners: []",
    '2:12: error[missing-key]: The listeners section needs at least one entry. Begin each entry with "- ".',
)
case(
    "listeners without a value",
    "organism: x\nlisteners:",
    '2:11: error[missing-key]: The listeners section needs at least one entry. Begin each entry with "- ".',
)
case(
    "listeners as a mapping",
    "organism: x\nlisteners: {a: handlers.greet}",
    '2:12: error[wrong-type]: listeners must be a list, not a mapping. Begin each entry with "- ".',
)
case(
    "a listener that is text",
    HEAD + "  - b",
    '5:5: error[wrong-type]: A listener must be a mapping, not "b". Write its keys and values: "key: value".',
)
case(
    "a listener without name and handler",
    HEAD + "  - agent: false",
    "5:5: error[missing-key]: A listener needs one of the keys handler, buffer or sequence. "
    "Add handler: the function: package.module.name or file.py:name.",
    '5:5: error[missing-key]: A listener needs the key "name". '
    "Add name: what messages are addressed to; may contain dots.",
)
case(
    "a listener whose name has no value",
    HEAD + "  - name:\n    handler: handlers.plain",
    "5:10: error[missing-value]: name has no value. Write text that is not empty.",
)
case(
    "a section that is a list",
    HEAD + "limits: [1]",
    "5:9: error[wrong-type]: The limits section must be a mapping, not a list. "
    'Write its keys and values: "key: value".',
)
case("optional sections without a value", HEAD + "limits:\nbackend:\nprocess_pool:\nmessages:\n")

# -- values
case(
    "an unknown backend type",
    HEAD + "backend: {type: reddis}",
    '5:17: error[wrong-value]: type must be memory, manager, sqlite or redis, not "reddis". Did you mean "redis"?',
)
case(
    "a backend type in short form",
    HEAD + "backend: sqlit",
    '5:10: error[wrong-value]: backend must be memory, manager, sqlite or redis, not "sqlit". Did you mean "sqlite"?',
)
case(
    "a secret of the wrong type",
    HEAD + "backend: {redis_url: 12345, manager_authkey: [hush]}",
    "5:22: error[wrong-type]: redis_url must be a URL such as redis://host:6379/0, not a number. Put it in quotes.",
    "5:46: error[wrong-type]: manager_authkey must be text that is not empty, not a list. Write one value.",
)
case(
    "a URL of another service",
    HEAD + "backend: {redis_url: 'http://host:6379'}",
    "5:22: error[wrong-value]: redis_url must be a URL such as redis://host:6379/0. Write redis://host:6379/0, "
    "rediss://host for TLS, or unix:///path/to/socket, or leave redis_url out.",
)
case(
    "options of all backends",
    HEAD + "backend: {type: memory, redis_url: redis://x, redis_prefix: '', redis_ttl: 1h, "
    "manager_address: 'h:1', manager_authkey: k, path: x.db, retention: 7d, max_slots_per_thread: 5, max_threads: 6}",
)
case(
    "a timeout that is a list",
    HEAD + "    timeout: [1]",
    "5:14: error[wrong-type]: timeout must be a duration such as 30s, not a list. "
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "a timeout in unknown units",
    HEAD + "    timeout: 5 parsecs",
    '5:14: error[wrong-value]: timeout must be a duration such as 30s, not "5 parsecs". '
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "a negative timeout",
    HEAD + "    timeout: -1",
    "5:14: error[wrong-value]: timeout must be a duration such as 30s, not -1. "
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "a sexagesimal timeout",
    HEAD + "    timeout: 1:30",
    '5:14: error[wrong-value]: timeout must be a duration such as 30s, not "1:30". '
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "an infinite timeout",
    HEAD + "    timeout: .inf",
    "5:14: error[wrong-value]: timeout must be a duration such as 30s, not .inf. "
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "a boolean timeout",
    HEAD + "    timeout: true",
    "5:14: error[wrong-type]: timeout must be a duration such as 30s, not true. "
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
)
case(
    "an endless timeout",
    HEAD + "    timeout: 99999d",
    '5:14: error[wrong-value]: timeout must be a duration of at most 36500d, not "99999d". Write a shorter one.',
)
case(
    "a bad retention and ttl",
    HEAD + "backend: {redis_ttl: soon, retention: never}",
    '5:22: error[wrong-value]: redis_ttl must be a duration such as 30s, not "soon". '
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave redis_ttl out for 1d.",
    '5:39: error[wrong-value]: retention must be a duration such as 30s, not "never". '
    "Write seconds, or a number with its unit, ms, s, m, h or d, or leave retention out for 1d.",
)
case(
    "a ttl that live state would not survive",
    HEAD + "backend: {redis_ttl: 2s}",
    '5:22: error[wrong-value]: redis_ttl must be 0 for never, or a duration of at least 30s, not "2s". '
    "Write a longer one.",
)
case(
    "workers of none",
    HEAD + "process_pool: {workers: 0}",
    "5:25: error[wrong-value]: workers must be a whole number of at least 1, not 0. "
    "Write 1 or more, or leave workers out.",
)
case(
    "workers as a boolean",
    HEAD + "process_pool: {workers: true}",
    "5:25: error[wrong-type]: workers must be a whole number of at least 1, not true. "
    "Write 1 or more, or leave workers out.",
)
case(
    "workers as a fraction",
    HEAD + "process_pool: {workers: 1.5}",
    "5:25: error[wrong-type]: workers must be a whole number of at least 1, not 1.5. "
    "Write 1 or more, or leave workers out.",
)
case(
    "workers as text",
    HEAD + "process_pool: {workers: many, max_tasks_per_child: -1}",
    '5:25: error[wrong-type]: workers must be a whole number of at least 1, not "many". '
    "Write 1 or more, or leave workers out.",
    "5:52: error[wrong-value]: max_tasks_per_child must be a whole number of at least 0, not -1. "
    "Write 0 or more, or leave max_tasks_per_child out for 0.",
)
case(
    "limits of wrong kinds",
    HEAD + "limits: {hops: 0, depth: x, payload_bytes: 5 potatoes, fan_out: 010}",
    "5:16: error[wrong-value]: hops must be a whole number of at least 1, not 0. "
    "Write 1 or more, or leave hops out for 10000.",
    '5:26: error[wrong-type]: depth must be a whole number of at least 1, not "x". '
    "Write 1 or more, or leave depth out for 100.",
    '5:44: error[wrong-value]: payload_bytes must be a size in bytes such as 64MiB, not "5 potatoes". '
    "Write bytes, or a number with its unit, such as kB or MiB, or leave payload_bytes out for 256MiB.",
    '5:65: error[wrong-type]: fan_out must be a whole number of at least 1, not "010". '
    "Write 1 or more, or leave fan_out out for 1000000.",
)
case(
    "a size of nothing",
    HEAD + "limits: {payload_bytes: 0}",
    "5:25: error[wrong-value]: payload_bytes must be a size in bytes such as 64MiB, not 0. "
    "Write bytes, or a number with its unit, such as kB or MiB, or leave payload_bytes out for 256MiB.",
)
case(
    "a size that is a list",
    HEAD + "limits: {payload_bytes: [1]}",
    "5:25: error[wrong-type]: payload_bytes must be a size in bytes such as 64MiB, not a list. "
    "Write bytes, or a number with its unit, such as kB or MiB, or leave payload_bytes out for 256MiB.",
)
case(
    "a flag of YAML 1.1",
    HEAD + "    broadcast: yes",
    '5:16: error[wrong-type]: broadcast must be true or false, not "yes". Write true.',
)
case(
    "a concurrency of none",
    HEAD + "    concurrency: 0",
    "5:18: error[wrong-value]: concurrency must be a whole number of at least 1, not 0. "
    "Write 1 or more, or leave concurrency out.",
)
case(
    "a description that is a number",
    HEAD + "    description: 5",
    "5:18: error[wrong-type]: description must be text, not 5. Put it in quotes.",
)
case(
    "peers that are text",
    HEAD + "    peers: a",
    '5:12: error[wrong-type]: peers must be a list of text, not "a". Write [one, another], or leave peers out.',
)
case(
    "a peer that is a number",
    HEAD + "    peers: [b, 5]\n  - {name: b, handler: handlers.greet}",
    "5:16: error[wrong-type]: peers must be a list of text, not 5. Put it in quotes.",
)
case(
    "some peers that are wrong and some that are not there",
    HEAD + "    peers: [5, b, '', '${GONE}', c]",
    "5:13: error[wrong-type]: peers must be a list of text, not 5. Put it in quotes.",
    '5:16: error[unknown-peer]: The peer "b" is no listener or broadcast group of this organism. '
    "There are: a, system.buffer, system.sequence.",
    '5:19: error[wrong-value]: peers must be a list of text, not "". Write [one, another], or leave peers out.',
    "5:23: error[unset-variable]: The variable GONE is not set. Set it in the environment, or write ${GONE:-default}.",
    '5:34: error[unknown-peer]: The peer "c" is no listener or broadcast group of this organism. '
    "There are: a, system.buffer, system.sequence.",
)
case(
    "some payload classes that are wrong and some that are not there",
    HEAD + "    payload_class: [5, handlers.greeting]",
    "5:21: error[wrong-type]: payload_class must be a list of text, not 5. Put it in quotes.",
    '5:24: error[no-attribute]: handlers has no greeting. Did you mean "Greeting"?',
)
case(
    "peers without a value",
    HEAD + "    peers:",
    "5:11: error[missing-value]: peers has no value. Write [] for nobody, or leave peers out for anybody.",
)
case(
    "no payload classes",
    HEAD + "    payload_class: []",
    "5:20: error[wrong-value]: payload_class must be text or a list of at least one text, not an empty list. "
    "Write one name, or [one, another], or leave payload_class out.",
)

# -- YAML itself
case(
    "a tab", "organism:\n\tname: x", "2:1: error[yaml-syntax]: A tab stands where only spaces may. Indent with spaces."
)
case("an open quote", 'organism: "x\n', "1:11: error[yaml-syntax]: A quoted text is not closed. Add the closing quote.")
case(
    "an open bracket",
    "a: [1, 2\nb: 3\n",
    "1:4: error[yaml-syntax]: A list or mapping in brackets is not closed. "
    "Close it, or separate its parts with commas.",
)
case(
    "a second colon",
    "a: b: c",
    "1:5: error[yaml-syntax]: A colon with a space after it is not allowed here. "
    "Put the value in quotes, or check the indentation.",
)
case(
    "a bracket that does not fit",
    "a: {b: [}",
    "1:9: error[yaml-syntax]: A value is missing, or a bracket closes what it does not open. "
    "Write the value, or the bracket that fits.",
)
case(
    "a broken indentation",
    "a:\n  - b\n c: 1",
    "3:2: error[yaml-syntax]: The line does not fit those before it. "
    "Check its indentation, and that quotes and brackets are closed.",
)
case(
    "an unknown escape",
    r'a: "\q"',
    "1:5: error[yaml-syntax]: A backslash is followed by no known escape. Use single quotes for text with backslashes.",
)
case(
    "an at sign", "a: @b", "1:4: error[yaml-syntax]: A value cannot begin with this character. Put the value in quotes."
)
case(
    "a variable in brackets",
    "a: {b: ${C}}",
    "1:4: error[yaml-syntax]: A list or mapping in brackets is not closed. "
    'Inside [ ] and { } a variable needs quotes: "${NAME}".',
)
case(
    "two documents",
    "a: 1\n---\nb: 2",
    "2:1: error[yaml-documents]: The file holds more than one YAML document. "
    "Keep one organism in a file; remove the --- line.",
)
case("a list as a key", HEAD + "? [a]\n: 1", "5:3: error[yaml-key]: A key must be text, not a list or a mapping.")
case(
    "a bad merge",
    HEAD + "limits: {<<: 3}",
    "5:10: error[yaml-merge]: The merge key << takes a mapping or a list of mappings.",
)
case("an unknown alias", "a: *b", '1:4: error[yaml-alias]: There is no anchor "&b" before this alias.')
case("an alias of itself", "a: &b [*b]", '1:8: error[yaml-recursion]: The alias "*b" stands inside what it refers to.')


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_where_it_is_and_what_to_do(findings, name):
    text, expected = CASES[name]
    assert findings(text) == expected


def test_ten_mistakes_in_one_file_are_ten_findings_in_its_order(findings):
    text = """\
        organism: {name: shop, colour: red}
        backend: {type: rediss, redis_ttl: [1]}
        process_pool: {workers: none}
        listeners:
          - name: check
            handler: handlers.gret
            timeout: 5 minutes
          - name: check
            handler: handlers.greet
            peers: [chek]
          - handler: handlers.plain
            cpu_bound: maybe
        messages:
          - {to: price, payload: {name: Ada}}
    """
    assert findings(text) == [
        '1:24: error[unknown-key]: The organism section has no key "colour". Known keys: name.',
        '2:17: error[wrong-value]: type must be memory, manager, sqlite or redis, not "rediss". Did you mean "redis"?',
        "2:36: error[wrong-type]: redis_ttl must be a duration such as 30s, not a list. "
        "Write seconds, or a number with its unit, ms, s, m, h or d, or leave redis_ttl out for 1d.",
        '3:25: error[wrong-type]: workers must be a whole number of at least 1, not "none". '
        "Write 1 or more, or leave workers out.",
        '6:14: error[no-attribute]: handlers has no gret. Did you mean "greet"?',
        '7:14: error[wrong-value]: timeout must be a duration such as 30s, not "5 minutes". '
        "Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 30s.",
        '8:11: error[duplicate-listener]: The listener "check" is declared twice; the first is at line 5, column 11. '
        "Rename one of them.",
        '10:13: error[unknown-peer]: The peer "chek" is no listener or broadcast group of this organism. '
        'Did you mean "check"?',
        '11:5: error[missing-key]: A listener needs the key "name". '
        "Add name: what messages are addressed to; may contain dots.",
        '12:16: error[wrong-type]: cpu_bound must be true or false, not "maybe". '
        "Write one of the two without quotes, or leave cpu_bound out for false.",
        '14:10: error[unknown-target]: The target "price" is no listener or broadcast group of this organism. '
        "There are: check, system.buffer, system.sequence.",
    ]


def test_what_comes_before_a_syntax_error_is_checked(findings):
    text = """\
        organism: 8
        backend: {redis_url: "${GONE}"}
        listeners:
          - {name: a, handler: handlers.gret}
        messages:
          - {to: b, payload: {}}
        limits: {hops: }]
    """
    assert findings(text) == [
        "1:11: error[wrong-type]: organism must be text that is not empty, not 8. Put it in quotes.",
        "2:22: error[unset-variable]: The variable GONE is not set. "
        "Set it in the environment, or write ${GONE:-default}.",
        '4:24: error[no-attribute]: handlers has no gret. Did you mean "greet"?',
        '6:10: error[unknown-target]: The target "b" is no listener or broadcast group of this organism. '
        "There are: a, system.buffer, system.sequence.",
        "7:17: error[yaml-syntax]: The line does not fit those before it. "
        "Check its indentation, and that quotes and brackets are closed.",
    ]


def test_what_comes_after_a_syntax_error_is_not_missed(findings):
    assert findings("messages:\n  - {to: a, payload: {}}\nlisteners:\n  - {name: a]\norganism: x\n") == [
        "4:5: error[yaml-syntax]: A list or mapping in brackets is not closed. "
        "Close it, or separate its parts with commas."
    ]

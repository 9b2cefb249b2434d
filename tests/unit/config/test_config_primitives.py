"""Buffers and sequences as listeners of their own: what they become, and what is wrong with them."""

from __future__ import annotations

import pytest

from xpipe.config.loading import check_definition, load_definition
from xpipe.core.organism import BufferOptions
from xpipe.core.payloads import BufferStart, Items, SequenceStep
from xpipe.core.retry import RetryPolicy

MODULE = """
from __future__ import annotations
from dataclasses import dataclass
from xpipe import BufferComplete, Fault, HandlerResponse, SequenceComplete

@dataclass
class Text:
    text: str

@dataclass
class Order:
    id: int

@dataclass
class Priced:
    id: int

async def analyse(payload: Text, metadata) -> HandlerResponse: ...
async def check(payload: Order | Priced | Fault, metadata): ...
async def price(payload: Order, metadata): ...
async def report(payload: BufferComplete | Fault, metadata) -> "list[HandlerResponse]": ...
async def sum_up(payload: SequenceComplete, metadata) -> Nowhere: ...
async def log(payload: Text, metadata) -> None: ...
"""
HEAD = """\
organism: x
listeners:
  - {name: analyse, handler: h.analyse}
  - {name: check, handler: h.check}
  - {name: price, handler: h.price}
  - {name: report, handler: h.report}
  - {name: sum-up, handler: h.sum_up}
  - {name: log, handler: h.log}
"""


@pytest.fixture(autouse=True)
def module(folder):
    (folder / "h.py").write_text(MODULE)


@pytest.fixture
def declared(folder):
    """Loads HEAD with more listeners; those, by name, and h's classes by name."""

    def load(text: str):
        (folder / "organism.yaml").write_text(HEAD + text)
        definition = load_definition("organism.yaml", {})
        listeners = {one.name: one for one in definition.listeners}
        assert [*listeners][:6] == ["analyse", "check", "price", "report", "sum-up", "log"]
        return listeners, {cls.__name__: cls for cls in definition.payload_types}

    return load


def test_a_buffer_becomes_a_listener_that_takes_items(declared):
    listeners, _ = declared(
        "  - name: analyse-all\n    description: Analyses many.\n    buffer: {target: analyse, max_in_flight: 16, "
        "timeout: 60s, min_success: 90%, on_partial: fault, cancel_rest: true}"
    )
    buffer = listeners["analyse-all"]
    assert buffer.buffer == BufferOptions("analyse", 16, 60.0, "90%", "fault", True)
    assert (buffer.accepts, buffer.sequence, buffer.timeout, buffer.ref) == ((Items,), (), None, None)
    assert buffer.description == "Analyses many."


@pytest.mark.parametrize(
    ("text", "options"),
    [("analyse", BufferOptions("analyse")), ("{target: analyse}", BufferOptions("analyse")),
     ("{target: analyse, min_success: 5}", BufferOptions("analyse", min_success="5")),
     ("{target: analyse, min_success: 99.5 %}", BufferOptions("analyse", min_success="99.5%")),
     ("{target: system.sequence, timeout: 0}", BufferOptions("system.sequence"))],
)  # fmt: skip
def test_what_a_buffer_leaves_out_has_defaults(declared, text, options):
    listeners, _ = declared(f"  - name: all\n    buffer: {text}")
    assert listeners["all"].buffer == options


def test_a_sequence_becomes_a_listener_that_takes_what_its_first_step_takes_but_faults(declared):
    listeners, classes = declared(
        "  - name: invoice\n    sequence: [check, {step: price, timeout: 5s, retry: {max_attempts: 2}}, {step: log}]"
    )
    invoice = listeners["invoice"]
    assert invoice.sequence == (
        SequenceStep("check"),
        SequenceStep("price", 5.0, RetryPolicy(max_attempts=2)),
        SequenceStep("log"),
    )
    assert invoice.accepts == (classes["Order"], classes["Priced"])
    assert invoice.buffer is None


def test_sequences_and_buffers_contain_each_other_in_any_order(declared):
    listeners, classes = declared(
        "  - {name: outer, sequence: [inner, price]}\n  - {name: inner, sequence: [price, check]}\n"
        "  - {name: many, sequence: [all, report]}\n  - {name: all, buffer: outer}\n"
        "  - {name: raw, sequence: [system.buffer, report]}"
    )
    assert listeners["outer"].accepts == listeners["inner"].accepts == (classes["Order"],)
    assert listeners["many"].accepts == listeners["all"].accepts == (Items,)
    assert listeners["raw"].accepts == (BufferStart,)


def test_a_buffer_may_send_to_a_group_and_belong_to_one(declared):
    listeners, _ = declared(
        "  - {name: g.a, handler: h.price, broadcast: true}\n  - {name: g.b, handler: h.price, broadcast: true}\n"
        "  - {name: all.g, buffer: g, broadcast: true}\n  - {name: all.h, buffer: analyse, broadcast: true}"
    )
    assert listeners["all.g"].buffer == BufferOptions("g")
    assert listeners["all.g"].broadcast


def test_without_imports_buffers_and_sequences_are_there_all_the_same(folder):
    (folder / "o.yaml").write_text(HEAD.replace("h.", "nowhere.") + "  - {name: s, sequence: [log, log]}")
    definition, findings = check_definition("o.yaml", {}, imports=False)
    assert definition is not None
    assert findings == []
    assert (definition.listeners[-1].sequence, definition.listeners[-1].accepts) == ((SequenceStep("log"),) * 2, ())


NONE = "is no listener or broadcast group of this organism."
ONE_OF = "one of the keys handler, buffer or sequence"

CASES = {
    "a listener with nothing": (
        "{name: a}",
        [f"9:5: error[missing-key]: A listener needs {ONE_OF}. "
         "Add handler: the function: package.module.name or file.py:name."],
    ),
    "a listener with two": (
        "{name: a, handler: h.log, buffer: log}",
        [f"9:31: error[exclusive-key]: A listener has only {ONE_OF}, and this one has handler already. "
         "Remove one of them."],
    ),
    "a buffer and a sequence": (
        "{name: a, sequence: [check, price], buffer: analyse}",
        [f"9:41: error[exclusive-key]: A listener has only {ONE_OF}, and this one has sequence already. "
         "Remove one of them."],
    ),
    "keys of a handler at a buffer": (
        "{name: a, buffer: analyse, cpu_bound: true, timeout: 3s, payload_class: h.Text, peers: []}",
        ["9:32: error[misplaced-key]: cpu_bound belongs to a handler, and a listener with a buffer has none. "
         "Remove it.",
         "9:49: error[misplaced-key]: timeout belongs to a handler, and a listener with a buffer has none. "
         "Write it inside buffer.",
         "9:62: error[misplaced-key]: payload_class belongs to a handler, and a listener with a buffer has none. "
         "Remove it.",
         "9:85: error[misplaced-key]: peers belongs to a handler, and a listener with a buffer has none. "
         "Remove it."],
    ),
    "keys of a handler at a sequence": (
        "{name: a, sequence: [check], inline: true, concurrency: 2, retry: 3, timeout: 1, agent: false}",
        ["9:34: error[misplaced-key]: inline belongs to a handler, and a listener with a sequence has none. "
         "Remove it.",
         "9:48: error[misplaced-key]: concurrency belongs to a handler, and a listener with a sequence has none. "
         "Remove it.",
         "9:64: error[misplaced-key]: retry belongs to a handler, and a listener with a sequence has none. "
         "Write it at a step of sequence.",
         "9:74: error[misplaced-key]: timeout belongs to a handler, and a listener with a sequence has none. "
         "Write it at a step of sequence.",
         "9:86: error[misplaced-key]: agent belongs to a handler, and a listener with a sequence has none. "
         "Remove it."],
    ),
    "no values": (
        "{name: a, buffer: }\n  - {name: b, sequence: }\n  - {name: c, handler: }",
        ["9:23: error[missing-value]: buffer has no value. Name its target.",
         "10:25: error[missing-value]: sequence has no value. List its steps.",
         "11:24: error[missing-value]: handler has no value. Write package.module.name or file.py:name."],
    ),
    "a buffer without a target": (
        "{name: a, buffer: {timeout: 3s}}",
        ['9:23: error[missing-key]: The buffer section needs the key "target". '
"Add target: the listener or group that each item goes to."],
    ),
    "a buffer that is a list": (
        "{name: a, buffer: [analyse]}",
        ["9:23: error[wrong-type]: The buffer section must be a mapping, not a list. "
'Write its keys and values: "key: value".'],
    ),
    "values of wrong kinds in a buffer": (
        "{name: a, buffer: {target: 5, max_in_flight: 0, timeout: x, min_success: 101%, on_partial: fail, "
        "cancel_rest: 1, items: []}}",
        ["9:32: error[wrong-type]: target must be text that is not empty, not 5. Put it in quotes.",
         "9:50: error[wrong-value]: max_in_flight must be a whole number of at least 1, not 0. "
"Write 1 or more, or leave max_in_flight out for 1000.",
         '9:62: error[wrong-value]: timeout must be a duration such as 30s, not "x". '
"Write seconds, or a number with its unit, ms, s, m, h or d, or leave timeout out for 0s.",
         '9:78: error[wrong-value]: min_success must be a whole number or a percentage such as 90%, not "101%". '
"Write how many, or from 0% to 100%, or leave min_success out.",
         '9:96: error[wrong-value]: on_partial must be complete or fault, not "fail". Did you mean "fault"?',
         "9:115: error[wrong-type]: cancel_rest must be true or false, not 1. Write true.",
         '9:118: error[unknown-key]: The buffer section has no key "items". '
         "Known keys: target, max_in_flight, timeout, min_success, on_partial, cancel_rest."],
    ),
    "a fault for nothing, and nothing to cancel for": (
        "{name: a, buffer: {target: analyse, on_partial: fault}}\n"
        "  - {name: b, buffer: {target: analyse, cancel_rest: true}}\n"
        "  - {name: c, buffer: {target: analyse, cancel_rest: true, timeout: 5s}}",
        ["9:53: error[no-min-success]: on_partial is fault, and nothing says what is too few. "
         "Add min_success; 100% for all.",
         "10:54: warning[no-effect]: cancel_rest has no effect without min_success or timeout: "
         "the outcome is open to the end. Add one of them."],
    ),
    "a number and a flag in quotes": (
        "{name: a, buffer: {target: analyse, min_success: '3', cancel_rest: 'true'}}",
        ['9:54: error[wrong-value]: min_success must be a whole number or a percentage such as 90%, not "3". '
         "Remove the quotes.",
         '9:72: error[wrong-type]: cancel_rest must be true or false, not "true". Remove the quotes.'],
    ),
    "a share that is a fraction": (
        "{name: a, buffer: {target: analyse, min_success: 0.9}}",
        ["9:54: error[wrong-type]: min_success must be a whole number or a percentage such as 90%, not 0.9. "
"Write how many, or from 0% to 100%, or leave min_success out."],
    ),
    "a sequence without steps": (
        "{name: a, sequence: []}",
        ["9:25: error[missing-key]: The sequence section needs at least one entry. "
'Begin each entry with "- ".'],
    ),
    "a sequence that is text": (
        "{name: a, sequence: check}",
        ['9:25: error[wrong-type]: sequence must be a list, not "check". Begin each entry with "- ".'],
    ),
    "steps of wrong kinds": (
        "{name: a, sequence: [5, [check], {timeout: 3s}, {step: check, retry: {jitter: 7, on: tmeout}}]}",
        ["9:26: error[wrong-type]: step must be text that is not empty, not 5. Put it in quotes.",
         "9:29: error[wrong-type]: A step must be a mapping, not a list. "
'Write its keys and values: "key: value".',
         '9:38: error[missing-key]: A step needs the key "step". Add step: the listener.',
         "9:83: error[wrong-value]: jitter must be a number from 0 to 1, not 7. "
"Write one such as 0.5, or leave jitter out for 0.5.",
         '9:90: error[unknown-code]: "tmeout" is neither a fault code nor the name of an exception class. '
         'Did you mean "timeout"?'],
    ),
    "targets and steps that are not there": (
        "{name: a, buffer: analyze}\n  - {name: b, sequence: [check, {step: prise}, zebra]}",
        [f'9:23: error[unknown-target]: The target "analyze" {NONE} Did you mean "analyse"?',
         f'10:40: error[unknown-target]: The step "prise" {NONE} Did you mean "price"?',
         f'10:48: error[unknown-target]: The step "zebra" {NONE} '
         "There are: analyse, check, price, report, sum-up, log, a, b, ..."],
    ),
    "a step that is a group": (
        "{name: g.x, handler: h.price, broadcast: true}\n  - {name: a, sequence: [g]}",
        ['10:26: error[group-step]: The step "g" is a broadcast group, and a step has one answer. '
         "Name one of its listeners, or a listener with a buffer whose target is the group."],
    ),
    "a buffer of itself": (
        "{name: a, buffer: a}",
        ['9:23: error[circle]: The listener "a" contains itself: "a" -> "a". Leave one of these calls out.'],
    ),
    "a circle of three": (
        "{name: a, sequence: [check, b]}\n  - {name: b, buffer: c}\n  - {name: c, sequence: [a]}",
        ['9:33: error[circle]: The listener "a" contains itself: "a" -> "b" -> "c" -> "a". '
         "Leave one of these calls out."],
    ),
    "a circle through a group, and who calls into it": (
        "{name: a, buffer: g.x}\n  - {name: g.x, broadcast: true, buffer: g}",
        ['10:42: error[circle]: The listener "g.x" contains itself: "g.x" -> "g" -> "g.x". '
         "Leave one of these calls out."],
    ),
    "two circles of one listener": (
        "{name: a, sequence: [b, a]}\n  - {name: b, sequence: [a]}",
        ['9:26: error[circle]: The listener "a" contains itself: "a" -> "b" -> "a". Leave one of these calls out.',
         '9:29: error[circle]: The listener "a" contains itself: "a" -> "a". Leave one of these calls out.'],
    ),
    "a step that cannot take what a buffer answers": (
        "{name: all, buffer: analyse}\n  - {name: a, sequence: [all, {step: price}, report]}",
        ['10:38: error[step-payload]: The step "price" takes Order, and "all" before it answers BufferComplete. '
         "Put a listener between them that makes one from the other."],
    ),
    "steps that cannot take what the primitives answer": (
        "{name: a, sequence: [system.sequence, log, system.buffer, sum-up]}",
        ['9:43: warning[no-answer]: The handler of "log" is annotated to return None, and so never answers. '
         "Let it return a response, or correct the annotation.",
         '9:43: error[step-payload]: The step "log" takes Text, and "system.sequence" before it answers '
         "SequenceComplete. Put a listener between them that makes one from the other.",
         '9:63: error[step-payload]: The step "sum-up" takes SequenceComplete, and "system.buffer" before it answers '
         "BufferComplete or BufferDispatched. Put a listener between them that makes one from the other."],
    ),
    "a step that cannot take what the last step of a sequence answers": (
        "{name: outer, sequence: [inner, price, inner, report]}\n  - {name: inner, sequence: [price, all]}\n"
        "  - {name: all, buffer: analyse}",
        ['9:37: error[step-payload]: The step "price" takes Order, and "inner" before it answers BufferComplete. '
         "Put a listener between them that makes one from the other."],
    ),
    "a target that never answers": (
        "{name: a, buffer: log}",
        ['9:23: warning[no-answer]: The handler of "log" is annotated to return None, and so never answers. '
         "Let it return a response, or correct the annotation."],
    ),
    "a reserved and a duplicate name": (
        "{name: system.a, buffer: analyse}\n  - {name: log, sequence: [check]}",
        ['9:12: error[reserved-name]: The listener name "system.a" is reserved: names below system belong to xpipe. '
"Begin it with another word.",
         '10:12: error[duplicate-listener]: The listener "log" is declared twice; the first is at line 8, column 12. '
         "Rename one of them."],
    ),
    "an unknown listener as first step": (
        "{name: a, sequence: [zebra, check]}\n  - {name: b, sequence: [a]}",
        [f'9:26: error[unknown-target]: The step "zebra" {NONE} '
         "There are: analyse, check, price, report, sum-up, log, a, b, ..."],
    ),
    "a first step whose code is broken": (
        "{name: broken, handler: h.brocken}\n  - {name: a, sequence: [broken, check]}",
        ["9:29: error[no-attribute]: h has no brocken. Define it there, or correct the name."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_where_it_is_and_what_to_do(findings, name):
    text, expected = CASES[name]
    assert findings(f"{HEAD}  - {text}\n") == expected


def test_thousands_of_sequences_that_contain_each_other_are_reported_soon(findings):
    count = 5000
    sequences = "".join(f"  - {{name: s{n}, sequence: [s{(n + 1) % count}, s0]}}\n" for n in range(count))
    assert findings(HEAD + sequences) == [
        '9:27: error[circle]: The listener "s0" contains itself: "s0" -> "s1" -> "s2" -> "s3" -> "s4" -> "s5" -> "s6" '
        '-> ... -> "s0". Leave one of these calls out.'
    ]

"""Retries as organism.yaml declares them: what they become, and what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xpipe.config.loading import load_definition
from xpipe.config.retrying import FAULT_CODES
from xpipe.core.retry import RetryPolicy

HEAD = "organism: x\nlisteners:\n  - name: a\n    handler: handlers.greet\n    retry: "
NEITHER = "is neither a fault code nor the name of an exception class."

POLICIES = {
    "5": RetryPolicy(max_attempts=5),
    "{}": RetryPolicy(),
    "": None,
    "{max_attempts: 4, backoff: 500ms, max_backoff: 2m, jitter: 0}": RetryPolicy(4, 0.5, 120.0, 0.0),
    "{jitter: 1, on: timeout}": RetryPolicy(jitter=1.0, on=("timeout",)),
    "{on: [exception, http.client.HTTPException], never: [ValueError]}": RetryPolicy(
        on=("exception", "http.client.HTTPException"), never=("ValueError",)
    ),
    "{on: [Timeout, TIMEOUT, TimeoutError, socket.timeout, error, no_answer, rejected]}": RetryPolicy(
        on=("Timeout", "TIMEOUT", "TimeoutError", "socket.timeout", "error", "no_answer", "rejected")
    ),
}


@pytest.mark.parametrize("text", POLICIES)
def test_a_retry_section_becomes_a_policy(folder, text):
    (folder / "organism.yaml").write_text(HEAD + text)
    (listener,) = load_definition("organism.yaml", {}).listeners
    assert listener.retry == POLICIES[text]


def test_a_listener_without_a_retry_section_has_no_policy(folder):
    (folder / "organism.yaml").write_text(HEAD.removesuffix("    retry: "))
    (listener,) = load_definition("organism.yaml", {}).listeners
    assert listener.retry is None


CASES = {
    "a list": (
        "[3]",
        [
            "5:12: error[wrong-type]: The retry section must be a mapping, not a list. "
            'Write its keys and values: "key: value".'
        ],
    ),
    "a word": (
        "often",
        [
            '5:12: error[wrong-type]: retry must be a whole number of at least 1, not "often". '
            "Write 1 or more, or leave max_attempts out for 3."
        ],
    ),
    "no attempt": (
        "0",
        [
            "5:12: error[wrong-value]: retry must be a whole number of at least 1, not 0. "
            "Write 1 or more, or leave max_attempts out for 3."
        ],
    ),
    "values of wrong kinds": (
        "{max_attempts: 0, backoff: soon, max_backoff: -1, jitter: 1.5, on: [], never: [5]}",
        [
            "5:27: error[wrong-value]: max_attempts must be a whole number of at least 1, not 0. "
            "Write 1 or more, or leave max_attempts out for 3.",
            '5:39: error[wrong-value]: backoff must be a duration such as 30s, not "soon". '
            "Write seconds, or a number with its unit, ms, s, m, h or d, or leave backoff out for 1s.",
            "5:58: error[wrong-value]: max_backoff must be a duration such as 30s, not -1. "
            "Write seconds, or a number with its unit, ms, s, m, h or d, or leave max_backoff out for 1m.",
            "5:70: error[wrong-value]: jitter must be a number from 0 to 1, not 1.5. "
            "Write one such as 0.5, or leave jitter out for 0.5.",
            "5:79: error[wrong-value]: on must be text or a list of at least one text, not an empty list. "
            "Write one name, or [one, another], or leave on out.",
            "5:91: error[wrong-type]: never must be a list of text, not 5. Put it in quotes.",
        ],
    ),
    "quoted numbers": (
        "{max_attempts: '3', jitter: '0.5', backoff: '2'}",
        [
            '5:27: error[wrong-type]: max_attempts must be a whole number of at least 1, not "3". Remove the quotes.',
            '5:40: error[wrong-type]: jitter must be a number from 0 to 1, not "0.5". Remove the quotes.',
        ],
    ),
    "jitter that is no number": (
        "{jitter: half}",
        [
            '5:21: error[wrong-type]: jitter must be a number from 0 to 1, not "half". '
            "Write one such as 0.5, or leave jitter out for 0.5."
        ],
    ),
    "jitter that is not a number": (
        "{jitter: .nan}",
        [
            "5:21: error[wrong-value]: jitter must be a number from 0 to 1, not .nan. "
            "Write one such as 0.5, or leave jitter out for 0.5."
        ],
    ),
    "a misspelt key": (
        "{attempts: 3}",
        ['5:13: error[unknown-key]: The retry section has no key "attempts". Did you mean "max_attempts"?'],
    ),
    "misspelt codes": (
        "{on: [time_out, worker-lost, WORKER_LOST], never: expection}",
        [
            f'5:18: error[unknown-code]: "time_out" {NEITHER} Did you mean "timeout"?',
            f'5:28: error[unknown-code]: "worker-lost" {NEITHER} Did you mean "worker_lost"?',
            f'5:41: error[unknown-code]: "WORKER_LOST" {NEITHER} Did you mean "worker_lost"?',
            f'5:62: error[unknown-code]: "expection" {NEITHER} Did you mean "exception"?',
        ],
    ),
    "what can name nothing": (
        "{on: [HTTP 500, 4xx]}",
        [
            f'5:18: error[unknown-code]: "HTTP 500" {NEITHER}',
            f'5:28: error[unknown-code]: "4xx" {NEITHER}',
        ],
    ),
    "a backoff over the longest": (
        "{backoff: 2m, max_backoff: 90s}",
        ["5:22: error[backoff-too-long]: backoff is longer than max_backoff, and no pause is. Raise max_backoff."],
    ),
    "a backoff over the longest that is left out": (
        "{backoff: 2m}",
        [
            "5:22: error[backoff-too-long]: backoff is longer than max_backoff (60s if left out), and no pause is. "
            "Raise max_backoff."
        ],
    ),
    "a variable that is not set": (
        '{on: ["${CODE}", tmeout], backoff: "${PAUSE}"}',
        [
            "5:18: error[unset-variable]: The variable CODE is not set. "
            "Set it in the environment, or write ${CODE:-default}.",
            f'5:29: error[unknown-code]: "tmeout" {NEITHER} Did you mean "timeout"?',
            "5:47: error[unset-variable]: The variable PAUSE is not set. "
            "Set it in the environment, or write ${PAUSE:-default}.",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_finding_says_where_it_is_and_what_to_do(findings, name):
    text, expected = CASES[name]
    assert findings(HEAD + text) == expected


def test_the_codes_of_the_documented_faults_are_known():
    semantics = Path(__file__).parents[3] / "docs" / "semantics.md"
    named = re.findall(r"[Ff]aults? ((?:`\w+`(?:, | or | and )?)+)", semantics.read_text())
    codes = {code for run in named for code in re.findall(r"`(\w+)`", run) if code.islower()}
    assert "too_many_hops" in codes
    assert codes <= set(FAULT_CODES)

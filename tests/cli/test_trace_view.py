"""How a trace looks: nothing of it vanishes, however narrow the terminal is."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from xpipe.cli.console import Medium, Printer
from xpipe.cli.documents import TracedCallRow
from xpipe.cli.text import columns
from xpipe.cli.trace import EXAMPLES
from xpipe.cli.trace_view import TraceView, attempt_line
from xpipe.core.messages import ConversationRecord, HopRecord, Message
from xpipe.inspection.tracing import Attempt, Handled, Trace, TracedCall
from xpipe.ports import ThreadRecord


def call(listener: str, at: float, process: str, **others: Any) -> TracedCall:
    thread = ThreadRecord("t", "c", f"system.o.cli-1.{listener}", listener, "done", 1, 1, "", "", at)
    request = Message("id", "request", "c", "cli-1", listener, "OrderConfirmation", b"", "id", 1, at=at)
    attempt = Attempt(1, at + 0.1, at + 0.2, process, "", 0.0, True)
    made = TracedCall(thread, "cli-1", [Handled(request, [attempt])], "done", **others)
    made.reply = Message("id!", "response", "c", listener, "cli-1", "ShippingLabel", b"", "id", 1, at=at + 0.2)
    return made


def trace() -> Trace:
    inner = [call("warehouse.picking", 11.0, "host-one:4711"), call("printer", 12.0, "host-two:4712")]
    conversation = ConversationRecord("c" * 36, "system.o.cli-1", "done", "", 10.0, 14.0, 1, 1, 3)
    return Trace(conversation, "cli-1", [call("orders", 10.0, "host-one:4711", calls=inner)], 3, 0, 0, 14.0)


def shown(width: int | None) -> list[str]:
    return "\n".join(TraceView(Printer(Medium(width, color=False, live=False)), trace(), False, None).lines()).split(
        "\n"
    )


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 120, 160, 200])
def test_a_trace_fits_its_terminal_and_keeps_its_tree_and_every_value(width: int) -> None:
    lines = shown(width)

    assert all(columns(line) <= width for line in lines[2:]), lines
    text = " ".join(" ".join(lines).replace("│", " ").split())
    for value in ("warehouse.picking", "OrderConfirmation", "-> ShippingLabel", "host-one:4711", "host-two:4712"):
        assert value in text or value.replace(" ", "") in text.replace(" ", "")
    assert text.replace(" ", "").count("100ms") >= 6  # Each has waited and run so long.
    assert "█" in text
    calls = [line for line in lines if re.match(r"(├─|└─|orders)", line)]
    assert [line.split()[0] for line in calls] == ["orders", "├─", "└─"]
    below = lines[lines.index(calls[1]) : lines.index(calls[2])]
    assert all(line.startswith(("├", "│")) for line in below), "what is folded stays within the tree"


def test_a_pipe_gets_whole_rows() -> None:
    [row] = [line for line in shown(None) if "warehouse" in line]
    assert row.startswith("├─ warehouse.picking  OrderConfirmation -> ShippingLabel  done")
    assert row.endswith("host-one:4711")


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "UTC"])
def test_an_attempt_is_told_with_the_time_of_day_alone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        line = attempt_line(HopRecord("m", "echo", 1, 1_700_000_000.0, 1_700_000_000.5, "host:1"))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert re.fullmatch(r"\d\d:\d\d:20\.500  echo  done in 500 ms  host:1", line)


def test_the_example_for_jq_picks_keys_that_there_are() -> None:
    [keys] = re.findall(r"\{(.*?)\}", EXAMPLES)
    assert set(keys.split(", ")) <= TracedCallRow.__required_keys__

"""orders: every invoice agrees with one reckoned here from the XML in whole cents, without Decimal or xpipe."""

from __future__ import annotations

import csv
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

XpipeRun = Callable[..., subprocess.CompletedProcess[str]]
Prices = dict[str, dict[str, str]]

FOLDER = Path(__file__).parents[2] / "organisms" / "orders"
ORGANISM = "organisms/orders/organism.yaml"
SAMPLE = FOLDER / "orders.xml"
CLEAN = FOLDER / "orders-clean.xml"


def prices() -> Prices:
    with (FOLDER / "prices.csv").open(encoding="utf-8", newline="") as lines:
        return {row["article"]: row for row in csv.DictReader(lines)}


def lines_of(order: ElementTree.Element) -> list[tuple[str, str]]:
    lines = order.find("lines")
    assert lines is not None
    return [(line.findtext("article", ""), line.findtext("quantity", "")) for line in lines]


def is_good(order: ElementTree.Element) -> bool:
    return all(quantity.isdigit() and article in prices() for article, quantity in lines_of(order))


def good_orders(file: Path) -> list[ElementTree.Element]:
    return [order for order in ElementTree.parse(file).iter("Order") if is_good(order)]


def euros(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def round_half_up(amount: Fraction) -> int:
    return (2 * amount.numerator + amount.denominator) // (2 * amount.denominator)


def expected_position(article: str, quantity: int, discount: Fraction) -> tuple[dict[str, Any], int, int]:
    row = prices()[article]
    net = round_half_up(Fraction(row["price"]) * 100 * quantity * (100 - discount) / 100)
    vat = round_half_up(net * Fraction(row["vat"]) / 100)
    shown = {"article": article, "title": row["title"], "quantity": quantity, "price": row["price"]}
    return shown | {"net": euros(net), "vat": euros(vat)}, net, vat


def expected_invoice(order: ElementTree.Element) -> dict[str, Any]:
    discount = Fraction(order.findtext("discount", "0"))
    reckoned = [expected_position(article, int(quantity), discount) for article, quantity in lines_of(order)]
    reckoned.append(expected_position(f"shipping-{order.findtext('shipping', 'standard')}", 1, Fraction(0)))
    net, vat = sum(one[1] for one in reckoned), sum(one[2] for one in reckoned)
    issued = date.fromisoformat(order.findtext("ordered", ""))
    return {
        "number": f"I-{order.findtext('number')}",
        "customer": order.findtext("customer"),
        "issued": issued.isoformat(),
        "due": date.fromordinal(issued.toordinal() + 14).isoformat(),
        "positions": [one[0] for one in reckoned],
        "net": euros(net),
        "vat": euros(vat),
        "total": euros(net + vat),
        "currency": "EUR",
        "note": order.findtext("note"),
    }


def payloads(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [output["payload"] for output in document["outputs"] if output["kind"] == kind]


def by_number(invoices: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({invoice["number"] for invoice in invoices}) == len(invoices)
    return {invoice["number"]: invoice for invoice in invoices}


def invoice_elements(text: str) -> Iterator[ElementTree.Element]:
    """The invoices in `text`, be they elements one after the other or below one root."""
    body = re.sub(r"<\?xml.*?\?>", "", text)
    return ElementTree.fromstring(f"<all>{body}</all>").iter("Invoice")


@pytest.fixture(scope="module")
def sample_run(xpipe_run: XpipeRun) -> subprocess.CompletedProcess[str]:
    return xpipe_run(ORGANISM, "--input", str(SAMPLE), "--json")


@pytest.fixture(scope="module")
def sample(sample_run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(sample_run.stdout)
    return document


def test_every_good_order_of_the_sample_becomes_the_right_invoice(sample: dict[str, Any]) -> None:
    expected = by_number([expected_invoice(order) for order in good_orders(SAMPLE)])
    assert len(expected) == 6
    assert by_number([{"note": None} | invoice for invoice in payloads(sample, "response")]) == expected


def test_a_hand_reckoned_invoice_has_the_right_total(sample: dict[str, Any]) -> None:
    # 2 x 8.90 = 17.80 + 7 % 1.25 (1.246); 12.50 + 19 % 2.38 (2.375); shipping 4.90 + 19 % 0.93 (0.931)
    invoice = by_number(payloads(sample, "response"))["I-2024-0101"]
    assert (invoice["net"], invoice["vat"], invoice["total"]) == ("35.20", "4.56", "39.76")


def test_both_bad_orders_of_the_sample_are_reported_and_it_exits_1(
    sample_run: subprocess.CompletedProcess[str], sample: dict[str, Any]
) -> None:
    assert sample_run.returncode == 1, sample_run.stderr
    malformed, refused = sorted(payloads(sample, "fault"), key=lambda fault: str(fault["origin"]) == "check")
    assert "quantity" in malformed["text"]
    assert "order 2024-0106: unknown article 'samovar'" in refused["text"]
    assert refused["origin"] == "check"


def test_the_clean_sample_is_invoiced_completely_and_exits_0(xpipe_run: XpipeRun) -> None:
    run = xpipe_run(ORGANISM, "--input", str(CLEAN), "--json")
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    expected = by_number([expected_invoice(order) for order in good_orders(CLEAN)])
    assert len(expected) == len(list(ElementTree.parse(CLEAN).iter("Order")))
    assert by_number([{"note": None} | invoice for invoice in payloads(document, "response")]) == expected
    assert document["faults"] == []


def test_the_invoices_are_written_as_xml(xpipe_run: XpipeRun, tmp_path: Path) -> None:
    out = tmp_path / "invoices.xml"
    run = xpipe_run(ORGANISM, "--input", str(SAMPLE), "--out", str(out), "--format", "xml")
    assert run.returncode == 1, run.stderr
    written = {
        invoice.findtext("number"): (invoice.findtext("customer"), invoice.findtext("total"))
        for invoice in invoice_elements(out.read_text(encoding="utf-8"))
    }
    expected = [expected_invoice(order) for order in good_orders(SAMPLE)]
    assert written == {invoice["number"]: (invoice["customer"], invoice["total"]) for invoice in expected}


def test_a_refusal_names_everything_that_is_wrong_with_the_order(xpipe_run: XpipeRun) -> None:
    order = {
        "number": "7",
        "customer": "Nobody",
        "ordered": "2024-03-01",
        "lines": [{"article": "mug", "quantity": 0}, {"article": "yacht", "quantity": 1}],
        "discount": "120",
    }
    run = xpipe_run(ORGANISM, "--send", f"order={json.dumps(order)}", "--json")
    assert run.returncode == 1, run.stderr
    [fault] = payloads(json.loads(run.stdout), "fault")
    assert (
        "order 7: a discount of 120 % is not between 0 and 100; 0 pieces of 'mug' cannot be delivered; "
        "unknown article 'yacht'" in fault["text"]
    )


@pytest.mark.parametrize("wrong", [{"shipping": "pigeon"}, {"ordered": "2023-02-29"}, {"discount": "a lot"}])
def test_a_wrong_value_is_a_fault_that_names_its_field(xpipe_run: XpipeRun, wrong: dict[str, str]) -> None:
    order = {"number": "8", "customer": "Ada", "ordered": "2024-03-01", "lines": [{"article": "mug", "quantity": 1}]}
    run = xpipe_run(ORGANISM, "--send", f"order={json.dumps(order | wrong)}", "--json")
    assert run.returncode == 1, run.stderr
    [fault] = payloads(json.loads(run.stdout), "fault")
    assert next(iter(wrong)) in fault["text"]

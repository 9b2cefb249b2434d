"""From an order to its invoice in three steps, none of which knows that it is a step."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum
from pathlib import Path
from typing import Literal, NamedTuple

from xpipe import SequenceComplete, SequenceStart

TIME_TO_PAY = timedelta(days=14)


class Shipping(Enum):
    """How the goods travel."""

    STANDARD = "standard"
    EXPRESS = "express"


@dataclass
class OrderLine:
    """So many pieces of one article."""

    article: str
    quantity: int


@dataclass
class Order:
    """What a customer wants. `discount` is in percent and does not apply to shipping."""

    number: str
    customer: str
    ordered: date
    lines: list[OrderLine]
    shipping: Shipping = Shipping.STANDARD
    discount: Decimal = Decimal(0)
    note: str | None = None


@dataclass
class OpenOrder:
    """An order to be checked. A class of its own, so that an `<Order>` in a file can only be meant for `order`."""

    order: Order


@dataclass
class CheckedOrder:
    """An order that can be delivered."""

    order: Order


@dataclass
class Position:
    """One line of an invoice; `price` is for one piece, `net` and `vat` are for all of them."""

    article: str
    title: str
    quantity: int
    price: Decimal
    net: Decimal
    vat: Decimal


@dataclass
class PricedOrder:
    """An order and what it costs."""

    order: Order
    positions: list[Position]


@dataclass
class Invoice:
    """What the customer has to pay, and when."""

    number: str
    customer: str
    issued: date
    due: date
    positions: list[Position]
    net: Decimal
    vat: Decimal
    total: Decimal
    currency: Literal["EUR"] = "EUR"
    note: str | None = None


class Article(NamedTuple):
    """A line of the price list; `vat` is in percent."""

    title: str
    price: Decimal
    vat: Decimal


def read_prices(file: Path) -> dict[str, Article]:
    """The price list, by article."""
    with file.open(encoding="utf-8", newline="") as lines:
        return {
            row["article"]: Article(row["title"], Decimal(row["price"]), Decimal(row["vat"]))
            for row in csv.DictReader(lines)
        }


PRICES = read_prices(Path(__file__).with_name("prices.csv"))


async def take_order(payload: Order | SequenceComplete) -> SequenceStart | Invoice:
    """Called twice: with the order, and with what came of it. A failed step ends the order without asking us."""
    if isinstance(payload, Order):
        return SequenceStart(steps=["check", "price", "invoice"], payload=OpenOrder(payload))
    invoice: Invoice = payload.result
    return invoice


async def check_order(candidate: OpenOrder) -> CheckedOrder:
    """Pass the order on, or refuse it with everything that is wrong with it."""
    if problems := list(problems_of(candidate.order)):
        raise ValueError(f"order {candidate.order.number}: {'; '.join(problems)}")
    return CheckedOrder(candidate.order)


async def price_order(checked: CheckedOrder) -> PricedOrder:
    """Work out what each line costs. Shipping is one more line."""
    order = checked.order
    positions = [position(line.article, line.quantity, order.discount) for line in order.lines]
    positions.append(position(f"shipping-{order.shipping.value}", quantity=1, discount=Decimal(0)))
    return PricedOrder(order, positions)


async def write_invoice(priced: PricedOrder) -> Invoice:
    """Add up."""
    order, positions = priced.order, priced.positions
    net = sum((one.net for one in positions), Decimal(0))
    vat = sum((one.vat for one in positions), Decimal(0))
    return Invoice(
        number=f"I-{order.number}",
        customer=order.customer,
        issued=order.ordered,
        due=order.ordered + TIME_TO_PAY,
        positions=positions,
        net=net,
        vat=vat,
        total=net + vat,
        note=order.note,
    )


def problems_of(order: Order) -> Iterator[str]:
    """Everything that keeps `order` from being delivered."""
    if not order.lines:
        yield "nothing is ordered"
    if not 0 <= order.discount <= 100:
        yield f"a discount of {order.discount} % is not between 0 and 100"
    for line in order.lines:
        if line.article not in PRICES:
            yield f"unknown article {line.article!r}"
        if line.quantity < 1:
            yield f"{line.quantity} pieces of {line.article!r} cannot be delivered"


def position(article: str, quantity: int, discount: Decimal) -> Position:
    """The invoice line for `quantity` pieces of `article`, rounded to the cent before VAT and again after it."""
    title, price, rate = PRICES[article]
    net = cents(price * quantity * (100 - discount) / 100)
    return Position(article, title, quantity, price, net, vat=cents(net * rate / 100))


def cents(amount: Decimal) -> Decimal:
    """`amount` with two digits after the point; half a cent goes up."""
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)

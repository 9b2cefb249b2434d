"""What a handler may be and do, and what becomes of it: every kind, every way to end."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from runtime.living import answer, ask, assert_nothing_left, fault, inject_many, live, payload, write
from xpipe import HandlerResponse, Organism
from xpipe.core.errors import UsageError

KINDS = """
async def at_once(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1))

async def waits(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.01)
    return respond(Answer(ask.n + 1))

def plain(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1, threading.current_thread().name))

def quick(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1, threading.current_thread().name))

@dataclass(eq=True)
class Adder:
    by: int
    def __call__(self, ask: Ask, m: HandlerMetadata):
        return respond(Answer(ask.n + self.by))

class Awaiting:
    async def __call__(self, ask: Ask, m: HandlerMetadata):
        await asyncio.sleep(0.001)
        return respond(Answer(ask.n + 1))

adder = Adder(1)
awaiting = Awaiting()

def add(by: int, ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + by))

async def add_later(by: int, ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + by))

part = functools.partial(add, 1)
async_part = functools.partial(add_later, 1)

class Holder:
    def method(self, ask: Ask, m: HandlerMetadata):
        return respond(Answer(ask.n + 1))
    @staticmethod
    async def static(ask: Ask, m: HandlerMetadata):
        return respond(Answer(ask.n + 1))

holder = Holder()

def cpu(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1, str(os.getpid())))

async def alone(ask: Ask) -> Answer:
    return Answer(ask.n + 1)

def alone_in_thread(ask: Ask) -> Answer:
    return Answer(ask.n + 1)

def alone_in_worker(ask: Ask) -> Answer:
    return Answer(ask.n + 1)

class Simple:
    def __call__(self, ask: Ask) -> Answer:
        return Answer(ask.n + 1)
    def method(self, ask: Ask) -> Answer:
        return Answer(ask.n + 1)

simple = Simple()

def by_keyword(ask: Ask, *, metadata: HandlerMetadata) -> Answer:
    return Answer(ask.n + metadata.attempt)

async def with_default(ask: Ask, by: int = 1) -> Answer:
    return Answer(ask.n + by)

async def with_metadata(ask: Ask, metadata: HandlerMetadata | None = None) -> Answer:
    return Answer(ask.n + (metadata.attempt if metadata else 100))

def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

def checked(function):
    @functools.wraps(function)
    async def wrapper(ask, metadata):
        return await function(ask)
    return wrapper

@traced
def decorated(ask: Ask) -> Answer:
    return Answer(ask.n + 1)

@checked
async def decorated_with_two(ask: Ask) -> Answer:
    return Answer(ask.n + 1)

def any_arguments(*args: Any) -> Answer:
    return Answer(args[0].n + len(args) - 1)
"""

ALL_KINDS: dict[str, dict[str, Any]] = {
    "at_once": {},
    "waits": {},
    "plain": {},
    "quick": {"inline": True},
    "adder": {},
    "awaiting": {},
    "part": {},
    "async_part": {},
    "bound": {"handler": "handlers.py:holder.method"},
    "static": {"handler": "handlers.py:Holder.static"},
    "cpu": {"cpu_bound": True},
    "alone": {},
    "alone_in_thread": {},
    "alone_in_worker": {"cpu_bound": True},
    "simple": {},
    "simple_method": {"handler": "handlers.py:simple.method"},
    "by_keyword": {},
    "with_default": {},
    "with_metadata": {},
    "decorated": {},
    "decorated_with_two": {},
    "any_arguments": {"payload_class": "handlers.py:Ask"},
}


def test_every_kind_of_handler_answers(tmp_path: Path) -> None:
    path = write(tmp_path, KINDS, ALL_KINDS)

    async def scenario(organism: Organism) -> dict[str, int]:
        return {name: (await answer(organism, name, n=41)).n for name in ALL_KINDS}

    assert live(path, scenario, workers=1) == dict.fromkeys(ALL_KINDS, 42)


def test_a_plain_handler_runs_in_a_thread_and_an_inline_one_on_the_loop(tmp_path: Path) -> None:
    path = write(tmp_path, KINDS, {name: ALL_KINDS[name] for name in ("plain", "quick")})

    async def scenario(organism: Organism) -> list[str]:
        return [(await answer(organism, name)).text for name in ("plain", "quick")]

    assert live(path, scenario) == ["xpipe-handler", "MainThread"]


BLOCKING = """
def blocking(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        time.sleep(0.005)
    return respond(Answer(ask.n))

async def at_once(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

def plain(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""


def test_blocking_plain_handlers_never_stop_others(tmp_path: Path) -> None:
    # Given more blocked handlers than there are threads for them
    path = write(tmp_path, BLOCKING, {"blocking": {"concurrency": 20}, "at_once": {}, "plain": {}})

    async def scenario(organism: Organism) -> None:
        blocked = await inject_many(organism, "blocking", 50)
        # When others are called meanwhile
        assert (await answer(organism, "at_once", n=1)).n == 1
        assert (await answer(organism, "plain", n=2)).n == 2
        assert organism.unfinished == 50
        # Then they answer, and the blocked ones do once they can
        (tmp_path / "go").touch()
        answers = [(await organism.outputs(one))[0].payload.n for one in blocked]
        assert answers == list(range(50))
        assert_nothing_left(organism)

    live(path, scenario)


SLOW = """
async def slow(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.3)
    return respond(Answer(ask.n))
"""


def test_a_thousand_slow_async_handlers_run_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, SLOW, {"slow": {}})

    async def scenario(organism: Organism) -> None:
        await inject_many(organism, "slow", 1_000)
        await organism.idle()
        assert organism.stats.hops == 1_000

    live(path, scenario)  # One after the other they would take 300 s, longer than a test may.


def test_concurrency_bounds_the_handlers_of_a_listener_at_once(tmp_path: Path) -> None:
    code = """
now, most = 0, 0
async def counted(ask: Ask, m: HandlerMetadata):
    global now, most
    now += 1
    most = max(now, most)
    await asyncio.sleep(0.002)
    now -= 1
    return respond(Answer(most))
"""
    path = write(tmp_path, code, {"counted": {"concurrency": 3}})

    async def scenario(organism: Organism) -> int:
        ids = await inject_many(organism, "counted", 60)
        return max([(await organism.outputs(one))[0].payload.n for one in ids])

    assert live(path, scenario) == 3


TASKS = """
seen = contextvars.ContextVar("seen", default="nothing")

async def leaves_a_mark(ask: Ask, m: HandlerMetadata):
    before = seen.get()
    seen.set(f"by {ask.n}")
    if ask.n % 2:
        await asyncio.sleep(0.001)
    async def inner():
        return seen.get()
    inside = await asyncio.create_task(inner())
    return respond(Answer(ask.n, f"{before}, {inside}, {seen.get()}"))

def marks_in_thread(ask: Ask, m: HandlerMetadata):
    before = seen.get()
    seen.set(f"by {ask.n}")
    return respond(Answer(ask.n, before))

async def own_task(ask: Ask, m: HandlerMetadata):
    first = asyncio.current_task()
    await asyncio.sleep(0.001)
    assert first is not None and asyncio.current_task() is first and first.cancelling() == 0
    return respond(Answer(ask.n, type(first).__name__))

async def own_timeout(ask: Ask, m: HandlerMetadata):
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(30)
    except TimeoutError:
        return respond(Answer(asyncio.current_task().cancelling(), "in time"))

async def immediate_timeout(ask: Ask, m: HandlerMetadata):
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(30)
    except TimeoutError:
        return respond(Answer(0, "in time"))

async def waits_for(ask: Ask, m: HandlerMetadata):
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        return respond(Answer(0, "in time"))

async def group(ask: Ask, m: HandlerMetadata):
    async def one(n):
        await asyncio.sleep(0.001)
        return n
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(one(n)) for n in range(10)]
    return respond(Answer(sum(task.result() for task in found)))

async def failing_group(ask: Ask, m: HandlerMetadata):
    async def fail():
        raise ValueError("inner")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())
        tasks.create_task(asyncio.sleep(30))
        await asyncio.sleep(30)

async def in_thread(ask: Ask, m: HandlerMetadata):
    return respond(Answer(await asyncio.to_thread(lambda: ask.n + 1)))

async def futures(ask: Ask, m: HandlerMetadata):
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, future.set_exception, KeyError("later"))
    try:
        await future
    except KeyError as error:
        return respond(Answer(1, str(error)))
"""


@pytest.mark.parametrize("listener", ["leaves_a_mark", "marks_in_thread"])
def test_context_variables_do_not_leak_from_one_message_to_the_next(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, TASKS, {listener: {}})

    async def scenario(organism: Organism) -> list[str]:
        ids = await inject_many(organism, listener, 200)
        return [(await organism.outputs(one))[0].payload.text for one in ids]

    texts = live(path, scenario)
    assert {text.split(",")[0] for text in texts} == {"nothing"}
    if listener == "leaves_a_mark":
        assert texts == [f"nothing, by {n}, by {n}" for n in range(200)]


def test_an_async_handler_has_a_working_task_of_its_own(tmp_path: Path) -> None:
    names = ("own_task", "own_timeout", "immediate_timeout", "waits_for", "group", "in_thread", "futures")
    path = write(tmp_path, TASKS, {name: {} for name in names})

    async def scenario(organism: Organism) -> dict[str, tuple[int, str]]:
        found = {}
        for _ in range(3):  # Runners are used again: one handler's cancellation must not reach the next.
            for name in names:
                got = await answer(organism, name, n=7)
                found[name] = got.n, got.text
        return found

    assert live(path, scenario) == {
        "own_task": (7, "Task"),
        "own_timeout": (0, "in time"),
        "immediate_timeout": (0, "in time"),
        "waits_for": (0, "in time"),
        "group": (45, ""),
        "in_thread": (8, ""),
        "futures": (1, "'later'"),
    }


def test_a_failing_task_group_is_the_fault_of_its_handler(tmp_path: Path) -> None:
    path = write(tmp_path, TASKS, {"failing_group": {}, "own_task": {}})

    async def scenario(organism: Organism) -> tuple[str, str]:
        found = await fault(organism, "failing_group")
        assert (await answer(organism, "own_task", n=1)).n == 1
        return found.code, found.text

    assert live(path, scenario) == (
        "exception",
        "ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
    )


SELF_CANCELLING = """
async def cancels_itself(ask: Ask, m: HandlerMetadata):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)

async def swallows_its_own_cancel(ask: Ask, m: HandlerMetadata):
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        pass
    return respond(Answer(1))

async def leaves_a_cancel_behind(ask: Ask, m: HandlerMetadata):
    asyncio.current_task().cancel()
    return respond(Answer(2))

async def leaves_one_after_waiting(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.001)
    asyncio.current_task().cancel()
    return respond(Answer(3))

async def cancels_later(ask: Ask, m: HandlerMetadata):
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, task.cancel)
    return respond(Answer(4))

async def at_once(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))

async def waits(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.02)
    return respond(Answer(ask.n))

async def fails_later(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.001)
    raise ValueError("mine")
"""


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ("cancels_itself", ("fault", "exception")),
        ("swallows_its_own_cancel", ("response", 1)),
        ("leaves_a_cancel_behind", ("response", 2)),
        ("leaves_one_after_waiting", ("response", 3)),
        ("cancels_later", ("response", 4)),
    ],
)
def test_a_handler_that_cancels_its_own_task_harms_nobody_else(
    tmp_path: Path, listener: str, expected: tuple[str, Any]
) -> None:
    path = write(tmp_path, SELF_CANCELLING, {listener: {}, "at_once": {}, "waits": {}, "fails_later": {}})

    async def scenario(organism: Organism) -> None:
        for _ in range(3):
            others = [*await inject_many(organism, "waits", 5), *await inject_many(organism, "at_once", 5)]
            [output] = await ask(organism, listener)
            assert (output.kind, output.payload.code if output.kind == "fault" else output.payload.n) == expected
            for index, one in enumerate(others):
                assert [output.payload.n for output in await organism.outputs(one)] == [index % 5]
            assert (await fault(organism, "fails_later")).text == "ValueError: mine"
        assert_nothing_left(organism)

    live(path, scenario, deadline=10)


ENDINGS = """
from xpipe import Retry

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no words")

def raises(*_):
    raise KeyboardInterrupt("an attribute")

class Meta(type):
    __name__ = property(raises)

class Hostile(Exception, metaclass=Meta):
    # Everything one can ask it for raises.
    __class__ = __cause__ = __context__ = __suppress_context__ = property(raises)
    __notes__ = __traceback__ = args = property(raises)
    __str__ = __repr__ = raises

class Words(str):
    encode = __getitem__ = __format__ = raises

class Wordy(Exception):
    def __str__(self):
        return Words("words")

class Asking(Retry):
    after = property(raises, lambda *_: None)

def circle():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first

def end(how):
    if how == "hostile": raise Hostile
    if how == "hostile_group": raise ExceptionGroup("many", [Wordy(), circle(), *([ValueError()] * 1_000)])
    if how == "wordy": raise Wordy
    if how == "asking": raise Asking("again")
    if how == "circle": raise circle()
    if how == "exit": sys.exit(3)
    if how == "interrupt": raise KeyboardInterrupt
    if how == "cancelled": raise asyncio.CancelledError("really")
    if how == "generator": raise GeneratorExit
    if how == "stop": raise StopIteration(3)
    if how == "mute": raise Mute
    if how == "surrogate": raise ValueError("name \\udc80 end")
    if how == "nul": raise ValueError("a\\x00b")
    if how == "long": raise ValueError("x" * 10_000_000)
    if how == "group": raise BaseExceptionGroup("many", [KeyboardInterrupt(), ValueError("v")])
    if how == "memory": raise MemoryError
    if how == "recursion": return end(how)
    if how == "bottom": raise LookupError("at the bottom")
    if how == "deep":
        def dive(n): return dive(n - 1) if n else end("bottom")
        return dive(500)
    if how == "number": return 42
    if how == "payload": return Answer
    if how == "text": return "garbage"
    if how == "mixed": return [respond(Answer(1)), Answer(2)]
    if how == "generator_object": return (respond(Answer(n)) for n in range(2))
    if how == "unknown": return respond(Path("/"))
    if how == "alien": return respond(Alien())
    if how == "no_text": return HandlerResponse(Answer(1), to=7)
    if how == "surrogate_to": return HandlerResponse(Answer(1), to="x\\udc80")
    if how == "surrogate_payload": return respond(Answer(1, "\\udc80"))
    if how == "wrong_field": return respond(Answer("seven"))
    if how == "unencodable": return respond(Answer(1, object()))
    if how == "huge_number": return respond(Answer(1 << 70))
    if how == "itself":
        answer = Answer(1); answer.text = answer
        return respond(answer)
    if how == "not_found": return HandlerResponse(Answer(1), to="nobody")

def make_alien():
    @dataclass
    class Alien:
        n: int = 1
    return Alien
Alien = make_alien()
del make_alien

async def on_loop(ask: Ask, m: HandlerMetadata):
    return end(ask.text)

async def after_waiting(ask: Ask, m: HandlerMetadata):
    await asyncio.sleep(0.001)
    return end(ask.text)

def in_thread(ask: Ask, m: HandlerMetadata):
    return end(ask.text)

def on_loop_inline(ask: Ask, m: HandlerMetadata):
    return end(ask.text)

def in_worker(ask: Ask, m: HandlerMetadata):
    return end(ask.text)
"""

PLACES: dict[str, dict[str, Any]] = {
    "on_loop": {},
    "after_waiting": {},
    "in_thread": {},
    "on_loop_inline": {"inline": True},
    "in_worker": {"cpu_bound": True},
}

EXPECTED = {
    "hostile": ("exception", "Hostile: (its text cannot be shown)"),
    "hostile_group": ("exception", "ExceptionGroup: many (1002 sub-exceptions)"),
    "wordy": ("exception", "Wordy: words"),
    "asking": ("exception", "KeyboardInterrupt: an attribute"),
    "circle": ("exception", "ValueError: first"),
    "exit": ("exception", "SystemExit: 3"),
    "interrupt": ("exception", "KeyboardInterrupt"),
    "cancelled": ("exception", "CancelledError: really"),
    "generator": ("exception", "GeneratorExit"),
    "mute": ("exception", "Mute: (its text cannot be shown)"),
    "surrogate": ("exception", "ValueError: name \\udc80 end"),
    "nul": ("exception", "ValueError: a\x00b"),
    "long": ("exception", "ValueError: xxx"),
    "group": ("exception", "BaseExceptionGroup: many (2 sub-exceptions)"),
    "memory": ("exception", "MemoryError"),
    "recursion": ("exception", "RecursionError: "),
    "deep": ("exception", "LookupError: at the bottom"),
    "number": ("bad_response", "the handler returned an int; "),
    "payload": ("bad_response", "the handler returned the class Answer instead of an instance of it; "),
    "text": ("bad_response", "the handler returned a str; "),
    "mixed": ("bad_response", "the handler returned a list with several answers, "),
    "generator_object": ("bad_response", "the handler returned a generator; "),
    "unknown": ("unknown_type", "PosixPath is no payload type of this organism "),
    "no_text": ("bad_response", "`to` is a int; name a listener"),
    "surrogate_to": ("", ""),
    "surrogate_payload": ("bad_payload", "Answer.text cannot be encoded: "),
    "wrong_field": ("bad_payload", "Answer: "),
    "unencodable": ("bad_payload", "Answer.text cannot be encoded: "),
    "huge_number": ("bad_payload", "Answer.n cannot be encoded: "),
    "itself": ("bad_payload", "Answer"),
    "not_found": ("unknown_target", "{listener} sends to nobody, and there is no listener of that name"),
}


@pytest.mark.parametrize("listener", PLACES)
def test_whatever_a_handler_does_becomes_a_fault_and_the_organism_goes_on(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, ENDINGS, {listener: PLACES[listener]})

    async def scenario(organism: Organism) -> None:
        for how, (code, text) in EXPECTED.items():
            found = await fault(organism, listener, text=how)
            assert (how, found.code if code else "") == (how, code)
            assert found.text.startswith(text.format(listener=listener)), (how, found.text)
            assert (found.origin, found.attempt, found.hop) == (listener, 1, 1)
            assert len(found.text) <= 10_000
            assert len(found.traceback) <= 20_000
            assert "/xpipe/" not in found.traceback
        assert organism.stats.fault_count == len(EXPECTED)
        assert organism.pool is None or organism.pool.restarts <= 1  # The one without memory.
        assert_nothing_left(organism)

    live(path, scenario, workers=1)


@pytest.mark.parametrize("listener", PLACES)
def test_a_fault_shows_the_handlers_own_lines(tmp_path: Path, listener: str) -> None:
    path = write(tmp_path, ENDINGS, {listener: PLACES[listener]})

    async def scenario(organism: Organism) -> list[str]:
        return [
            (await fault(organism, listener, text=how)).traceback for how in ("deep", "recursion", "mute", "hostile")
        ]

    deep, recursion, mute, hostile = live(path, scenario, workers=1)
    assert deep.startswith("Traceback (most recent call last):\n")
    assert "raise Hostile\n" in hostile
    assert hostile.endswith("Hostile: (its text cannot be shown)\n")
    assert deep.endswith("LookupError: at the bottom\n")
    assert "return dive(n - 1) if n else end(" in deep
    assert len(deep) < 2_000
    assert "RecursionError" in recursion
    assert len(recursion) < 2_000
    assert str(tmp_path / "handlers.py") in mute
    assert f"in {listener}\n    return end(ask.text)" in mute
    assert mute.count("File ") == 2


def test_a_stop_iteration_of_a_handler_is_a_fault_like_any(tmp_path: Path) -> None:
    path = write(tmp_path, ENDINGS, PLACES)

    async def scenario(organism: Organism) -> list[str]:
        return [(await fault(organism, listener, text="stop")).code for listener in PLACES]

    assert live(path, scenario, workers=1) == ["exception"] * len(PLACES)


def test_a_cause_is_shown_with_the_fault(tmp_path: Path) -> None:
    code = """
async def chained(ask: Ask, m: HandlerMetadata):
    try:
        {}["absent"]
    except KeyError as error:
        raise ValueError("no such article") from error
"""
    path = write(tmp_path, code, {"chained": {}})

    async def scenario(organism: Organism) -> str:
        return (await fault(organism, "chained")).traceback

    shown = live(path, scenario)
    assert shown.index("KeyError: 'absent'") < shown.index("ValueError: no such article")


def test_several_responses_of_one_handler_all_go_out(tmp_path: Path) -> None:
    code = """
async def teller(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Ask):
        return [HandlerResponse(Ask(n), to="echo") for n in range(3)] + [respond(Answer(100))]
    seen.append(ask.n)
seen = []
async def echo(ask: Ask, m: HandlerMetadata):
    return (respond(Answer(ask.n)),)
async def tell(ask: Ask, m: HandlerMetadata):
    return respond(Answer(0, str(sorted(seen))))
"""
    path = write(tmp_path, code, {"teller": {}, "echo": {}, "tell": {}})

    async def scenario(organism: Organism) -> str:
        assert (await answer(organism, "teller")).n == 100
        return (await answer(organism, "tell")).text

    assert live(path, scenario) == "[0, 1, 2]"


def test_none_and_an_empty_list_end_a_conversation_without_output(tmp_path: Path) -> None:
    code = """
async def none(ask: Ask, m: HandlerMetadata): return None
def empty(ask: Ask, m: HandlerMetadata): return []
"""
    path = write(tmp_path, code, {"none": {}, "empty": {}})

    async def scenario(organism: Organism) -> tuple[list[Any], list[Any], int]:
        found = await ask(organism, "none"), await ask(organism, "empty"), organism.stats.unanswered
        assert_nothing_left(organism)
        return found

    assert live(path, scenario) == ([], [], 2)


def test_a_handler_with_a_wrong_signature_cannot_be_registered(tmp_path: Path) -> None:
    path = write(tmp_path, KINDS, {"at_once": {}})

    async def no_arguments() -> None: ...

    def three(ask: Any, metadata: Any, more: Any) -> None: ...

    async def scenario(organism: Organism) -> None:
        for handler, shown in ((no_arguments, "no_arguments()"), (three, "three(ask, metadata, more)")):
            with pytest.raises(UsageError) as raised:
                organism.register_generic_listener("a", handler)
            expected = f"must take a payload, and may take metadata, but is {shown}. "
            assert str(raised.value).split(" ", 1)[1].startswith(expected)
        organism.register_generic_listener("echo", lambda payload: payload)
        assert await answer(organism, "echo", n=3) == payload(organism, n=3)

    live(path, scenario)


def test_an_unhashable_callable_can_be_registered(tmp_path: Path) -> None:
    path = write(tmp_path, KINDS, {"at_once": {}})

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, ask: Any, metadata: Any) -> HandlerResponse:
            del metadata
            return HandlerResponse.respond(ask)

    async def scenario(organism: Organism) -> int:
        organism.register_generic_listener("echo", Unhashable())
        return int((await answer(organism, "echo", n=5)).n)

    assert live(path, scenario) == 5


def test_metadata_tells_a_handler_who_calls_and_what_was_said(tmp_path: Path) -> None:
    code = """
def tell(m):
    return (f"{m.from_id} {m.own_name} {m.is_self_call} {m.attempt} "
            + " ".join(f"{slot.index}:{slot.kind}:{slot.type}:{slot.payload.n}" for slot in m.history))

async def outer(ask: Ask | Answer, m: HandlerMetadata):
    if isinstance(ask, Answer):
        if ask.n < 3:
            return HandlerResponse(Ask(ask.n), to="inner")
        return respond(Answer(ask.n, f"{ask.text} / {tell(m)}"))
    return HandlerResponse(Ask(ask.n), to="inner")

def in_worker(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1, tell(m)))

def in_thread(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n + 1, tell(m)))
"""

    async def scenario(organism: Organism) -> str:
        return str((await answer(organism, "outer", n=1)).text)

    for inner in ("in_worker", "in_thread"):
        folder = tmp_path / inner
        folder.mkdir()
        options = {"handler": f"handlers.py:{inner}", "cpu_bound": inner == "in_worker"}
        path = write(folder, code, {"outer": {}, "inner": options})
        text = live(path, scenario, workers=1)
        assert text == (
            "outer inner False 1 0:request:Ask:1 1:request:Ask:2 / "
            "inner outer False 1 0:request:Ask:1 1:response:Answer:2 2:response:Answer:3"
        )


def test_ids_tell_a_handler_nothing_about_the_topology(tmp_path: Path) -> None:
    code = """
async def secretive(ask: Ask, m: HandlerMetadata):
    return respond(Answer(0, f"{m.thread_id} {m.conversation_id} {m.message_id}"))
"""
    path = write(tmp_path, code, {"secretive": {}})

    async def scenario(organism: Organism) -> tuple[str, str]:
        first, second = [(await answer(organism, "secretive")).text for _ in range(2)]
        return first, second

    first, second = live(path, scenario)
    assert not set(first.split()) & set(second.split())
    assert "secretive" not in first
    assert "living" not in first


def test_the_event_loop_stays_free_while_many_handlers_are_busy(tmp_path: Path) -> None:
    code = """
async def busy(ask: Ask, m: HandlerMetadata):
    return HandlerResponse(Ask(ask.n - 1), to="busy") if ask.n else respond(Answer(0))
"""
    path = write(tmp_path, code, {"busy": {}}, limits={"slots_per_thread": 100_000})

    async def scenario(organism: Organism) -> int:
        await organism.inject_all(
            [organism.intake.injection("api", "busy", payload(organism, n=200)) for _ in range(50)]
        )
        turns = 0
        while organism.unfinished:
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert live(path, scenario) > 20  # 10,000 hops


@pytest.mark.parametrize("where", ["on_loop", "in_thread", "in_worker"])
def test_a_fault_that_cannot_be_completed_is_a_fault_of_its_handler(tmp_path: Path, where: str) -> None:
    code = """
@dataclass
class Odd(Fault):
    def __post_init__(self):
        if self.hop:
            raise ValueError("no hops, please")

async def on_loop(ask: Ask, m: HandlerMetadata):
    return respond(Odd("mine", "text"))

def in_thread(ask: Ask, m: HandlerMetadata):
    return respond(Odd("mine", "text"))

in_worker = in_thread
"""
    path = write(tmp_path, code, {where: {"cpu_bound": where == "in_worker"}}, process_pool={"workers": 1})

    async def scenario(organism: Organism) -> None:
        told = await fault(organism, where)
        assert (told.code, told.text, told.origin) == ("bad_payload", "Odd: ValueError: no hops, please", where)
        assert_nothing_left(organism)

    live(path, scenario)


@pytest.mark.parametrize("where", ["on_loop", "in_thread", "in_worker"])
def test_a_bug_in_the_pump_is_told_to_who_waits_wherever_the_handler_ran(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
async def on_loop(ask: Ask, m: HandlerMetadata):
    return respond(Answer())

def in_thread(ask: Ask, m: HandlerMetadata):
    return respond(Answer())

in_worker = in_thread
"""
    path = write(tmp_path, code, {where: {"cpu_bound": where == "in_worker"}}, process_pool={"workers": 1})

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("xpipe.runtime.router.Router.route", broken)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        live(path, lambda organism: fault(organism, where), deadline=10)


def test_slow_plain_handlers_in_all_threads_hold_up_no_other_listener(tmp_path: Path) -> None:
    code = """
def slow(ask: Ask, m: HandlerMetadata):
    while not (HERE / "go").exists():
        time.sleep(0.01)
    return respond(Answer(threading.active_count()))

def quick(ask: Ask, m: HandlerMetadata):
    return respond(Answer(ask.n))
"""
    path = write(tmp_path, code, {"slow": {"timeout": 0}, "quick": {}})

    async def scenario(organism: Organism) -> None:
        before = threading.active_count()
        ids = await inject_many(organism, "slow", 100)
        await asyncio.sleep(0.1)
        for n in range(3):
            assert (await answer(organism, "quick", n=n)).n == n
        (tmp_path / "go").touch()
        most = max([(await organism.outputs(one))[0].payload.n for one in ids])
        assert most <= before + 34  # 32 for handlers, one for `quick`, one to spare.
        assert_nothing_left(organism)

    live(path, scenario)

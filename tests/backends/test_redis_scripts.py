"""How the Lua scripts are put together."""

from __future__ import annotations

from xpipe.backends.redis_scripts import Part, linked


def test_what_others_give_is_taken_from_their_table() -> None:
    source = "local function touch(t)\n  set(t, 'set', {set = t.set})\n  return t.key == key\nend"

    assert linked(source, {"set": "M[1]", "key": "M[2]", "t": "M[3]"}) == (
        "local function touch(t)\n  M[1](t, 'set', {set = t.set})\n  return t.key == M[2]\nend"
    )


def test_comments_and_names_of_its_own_stay() -> None:
    source = "local key, slot = 1, 2  -- the key\nfor at, name in pairs(key) do put(slot, at, name) end"

    places = {name: f"M[{at}]" for at, name in enumerate(("key", "slot", "at", "name", "put"), 1)}

    assert linked(source, places) == source.replace("put(", "M[5](")


def test_a_part_tells_what_it_gives() -> None:
    assert Part.of("calls").names == ["pump", "number", "known", "mark", "is_again", "MARKED"]

"""How the Lua scripts are put together."""

from __future__ import annotations

from xpipe.backends.redis_scripts import Part, linked


def test_what_others_give_is_taken_from_their_table() -> None:
    source = "local function touch(t)\n  set(t, 'set', {set = t.set})\n  return t.key == key\nend"

    assert linked(source, {"set", "key", "t"}) == (
        "local function touch(t)\n  M.set(t, 'set', {set = t.set})\n  return t.key == M.key\nend"
    )


def test_comments_and_names_of_its_own_stay() -> None:
    source = "local key, slot = 1, 2  -- the key\nfor at, name in pairs(key) do put(slot, at, name) end"

    assert linked(source, {"key", "slot", "at", "name", "put"}) == source.replace("put(", "M.put(")


def test_a_part_tells_what_it_gives() -> None:
    assert Part.of("calls").names == ["pump", "number", "known", "mark", "is_again", "MARKED"]

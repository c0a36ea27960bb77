"""Ways to spoil bytes, text and plain values; every choice comes from the generator that is passed."""

import copy
import json
from random import Random
from typing import Any


NUMBERS = [0, 1, -1, 2, 3, 255, 256, 65535, 65536, -(2**31), 2**31, 2**63, 10**30, 0.5, -0.0, 1e308]
VALUES: list[Any] = [
    None,
    True,
    False,
    *NUMBERS,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "\x00",
    "\ud800",
    "a" * 5000,
    "../../x",
    "ä ß 漢 \u202e",
    "|<b>`\n# x",
    [],
    {},
    [[]],
    [0, 0, 0],
    [1, 2],
    {"id": 1},
    [None],
]
PARTS = [b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff", b"\n", b" ", b",", b"9" * 30]


def bytes_from(random: Random, data: bytes) -> bytes:
    """`data` with a few changes, or cut off, or seldom something else altogether."""
    if random.random() < 0.02:
        return random.randbytes(random.randrange(300))
    spoiled = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4, 16])):
        place = random.randrange(len(spoiled) + 1)
        if random.random() < 0.5:  # headers are at the beginning
            place = min(place, random.randrange(64))
        end = min(len(spoiled), place + random.choice([1, 2, 4, 8, 64]))
        change = random.randrange(6)
        if change == 0:
            spoiled[place:end] = random.randbytes(end - place)
        elif change == 1 and place < len(spoiled):
            spoiled[place] ^= 1 << random.randrange(8)
        elif change == 2:
            del spoiled[place:end]
        elif change == 3:
            spoiled[place:place] = random.choice(PARTS)
        elif change == 4:
            spoiled[place:place] = spoiled[place:end]
        elif random.random() < 0.3:
            del spoiled[place:]
    return bytes(spoiled)


def text_from(random: Random, text: str) -> bytes:
    """A text, spoiled by lines, by words or by bytes."""
    lines = text.split("\n")
    for _ in range(random.choice([0, 1, 1, 2, 5])):
        place = random.randrange(len(lines))
        change = random.randrange(5)
        if change == 0:
            lines.insert(place, random.choice(lines))
        elif change == 1 and len(lines) > 1:
            del lines[place]
        elif change == 2:
            lines[place] = random.choice([" ", ",", ":", ";", "\t", "#", ""]).join(lines[place].split())
        elif change == 3:
            words = lines[place].split(" ")
            words[random.randrange(len(words))] = str(random.choice(VALUES))
            lines[place] = " ".join(words)
        else:
            lines[place] = str(random.choice(VALUES))
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    return bytes_from(random, data) if random.random() < 0.3 else data


def value_from(random: Random, value: Any) -> Any:
    """A plain value, such as a config, of which a few parts are others, missing, or there twice."""
    value = json.loads(json.dumps(value))
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        places = list(_places(value))
        if not places or random.random() < 0.02:
            return _any_value(random)
        parent, key = random.choice(places)
        change = random.randrange(8)
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, list):
            parent.append(parent[key])
        elif change == 2 and isinstance(parent, dict):
            parent[random.choice(["x", "", "id", "name", "labels", "size"])] = parent.pop(key)
        elif change == 3:
            other, other_key = random.choice(places)
            if other_key in other if isinstance(other, dict) else other_key < len(other):
                parent[key] = json.loads(json.dumps(other[other_key]))
        elif change == 4 and isinstance(parent[key], str):
            parent[key] = text_from(random, parent[key]).decode("utf-8", "replace")
        elif change == 5 and isinstance(parent[key], int | float):
            parent[key] = random.choice(NUMBERS)
        else:
            parent[key] = _any_value(random)
    return value


def _any_value(random: Random) -> Any:
    """One of `VALUES`, copied: lists and dicts are changed further, and must not come to contain themselves."""
    return copy.deepcopy(random.choice(VALUES))


def json_from(random: Random, value: Any) -> bytes:
    """A JSON file of a spoiled value, sometimes spoiled as a file, too."""
    data = json.dumps(value_from(random, value)).encode("utf-8", "surrogatepass")
    if random.random() < 0.01:
        return b"[" * 100_000
    return bytes_from(random, data) if random.random() < 0.2 else data


def _places(value: Any) -> list[tuple[Any, Any]]:
    """All (parent, key) of a nested value, large lists by their first entries."""
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(min(len(value), 20)))
    else:
        return []
    return [place for key in keys for place in [(value, key), *_places(value[key])]]

"""Reading plain data out of pickled files without unpickling them.

Some data sets come as pickles. A pickle is a program; this reads the few instructions that build numbers, texts, lists
and dictionaries, and refuses every file that holds any other. Nothing is imported, called or executed. The instructions
are those that the standard library's module ``pickletools`` documents.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any, Final

from tunewright.exceptions import TableError

_MARK: Final = object()
_EMPTY: Final = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES: Final = frozenset(
    {"BINFLOAT", "BININT", "BININT1", "BININT2", "LONG1", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_NOTHING: Final = frozenset({"PROTO", "FRAME"})


def read_plain(data: bytes) -> Any:
    """The numbers, texts, lists and dictionaries that a pickled file describes.

    Raises
    ------
    TableError
        The file describes anything else, or is damaged.
    """
    stack: list[Any] = []
    memo: list[Any] = []
    try:
        for name, argument in _instructions(data):
            if name == "STOP":
                return stack.pop()
            _carry_out(name, argument, stack, memo)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise TableError(f"The pickled data are damaged: {error}") from None
    raise TableError("The pickled data are damaged: they have no end")


def _instructions(data: bytes) -> Iterator[tuple[str, Any]]:
    for opcode, argument, _ in pickletools.genops(data):
        yield opcode.name, argument


def _carry_out(name: str, argument: Any, stack: list[Any], memo: list[Any]) -> None:
    if name in _VALUES:
        stack.append(argument)
    elif name in _EMPTY:
        stack.append(_EMPTY[name]())
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name == "MARK":
        stack.append(_MARK)
    elif name == "MEMOIZE":
        memo.append(stack[-1])
    elif name in {"BINGET", "LONG_BINGET"}:
        stack.append(memo[argument])
    elif name in {"APPEND", "APPENDS"}:
        items = [stack.pop()] if name == "APPEND" else _since_mark(stack)
        stack[-1].extend(items)
    elif name in {"SETITEM", "SETITEMS"}:
        items = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else _since_mark(stack)
        stack[-1].update(zip(items[::2], items[1::2], strict=True))
    elif name not in _NOTHING:
        raise TableError(f"The pickled data hold more than plain data ({name}): they are not read")


def _since_mark(stack: list[Any]) -> list[Any]:
    start = len(stack) - 1
    while stack[start] is not _MARK:
        start -= 1
    items = stack[start + 1 :]
    del stack[start:]
    return items

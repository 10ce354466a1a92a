r"""Checks the syntax of search filters (RFC 4515).

ldap3 accepts invalid filters such as `(=x)` or `(a=\zz)`. It can build every filter that passes here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contactsync.errors import QueryError
from contactsync.ldap.query.text import refuse_control_characters, shown

MAX_DEPTH = 50
"""ldap3 and pyasn1 recurse several frames for each level, and Python allows 1,000."""

_NAME = r"(?:[A-Za-z][A-Za-z0-9_-]*+|[0-9]++(?:\.[0-9]++)++)"
ATTRIBUTE = rf"{_NAME}(?:;[A-Za-z0-9_-]++)*+"
"""An attribute description (RFC 4512, section 2.5): a name or an OID, with options.

Underscores are accepted, because some servers use them, although the RFC does not allow them.
"""

_VALUE = r"(?:[^()*\\]|\\[0-9A-Fa-f]{2})"
_ITEM = re.compile(
    rf"""\(\s*+(?:
        {ATTRIBUTE}\s*+[~<>]=  {_VALUE}*+
      | {ATTRIBUTE}\s*+(?::[Dd][Nn])?(?::(?![Dd][Nn]:){_NAME})?:=  {_VALUE}*+
      | (?::[Dd][Nn])?:(?![Dd][Nn]:){_NAME}:=  {_VALUE}*+
      | {ATTRIBUTE}\s*+=  \*?(?:{_VALUE}++\*)*+{_VALUE}*+
    )\)\s*+""",
    re.VERBOSE | re.ASCII,
)
_ASSERTED = re.compile(rf"\(\s*+({ATTRIBUTE})\s*+[~<>:=]", re.ASCII)
# Possessive quantifiers (`*+`) keep the time linear in the length.
_OPEN = re.compile(r"\(\s*+([&|!])\s*+", re.ASCII)
_CLOSE = re.compile(r"\)\s*+", re.ASCII)


@dataclass(slots=True)
class _Level:
    """An open `(&`, `(|` or `(!`, and the number of filters in it so far."""

    operator: str
    filters: int = 0


def check_filter(text: str) -> str:
    """The filter, in parentheses if it had none; raises QueryError with the part that is not valid."""
    text = refuse_control_characters(text.strip())
    text = text if text.startswith("(") else f"({text})"
    position, levels = 0, [_Level("")]
    while position < len(text) and (position == 0 or len(levels) > 1):
        position = _step(text, position, levels)
    if len(levels) > 1:
        raise QueryError(f"The filter {shown(text)} lacks a closing parenthesis.")
    if position < len(text):
        raise QueryError(f"The filter has text after its end: {shown(text[position:])}.")
    return text


def attributes_of(search_filter: str) -> set[str]:
    """The attribute descriptions in a filter that `check_filter` accepts, as they are written in it."""
    # A parenthesis in a value is escaped, so each one begins a filter.
    return set(_ASSERTED.findall(search_filter))


def _step(text: str, position: int, levels: list[_Level]) -> int:
    """Read the next token, an item or an opening or closing parenthesis; returns the position after it."""
    if match := _OPEN.match(text, position):
        levels[-1].filters += 1
        levels.append(_Level(match[1]))
        if len(levels) > MAX_DEPTH + 1:
            raise QueryError(f"The filter is nested more than {MAX_DEPTH} levels deep.")
    elif match := _ITEM.match(text, position):
        levels[-1].filters += 1
    elif match := _CLOSE.match(text, position):
        _close(levels.pop())
    else:
        raise QueryError(
            f"The filter is not valid at {shown(text[position:])}; "
            r"a backslash, an asterisk and parentheses in a value are written \5c, \2a, \28 and \29."
        )
    return match.end()


def _close(level: _Level) -> None:
    if level.filters == 0:
        raise QueryError(f'"({level.operator})" in the filter has no operand.')
    if level.operator == "!" and level.filters > 1:
        raise QueryError('"(!" in the filter has more than one operand.')

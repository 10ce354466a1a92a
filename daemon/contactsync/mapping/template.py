"""Templates such as `{title} ({departmentNumber})`: the values of attributes within a text.

A placeholder is an attribute description in braces; `{{` and `}}` are braces. There are no formats and no indexes, and
Python's own formatting is not used.

A template is blank if all its placeholders are. A blank placeholder is removed together with brackets that contain
nothing else. So is the separator (one of `, ; : / | -`) after it, or before it at the end of a line or of brackets.
White space in the template's own text is collapsed. Values are never altered.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from contactsync.ldap.protocol.entry import is_attribute_description

_MAX_CHARACTERS = 1000
_MAX_PLACEHOLDERS = 20
_TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<placeholder>[^{}]*)\}|(?P<stray>[{}])|(?P<text>[^{}]+)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

_BLANK = "\x00"
_FILLED = "\x01"
_NEIGHBOURING_BLANKS = re.compile(r"\x00[\s,;:/|-]*(?=\x00)")
_EMPTY_BRACKETS = re.compile(r"[(\[<]\s*\x00\s*[)\]>]")
_SEPARATOR_AFTER = re.compile(r"\x00[ \t]*[,;:/|-][ \t]*")
_SEPARATOR_BEFORE_END = re.compile(r"[ \t]*[,;:/|-]?[ \t]*\x00[ \t]*(?=$|[)\]>\n])")


class Template:
    """A valid template. `attributes` are the descriptions in it as they are written, each once."""

    def __init__(self, text: str) -> None:
        """Raises ValueError, which says what is not valid."""
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(f"the template is longer than {_MAX_CHARACTERS} characters")
        if _CONTROL.search(text):
            raise ValueError("the template contains a control character")
        self.text = text
        self._skeleton: list[str] = []
        self._placeholders: list[str] = []
        for token in _TOKEN.finditer(text):
            self._add(token)
        if not 1 <= len(self._placeholders) <= _MAX_PLACEHOLDERS:
            raise ValueError(f"the template has {len(self._placeholders)} placeholders, not 1 to {_MAX_PLACEHOLDERS}")
        self.attributes = tuple(dict.fromkeys(self._placeholders))

    def __repr__(self) -> str:
        return f"Template({self.text!r})"

    def render(self, value_of: Callable[[str], str]) -> str:
        """The text with the value of each attribute ("" if blank); "" if all are blank."""
        values = {attribute: value_of(attribute) for attribute in self.attributes}
        filled = [values[attribute] for attribute in self._placeholders if values[attribute]]
        if not filled:
            return ""
        marks = (_FILLED if values[attribute] else _BLANK for attribute in self._placeholders)
        skeleton = "".join(part if part != _BLANK else next(marks) for part in self._skeleton)
        following = iter(filled)
        return re.sub(_FILLED, lambda _: next(following), _without_blanks(skeleton))

    def _add(self, token: re.Match[str]) -> None:
        placeholder = token["placeholder"]
        if token["stray"]:
            raise ValueError("the template has a brace without its counterpart; write {{ or }} for a literal brace")
        if placeholder is None:
            self._skeleton.append(token["brace"][0] if token["brace"] else _collapsed(token["text"]))
        elif is_attribute_description(placeholder):
            self._skeleton.append(_BLANK)
            self._placeholders.append(placeholder)
        else:
            raise ValueError(f"the template's placeholder {{{placeholder[:60]}}} is not an attribute description")


def _without_blanks(skeleton: str) -> str:
    if _BLANK in skeleton:
        skeleton = _NEIGHBOURING_BLANKS.sub("", skeleton)
        skeleton = _EMPTY_BRACKETS.sub(_BLANK, skeleton)
        skeleton = _SEPARATOR_AFTER.sub("", skeleton)
        skeleton = _SEPARATOR_BEFORE_END.sub("", skeleton)
        skeleton = _collapsed(skeleton.replace(_BLANK, ""))
    return skeleton.strip()


def _collapsed(text: str) -> str:
    """Each run of white space becomes one space, or one line break if it contains one."""
    return re.sub(r"\s+", lambda space: "\n" if "\n" in space[0] else " ", text)

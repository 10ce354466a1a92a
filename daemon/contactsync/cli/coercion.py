"""Values of options and arguments without pydantic, which typer uses for each, and which takes 0.1 s to load."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import typer

_SIGNIFICANT_DIGITS = 18


def without_pydantic(command: Any) -> Any:
    """The command of typer, which converts texts, numbers and values that are not given without pydantic.

    All else is left to typer; so is everything in a release of typer that converts in another way.
    """
    command.get_params = partial(_with_converters, command.get_params)
    for subcommand in getattr(command, "commands", {}).values():
        without_pydantic(subcommand)
    return command


def _with_converters(get_params: Callable[[typer.Context], list[Any]], ctx: typer.Context) -> list[Any]:
    parameters = get_params(ctx)
    for parameter in parameters:
        get_original = getattr(parameter, "get_runtime_param", None)
        if get_original and not isinstance(getattr(get_original, "__self__", None), _Converter):
            parameter.get_runtime_param = _Converter(parameter, get_original).get
    return parameters


class _Converter:
    """Converts the values of one parameter, in place of typer's own converter."""

    def __init__(self, parameter: Any, get_original: Any) -> None:
        self._get_original = get_original
        info = parameter.type_descriptor.parameter_info
        self._annotation = parameter.type_descriptor.annotation
        self._bounds = (info.min, info.max)
        self._plain = parameter.nargs == 1 and not parameter.multiple and info.parser is None

    def get(self) -> _Converter:
        """Itself, in place of typer's converter."""
        return self

    @cached_property
    def _original(self) -> Any:
        return self._get_original()

    def coerce(self, value: Any, param: Any, ctx: typer.Context) -> Any:
        """The value of the parameter; typer's converter raises the errors."""
        if self._plain:
            if value is None or (type(value) is self._annotation and value == param.default):
                return value
            if self._annotation is str and isinstance(value, str):
                return value
            if self._annotation is int and (number := self._number(value)) is not None:
                return number
        return self._original.coerce(value, param=param, ctx=ctx)

    def _number(self, value: Any) -> int | None:
        least, most = self._bounds
        if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _SIGNIFICANT_DIGITS):
            return None
        number = int(value)
        return number if (least is None or number >= least) and (most is None or number <= most) else None

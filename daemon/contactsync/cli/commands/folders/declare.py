"""`contactsync folders export`, `apply` and `rename`."""

from __future__ import annotations

import getpass
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from contactsync.cli.errors import ExitCode
from contactsync.cli.output.differences import show_fields
from contactsync.cli.output.text import show_json, show_text
from contactsync.cli.prompts import confirm
from contactsync.errors import UsageError
from contactsync.operations.declared.file import DefinitionsFile, parse_file
from contactsync.operations.declared.plan import DefinitionsPlan
from contactsync.operations.declared.toml import to_toml
from contactsync.operations.fields import InvalidFields
from contactsync.serving.client import DaemonError
from contactsync.text import counted, printable, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contactsync.cli.api import Api
    from contactsync.cli.context import Invocation
    from contactsync.operations.declared.plan import PlannedChange

_MARKS = {"add": ("+", "green", "insert"), "edit": ("~", "yellow", "update"), "remove": ("-", "red", "delete")}
_PLANNED = {"add": "to add", "edit": "to change", "remove": "to remove"}
_DONE = {"add": "added", "edit": "changed", "remove": "removed"}
_SEARCH_FIELDS = frozenset({"query", "base", "scope", "filter", "filter_only"})
_OTHERS_SHOWN = 10
_POINTER = re.compile(r"definitions/(\d+)/(.+)")


def export_folders(invocation: Invocation, names: Sequence[str], *, as_json: bool) -> None:
    """Print definitions as a file for `apply`. Raises UsageError for an unknown name, DatabaseError."""
    with invocation.api() as api:
        exported = api.get("/v1/definitions/export", timeout=None, name=list(names))
    if as_json:
        show_json(invocation.out, exported)
    else:
        invocation.out.out(to_toml(exported["definitions"]), end="", highlight=False)


def apply_file(
    invocation: Invocation, path: str, *, dry_run: bool, yes: bool, remove_others: bool, as_json: bool
) -> int:
    """Show what a file changes, ask, and change it. Raises DeclarationError with all problems, DatabaseError."""
    name = "Standard input" if path == "-" else path
    file = parse_file(_read(path, name), name)
    body: dict[str, Any] = {"definitions": file.documents(), "remove_others": remove_others}
    with invocation.api(create=not dry_run) as api:
        plan = _post(api, "/v1/definitions/plan", body, file)
        if not as_json:
            _show_plan(invocation, plan, file.name)
        carried_out = bool(plan.changes) and not dry_run
        if carried_out:
            if not yes:
                confirm("Apply these changes?")
            _ask_passwords(file, plan, body["definitions"])
            plan = _post(api, "/v1/definitions/apply", {**body, "digest": plan.digest}, file)
        daemon_answers = api.is_daemon
    if as_json:
        show_json(invocation.out, {**plan.model_dump(), "carried_out": carried_out})
    elif carried_out:
        show_text(invocation.out, f"Done: {', '.join(_counts(plan, _DONE))}.")
        _show_consequences(invocation, plan, daemon_answers=daemon_answers)
    elif plan.changes:
        show_text(invocation.out, "Nothing was changed.")
    return ExitCode.CHANGES if dry_run and plan.changes else ExitCode.DONE


def rename_folder(invocation: Invocation, name: str, new_name: str, *, as_json: bool) -> None:
    """Rename a folder or a definition. Raises NotFound, UsageError, DatabaseError."""
    with invocation.api() as api:
        renamed = api.post("/v1/definitions/rename", {"name": name, "new_name": new_name})
    if as_json:
        show_json(invocation.out, renamed)
    elif renamed["before"] == renamed["after"]:
        show_text(invocation.out, f"{renamed['after']} has this name already.")
    else:
        show_text(invocation.out, f"Renamed {renamed['before']} to {renamed['after']}.")


def _read(path: str, name: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{name} cannot be read: {error.strerror}.", hint="Give a TOML file, or - for standard input."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not text in UTF-8.", hint="Save it in that encoding.") from None


def _post(api: Api, path: str, body: Mapping[str, Any], file: DefinitionsFile) -> DefinitionsPlan:
    """The plan in the answer. Raises DeclarationError with the place of each field that is refused."""
    try:
        return DefinitionsPlan.model_validate(api.post(path, body, timeout=None))
    except InvalidFields as invalid:  # of this process
        problems = [(name, error.message, error.hint) for name, error in invalid.errors.items()]
    except DaemonError as refused:
        if not refused.errors:
            raise
        problems = [(each["pointer"][1:], each["detail"], each.get("hint") or "") for each in refused.errors]
    raise file.error(_placed(pointer, f"{message} {hint}".rstrip()) for pointer, message, hint in problems)


def _placed(pointer: str, text: str) -> tuple[int, str, str]:
    match = _POINTER.fullmatch(pointer)
    return (int(match[1]), match[2], text) if match else (0, "", text)


def _ask_passwords(file: DefinitionsFile, plan: DefinitionsPlan, documents: list[dict[str, Any]]) -> None:
    """Ask for each password that is needed. Raises DeclarationError without a terminal, with all of them."""
    needed = [(each.index, each) for each in plan.changes if each.index is not None and each.needs_password]
    if needed and not sys.stdin.isatty():
        raise file.error(
            [(index, "user", each.password_problem or "") for index, each in needed],
            'Apply it in a terminal, which asks for passwords; or refer to them, as password_ref = "env:NAME".',
        )
    for index, each in needed:
        user = documents[index].get("user") or ""
        question = f"Password of {printable(user)} for {printable(each.label)} (not shown): "
        password = getpass.getpass(question, stream=sys.stderr)
        if not password:
            raise UsageError(f"The password for {quoted(each.label)} is empty.", hint="Nothing was changed.")
        documents[index]["password"] = password


def _show_plan(invocation: Invocation, plan: DefinitionsPlan, name: str) -> None:
    for change in plan.changes:
        mark, style, action = _MARKS[change.action]
        line = Text(f"{mark} {printable(change.label)}", style=f"bold {style}")
        if change.action == "remove":
            line.append(f"  with {counted(change.contacts, 'contact')}, which are deleted", style="not bold")
        if change.needs_password:
            line.append("  needs a password", style="not bold")
        invocation.out.print(line, soft_wrap=not invocation.out.is_terminal)
        fields = {
            field: {"before": _shown(field, pair.before), "after": _shown(field, pair.after)}
            for field, pair in change.fields.items()
        }
        show_fields(invocation.out, fields, action=action)
    if plan.changes:
        invocation.out.print()
    show_text(invocation.out, f"{name}: {', '.join([*_counts(plan, _PLANNED), f'{plan.unchanged:,} unchanged'])}.")
    if plan.others:
        more = f" and {len(plan.others) - _OTHERS_SHOWN} more" if len(plan.others) > _OTHERS_SHOWN else ""
        others = ", ".join(plan.others[:_OTHERS_SHOWN]) + more
        show_text(invocation.out, f"Not in the file, and kept (--remove-others removes them): {others}.")


def _counts(plan: DefinitionsPlan, words: Mapping[str, str]) -> list[str]:
    numbers: Counter[str] = Counter(each.action for each in plan.changes)
    return [f"{numbers[action]:,} {word}" for action, word in words.items() if numbers[action]]


def _show_consequences(invocation: Invocation, plan: DefinitionsPlan, *, daemon_answers: bool) -> None:
    searched = [each.label for each in plan.changes if _is_search_edited(each)]
    if searched:
        labels = ", ".join(searched[:_OTHERS_SHOWN])
        show_text(
            invocation.err,
            f"The next run is held if it would delete contacts, because the search was edited: {labels}.",
        )
    if not daemon_answers:
        show_text(invocation.out, "No daemon answers here. If none runs on this database: contactsync daemon")


def _is_search_edited(change: PlannedChange) -> bool:
    return change.action == "edit" and not _SEARCH_FIELDS.isdisjoint(change.fields)


def _shown(field: str, value: Any) -> str:
    if value is None:
        return "none" if field.startswith("password") else "default"
    if isinstance(value, bool | dict):
        return json.dumps(value, ensure_ascii=False)
    lines = str(value).splitlines()
    return str(value) if len(lines) <= 1 else f"{lines[0]} ({len(lines)} lines)"

"""The fields of a definition in requests."""

from __future__ import annotations

from pydantic import BaseModel, Field

from contactsync.operations.declared.bodies import body_with_example
from contactsync.operations.declared.fields import Fields, Long, Password, Short


class DefinitionChanges(Fields):
    """Changes of a definition: only the fields that are there. Folder and owner rename the folder."""

    model_config = body_with_example(filter="(department=Sales)", schedule="every 15m")

    folder: Short = Field("", examples=["Staff"])
    owner: Short | None = None
    definition: Short = Field("", examples=["directory"])
    query: Long = Field("", examples=["ldaps://dc1.example.com"])


class NewPassword(BaseModel):
    """A password for the definition's present server and user."""

    model_config = body_with_example(password="a long password")  # noqa: S106 -- an example

    password: Password

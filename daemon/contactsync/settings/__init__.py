"""The settings of a whole installation: settings.toml, overridden by CONTACTSYNC_* environment variables."""

from contactsync.settings.load import FILE_VARIABLE, find_settings_file, load_settings
from contactsync.settings.schema import Settings

__all__ = ["FILE_VARIABLE", "Settings", "find_settings_file", "load_settings"]

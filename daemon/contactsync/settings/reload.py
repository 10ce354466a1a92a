"""A reload of the settings: what has changed, and which changes need a restart."""

from __future__ import annotations

from contactsync.settings.schema import Settings

_LIVE_SECTIONS = ("directory", "mapping", "guard", "api", "history")
_LIVE_KEYS = {
    "scheduler": ("rescan_seconds", "drain_seconds"),
    "log": ("level",),
    "metrics": ("tls_certificate", "tls_key", "tls_client_ca", "user", "password_file"),
    "secrets": ("references",),
    "web": ("directories", "least_minutes", "editors_map", "owners_approve", "personal_folders"),
}


def differing(before: Settings, after: Settings) -> set[str]:
    """The names of the settings with different values, such as `log.level`."""
    return {
        f"{section}.{key}"
        for section in Settings.model_fields
        for key in type(getattr(before, section)).model_fields
        if getattr(getattr(before, section), key) != getattr(getattr(after, section), key)
    }


def with_live(before: Settings, after: Settings) -> Settings:
    """The settings of `before` with those of `after` that can change while the daemon runs."""
    live = {section: getattr(after, section) for section in _LIVE_SECTIONS}
    for section, keys in _LIVE_KEYS.items():
        update = {key: getattr(getattr(after, section), key) for key in keys}
        live[section] = getattr(before, section).model_copy(update=update)
    names = [f"{section}.{key}" for section in _LIVE_SECTIONS for key in type(live[section]).model_fields]
    names += [f"{section}.{key}" for section, keys in _LIVE_KEYS.items() for key in keys]
    return before.model_copy(update=live).with_origins(before.origins | {name: after.origin(name) for name in names})

"""The guard: which plans need an administrator's approval, by rules without I/O and by what the database says.

Approvals themselves are recorded in contactsync.store.record.holds. Nothing here changes a contact.
"""

"""Maps LDAP entries to the fields of contacts: no I/O, and nothing of PostgreSQL.

There are two implementations with equal results. `Mapping.map` maps one entry and is the reference; `Mapping.map_batch`
(`columnar`, `entry_parser`) maps a batch column by column, which takes about 40 % less time, decoding included. A first
load and a changed mapping wait for it. tests/unit/mapping/test_columnar.py compares the two on random entries.

The entries of a run are in an EntryBatch as received, and in a Batch until they are mapped. A ParsedBatch has their raw
values, and a MappedBatch the fields of contacts.
"""

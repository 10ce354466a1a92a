-- Who asks may be shown by a certificate or a ticket instead of a password, and what a definition trusts may stand in it.

ALTER TABLE contactsync.sync_definitions
    ADD COLUMN auth text NOT NULL DEFAULT 'simple'
        CONSTRAINT sync_definitions_auth_known CHECK (auth IN ('simple', 'kerberos', 'external')),
    ADD COLUMN tls_minimum text
        CONSTRAINT sync_definitions_tls_minimum_known CHECK (tls_minimum IN ('1.2', '1.3')),
    ADD COLUMN tls_ca_pem text
        CONSTRAINT sync_definitions_ca_pem_length CHECK (length(tls_ca_pem) BETWEEN 1 AND 262144),
    ADD COLUMN tls_client_cert text
        CONSTRAINT sync_definitions_client_cert_length CHECK (length(tls_client_cert) BETWEEN 1 AND 4096),
    ADD COLUMN tls_client_key text
        CONSTRAINT sync_definitions_client_key_length CHECK (length(tls_client_key) BETWEEN 1 AND 4096),
    ADD CONSTRAINT sync_definitions_one_ca CHECK (tls_ca_file IS NULL OR tls_ca_pem IS NULL),
    ADD CONSTRAINT sync_definitions_client_key_has_cert CHECK (tls_client_key IS NULL OR tls_client_cert IS NOT NULL);

COMMENT ON COLUMN contactsync.sync_definitions.auth IS 'How it is shown who asks: simple (user and password, or nobody), kerberos, or external (the client certificate).';
COMMENT ON COLUMN contactsync.sync_definitions.tls_minimum IS 'The oldest version of TLS that will do; null means 1.2.';
COMMENT ON COLUMN contactsync.sync_definitions.tls_ca_pem IS 'The authorities to trust as PEM text, for those who cannot put a file where the daemon runs.';
COMMENT ON COLUMN contactsync.sync_definitions.tls_client_cert IS 'A PEM file where the daemon runs: the certificate that is shown to the directory, and those between it and its authority.';
COMMENT ON COLUMN contactsync.sync_definitions.tls_client_key IS 'The PEM file of its private key, unencrypted; null when tls_client_cert holds it as well.';

ALTER TABLE contactsync.sync_runs ADD COLUMN passed_over text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN contactsync.sync_runs.passed_over IS 'The servers that come before the one in `server` and could not be used; the log says why.';

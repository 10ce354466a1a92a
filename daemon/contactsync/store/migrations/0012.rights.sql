-- What lets roles of few rights do their part (deploy/postgresql/roles.sql).

-- These write what goes along with a row, for whoever deleted or edited it, who need not have the right to write it alone.
ALTER FUNCTION contactsync.contacts_departed() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION contactsync.runs_forgotten() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION contactsync.held_plans_forgotten() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION contactsync.unlock_definition() SECURITY DEFINER SET search_path = pg_catalog, pg_temp;

-- A sealed password opens only for the servers, user and TLS settings that it was sealed for. A reference cannot be bound
-- to them, so who may not write it may not have what it stands for sent elsewhere either.
CREATE FUNCTION contactsync.password_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT has_column_privilege('contactsync.sync_definitions', 'password_ref', 'UPDATE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'This definition refers to a password, which would be sent elsewhere or otherwise after this edit.',
            HINT = 'Only a role that may write password_ref may change query, bind_user, auth and the TLS columns here.';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER sync_definitions_password_stays BEFORE UPDATE ON contactsync.sync_definitions
    FOR EACH ROW WHEN (
        OLD.password_ref IS NOT NULL AND NEW.password_ref IS NOT NULL
        AND (NEW.query, NEW.bind_user, NEW.auth, NEW.tls, NEW.tls_verify, NEW.tls_minimum, NEW.tls_ca_file, NEW.tls_ca_pem)
            IS DISTINCT FROM (OLD.query, OLD.bind_user, OLD.auth, OLD.tls, OLD.tls_verify, OLD.tls_minimum, OLD.tls_ca_file, OLD.tls_ca_pem))
    EXECUTE FUNCTION contactsync.password_stays();

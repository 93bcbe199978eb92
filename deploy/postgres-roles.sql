-- What tidemark may do in PostgreSQL. Run it in the source database as its owner or a superuser, and again after a table
-- was added to the publication:
--
--   psql -d shop -f postgres-roles.sql
--
-- It makes the role `tidemark` for the publication `tidemark`. Give it a password with \password tidemark, or let
-- pg_hba.conf take a certificate.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidemark') THEN
        CREATE ROLE tidemark LOGIN REPLICATION NOINHERIT;
    END IF;
END $$;

-- Nothing but to read the published tables.
DO $$
DECLARE
    published record;
BEGIN
    FOR published IN SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = 'tidemark' LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO tidemark', published.schemaname);
        EXECUTE format('GRANT SELECT ON %I.%I TO tidemark', published.schemaname, published.tablename);
    END LOOP;
END $$;

-- What the review sides of a fleet keep: accounts, sessions, alerts, reviews. Each node has a replica of its own, and runs
-- the entries of this log in their order. The gateways' user adds by `fieldgate.decide` alone.
CREATE TABLE fieldgate.desk (
    number bigint PRIMARY KEY,              -- from 1, without gaps
    node   integer NOT NULL REFERENCES fieldgate.node,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    body   text NOT NULL,                   -- JSON: names of the program's statements, with their values
    seal   bytea NOT NULL                   -- keyed, over the entry before, number and body: only a node makes it
);

-- Adds an entry: true; or nothing, where `p_known` is not the number of the last one: others were faster.
CREATE FUNCTION fieldgate.decide(p_node integer, p_known bigint, p_body text, p_seal bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_last bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    PERFORM pg_advisory_xact_lock(7013490003);
    SELECT coalesce(max(d.number), 0) INTO v_last FROM fieldgate.desk d;
    IF v_last < p_known THEN
        RAISE EXCEPTION 'an older copy of the database was put back';
    END IF;
    IF v_last > p_known THEN
        RETURN false;
    END IF;
    INSERT INTO fieldgate.desk (number, node, body, seal) VALUES (v_last + 1, p_node, p_body, p_seal);
    NOTIFY fieldgate_desk;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION fieldgate.decide(integer, bigint, text, bytea) FROM PUBLIC;

-- There are hashes of passwords in it: not for fieldgate_reader.
GRANT SELECT ON fieldgate.desk TO fieldgate_gateway;
GRANT EXECUTE ON FUNCTION fieldgate.decide(integer, bigint, text, bytea) TO fieldgate_gateway;

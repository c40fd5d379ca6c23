-- What a fleet of gateways shares. Entries are only ever inserted; `tree` says how many a node has.
CREATE TABLE fieldgate.node (
    number   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text NOT NULL UNIQUE,
    verifier text NOT NULL UNIQUE,          -- the key by which the heads of its tree are verified
    joined   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE fieldgate.tree (
    node integer PRIMARY KEY REFERENCES fieldgate.node,
    size bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

CREATE TABLE fieldgate.entry (
    node     integer NOT NULL,
    position bigint NOT NULL,               -- from 0, without gaps
    time     bigint NOT NULL,               -- microseconds since 1970-01-01T00:00:00Z
    hash     bytea NOT NULL,                -- RFC 6962, section 2.1
    leaf     bytea                          -- JSON; null where its content was pruned
) PARTITION BY RANGE (time);
CREATE INDEX entry_position ON fieldgate.entry (node, position);
CREATE TABLE fieldgate.entry_other PARTITION OF fieldgate.entry DEFAULT;

CREATE TABLE fieldgate.head (
    node integer PRIMARY KEY REFERENCES fieldgate.node,
    size bigint NOT NULL,
    note text NOT NULL                      -- C2SP signed-note
);

-- Suspensions and what customers said, in the order in which they count.
CREATE TABLE fieldgate.shared (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL DEFAULT 0        -- of the last change
) WITH (fillfactor = 20);
INSERT INTO fieldgate.shared DEFAULT VALUES;

CREATE TABLE fieldgate.change (
    number bigint PRIMARY KEY,              -- from 1, without gaps
    node   integer NOT NULL REFERENCES fieldgate.node,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    body   text NOT NULL                    -- JSON; customers by their keyed names
);

CREATE TABLE fieldgate.receipt (
    id bytea PRIMARY KEY                    -- keyed name of what a source called it
);

-- Entries about changes that are still to be written.
CREATE TABLE fieldgate.pending (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node   integer NOT NULL REFERENCES fieldgate.node,
    event  text NOT NULL
);

-- What each key that the nodes share makes of a fixed text.
CREATE TABLE fieldgate.seal (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- Distinct customers that a contractor has seen in a day.
CREATE TABLE fieldgate.customers (
    day        integer NOT NULL,            -- days since 1970-01-01
    contractor text NOT NULL,
    seen       bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, contractor)
) WITH (fillfactor = 50);
CREATE TABLE fieldgate.customer (
    day        integer NOT NULL,
    contractor text NOT NULL,
    name       bytea NOT NULL,              -- keyed
    PRIMARY KEY (day, contractor, name)
);

-- Counts customers of a day for a contractor; how many are new and how many more there may be, or nothing, and
-- nothing is counted, where they would be too many.
CREATE FUNCTION fieldgate.admit(p_day integer, p_contractor text, p_names bytea[], p_most bigint)
RETURNS TABLE (fresh bigint, remaining bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_seen  bigint;
    v_fresh bigint;
BEGIN
    -- The commit of the entries behind it makes it durable; without them it speaks of nothing.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO fieldgate.customers AS c (day, contractor) VALUES (p_day, p_contractor) ON CONFLICT DO NOTHING;
    SELECT c.seen INTO v_seen FROM fieldgate.customers c
        WHERE c.day = p_day AND c.contractor = p_contractor FOR UPDATE;
    SELECT count(DISTINCT n) INTO v_fresh FROM unnest(p_names) n WHERE NOT EXISTS (
        SELECT FROM fieldgate.customer k WHERE k.day = p_day AND k.contractor = p_contractor AND k.name = n);
    IF v_fresh > 0 AND v_seen + v_fresh > p_most THEN
        RETURN;
    END IF;
    IF v_fresh > 0 THEN
        INSERT INTO fieldgate.customer SELECT p_day, p_contractor, n FROM unnest(p_names) n ON CONFLICT DO NOTHING;
        UPDATE fieldgate.customers c SET seen = v_seen + v_fresh
            WHERE c.day = p_day AND c.contractor = p_contractor;
    END IF;
    RETURN QUERY SELECT v_fresh, greatest(p_most - v_seen - v_fresh, 0);
END $$;

-- Adds entries to a node's tree: 'whole'; or nothing, where the tree has another size than the node knows ('moved'),
-- or changes are in force that it does not know ('overtaken'). The lock is held until the commit: a change waits for
-- the entries that were begun before it, and each statement here sees what was committed before it got the lock.
CREATE FUNCTION fieldgate.append(p_node integer, p_size bigint, p_known bigint, p_times bigint[], p_hashes bytea[],
    p_leaves bytea[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7013490002);
    SELECT s.number INTO v_number FROM fieldgate.shared s;
    IF v_number <> p_known THEN
        RETURN 'overtaken';
    END IF;
    UPDATE fieldgate.tree t SET size = p_size + cardinality(p_leaves) WHERE t.node = p_node AND t.size = p_size;
    IF NOT FOUND THEN
        RETURN 'moved';
    END IF;
    INSERT INTO fieldgate.entry (node, position, time, hash, leaf)
        SELECT p_node, p_size + e.n - 1, e.time, e.hash, e.leaf
        FROM unnest(p_times, p_hashes, p_leaves) WITH ORDINALITY AS e (time, hash, leaf, n);
    RETURN 'whole';
END $$;

-- Says a change to all nodes: true; or nothing, where one of the receipts was taken before. Of the events, the node
-- is to write entries. `p_known` is the last change that the node knows.
CREATE FUNCTION fieldgate.tell(p_node integer, p_known bigint, p_body text, p_receipts bytea[], p_events text[])
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    PERFORM pg_advisory_xact_lock(7013490002);
    SELECT s.number INTO v_number FROM fieldgate.shared s;
    IF v_number < p_known THEN
        RAISE EXCEPTION 'an older copy of the database was put back';
    END IF;
    IF EXISTS (SELECT FROM fieldgate.receipt r WHERE r.id = ANY (p_receipts)) THEN
        RETURN false;
    END IF;
    INSERT INTO fieldgate.receipt SELECT DISTINCT r FROM unnest(p_receipts) r;
    UPDATE fieldgate.shared SET number = number + 1 RETURNING number INTO v_number;
    INSERT INTO fieldgate.change (number, node, body) VALUES (v_number, p_node, p_body);
    INSERT INTO fieldgate.pending (node, event) SELECT p_node, e FROM unnest(p_events) e;
    NOTIFY fieldgate_change;
    RETURN true;
END $$;

-- Makes the partitions of this month and the next two, and forgets whom contractors saw before yesterday. A partition
-- that cannot be made now, because somebody reads the table or its rows are in `entry_other` already, is left.
CREATE FUNCTION fieldgate.turn() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    v_month timestamp := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC');
    v_name  text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7013490001) THEN
        RETURN;
    END IF;
    FOR i IN 0..2 LOOP
        v_name := 'entry_' || to_char(v_month, 'YYYYMM');
        IF to_regclass('fieldgate.' || v_name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE TABLE fieldgate.%I PARTITION OF fieldgate.entry FOR VALUES FROM (%s) TO (%s)',
                    v_name, (extract(epoch FROM v_month) * 1000000)::bigint,
                    (extract(epoch FROM v_month + interval '1 month') * 1000000)::bigint);
            EXCEPTION WHEN check_violation OR lock_not_available THEN
                NULL;
            END;
        END IF;
        v_month := v_month + interval '1 month';
    END LOOP;
    -- A part of them: the statement has little time.
    DELETE FROM fieldgate.customer WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM fieldgate.customer c
        WHERE c.day < extract(epoch FROM clock_timestamp())::bigint / 86400 - 1 LIMIT 100000));
    DELETE FROM fieldgate.customers WHERE day < extract(epoch FROM clock_timestamp())::bigint / 86400 - 1;
END $$;
REVOKE ALL ON FUNCTION fieldgate.turn() FROM PUBLIC;

-- A gateway inserts entries; it cannot change or delete one.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fieldgate_gateway') THEN
        CREATE ROLE fieldgate_gateway NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'fieldgate_reader') THEN
        CREATE ROLE fieldgate_reader NOLOGIN;
    END IF;
END $$;
GRANT USAGE ON SCHEMA fieldgate TO fieldgate_gateway, fieldgate_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA fieldgate TO fieldgate_gateway;
GRANT SELECT ON fieldgate.version, fieldgate.node, fieldgate.tree, fieldgate.entry, fieldgate.head TO fieldgate_reader;
GRANT INSERT ON fieldgate.node, fieldgate.tree, fieldgate.entry, fieldgate.head, fieldgate.change, fieldgate.receipt,
    fieldgate.pending, fieldgate.seal, fieldgate.customers, fieldgate.customer TO fieldgate_gateway;
GRANT UPDATE ON fieldgate.tree, fieldgate.head, fieldgate.shared, fieldgate.customers TO fieldgate_gateway;
GRANT DELETE ON fieldgate.pending TO fieldgate_gateway;
GRANT EXECUTE ON FUNCTION fieldgate.turn(), fieldgate.admit(integer, text, bytea[], bigint),
    fieldgate.append(integer, bigint, bigint, bigint[], bytea[], bytea[]),
    fieldgate.tell(integer, bigint, text, bytea[], text[]) TO fieldgate_gateway;

SELECT fieldgate.turn();

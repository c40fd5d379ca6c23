-- How much a credential may ask for at a task, over all nodes: a bucket (GCRA) that nodes take tokens from.
CREATE TABLE fieldgate.bucket (
    name text PRIMARY KEY,                  -- contractor, credential and task by their ids in the rules
    tat  bigint NOT NULL                    -- theoretical arrival time: nanoseconds since 1970-01-01T00:00:00Z
) WITH (fillfactor = 50);

-- Tokens that nodes have taken, as far as it is not known that they used them.
CREATE TABLE fieldgate.held (
    name   text NOT NULL,
    holder bigint NOT NULL,                 -- random: a stock of one process
    turn   bigint NOT NULL,                 -- of the holder's calls, the last one that counted
    tokens bigint NOT NULL,
    until  bigint NOT NULL,                 -- the holder gives them up before: nanoseconds since 1970
    PRIMARY KEY (name, holder)
) WITH (fillfactor = 50);

-- Takes tokens out of buckets. For each: the time between two tokens in nanoseconds, the most that there may be,
-- how many are wanted, and of those that the holder had, how many it keeps and how many it gives back. Answers, in the
-- order of the question, how many are granted, how many are left, and in how many nanoseconds there is one.
--
-- What a bucket has and what nodes hold is together never more than the burst: a token that may still be used makes
-- no room for another one. So in any time T no more than burst + T / interval are used, wherever and whenever nodes
-- use what they hold.
CREATE FUNCTION fieldgate.lease(p_names text[], p_holders bigint[], p_turns bigint[], p_intervals bigint[],
    p_bursts bigint[], p_wanted bigint[], p_kept bigint[], p_back bigint[])
RETURNS TABLE (place bigint, granted bigint, remaining bigint, wait bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_life  CONSTANT bigint := 3000000000;
    q       record;
    v_own   fieldgate.held%ROWTYPE;
    v_now   bigint;
    v_tat   bigint;
    v_held  bigint;
    v_gone  bigint;
    v_end   bigint;
    v_back  bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    -- Nobody waits for the disk for it: a crash of the database may forget what was taken in its last moment.
    PERFORM set_config('synchronous_commit', 'off', true);
    -- In one order everywhere: no two nodes wait for each other.
    FOR q IN SELECT * FROM unnest(p_names, p_holders, p_turns, p_intervals, p_bursts, p_wanted, p_kept, p_back)
        WITH ORDINALITY AS a (name, holder, turn, gap, burst, wanted, kept, back, place) ORDER BY a.name COLLATE "C", a.place
    LOOP
        SELECT b.tat INTO v_tat FROM fieldgate.bucket b WHERE b.name = q.name FOR UPDATE;
        IF NOT FOUND THEN
            INSERT INTO fieldgate.bucket VALUES (q.name, 0) ON CONFLICT DO NOTHING;
            SELECT b.tat INTO v_tat FROM fieldgate.bucket b WHERE b.name = q.name FOR UPDATE;
        END IF;
        place := q.place;
        v_now := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000;
        -- A clock that went back, or a longer interval before, is no reason to wait longer than for all.
        v_tat := least(v_tat, v_now + q.burst * q.gap);
        -- What was held made no room for others: until it was given up, or until now.
        SELECT coalesce(sum(h.tokens) FILTER (WHERE h.until > v_now), 0), coalesce(sum(h.tokens), 0),
            max(h.until) FILTER (WHERE h.until <= v_now) INTO v_held, v_gone, v_end
            FROM fieldgate.held h WHERE h.name = q.name;
        v_tat := greatest(v_tat, v_now + least(v_held, q.burst) * q.gap, v_end + least(v_gone, q.burst) * q.gap);
        SELECT * INTO v_own FROM fieldgate.held h WHERE h.name = q.name AND h.holder = q.holder;
        IF v_own.turn >= q.turn THEN
            -- A call that was overtaken: nobody waits for its answer.
            granted := 0; remaining := 0; wait := 0;
            RETURN NEXT;
            CONTINUE;
        END IF;
        v_back := CASE WHEN v_own.until > v_now THEN least(q.back, v_own.tokens) ELSE 0 END;
        v_tat := v_tat - v_back * q.gap;
        remaining := greatest((v_now + q.burst * q.gap - v_tat) / q.gap, 0);
        granted := least(q.wanted, remaining);
        remaining := remaining - granted;
        v_tat := v_tat + granted * q.gap;
        wait := greatest(v_tat + q.gap - v_now - q.burst * q.gap, 0);
        UPDATE fieldgate.bucket b SET tat = v_tat WHERE b.name = q.name;
        DELETE FROM fieldgate.held h WHERE h.name = q.name AND h.holder <> q.holder AND h.until <= v_now;
        IF q.kept + granted > 0 THEN
            INSERT INTO fieldgate.held AS h VALUES (q.name, q.holder, q.turn, q.kept + granted, v_now + v_life)
                ON CONFLICT ON CONSTRAINT held_pkey DO UPDATE
                SET turn = excluded.turn, tokens = excluded.tokens, until = excluded.until;
        ELSE
            DELETE FROM fieldgate.held h WHERE h.name = q.name AND h.holder = q.holder;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Counts customers for one draft after the other, as `admit` does for one; of those whose customers would be too many,
-- there is no row. Where a draft's names end is in `p_ends`.
CREATE FUNCTION fieldgate.admit_all(p_days integer[], p_contractors text[], p_most bigint[], p_ends integer[],
    p_names bytea[]) RETURNS TABLE (place integer, fresh bigint, remaining bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_from integer := 1;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    -- In one order everywhere: no two nodes wait for each other.
    INSERT INTO fieldgate.customers (day, contractor)
        SELECT u.d, u.c FROM (SELECT DISTINCT d, c FROM unnest(p_days, p_contractors) a (d, c)) u
        ORDER BY u.d, u.c COLLATE "C" ON CONFLICT DO NOTHING;
    PERFORM FROM fieldgate.customers k
        WHERE (k.day, k.contractor) IN (SELECT d, c FROM unnest(p_days, p_contractors) a (d, c))
        ORDER BY k.day, k.contractor COLLATE "C" FOR UPDATE;
    FOR i IN 1..cardinality(p_days) LOOP
        SELECT a.fresh, a.remaining INTO fresh, remaining
            FROM fieldgate.admit(p_days[i], p_contractors[i], p_names[v_from:p_ends[i]], p_most[i]) a;
        IF FOUND THEN
            place := i;
            RETURN NEXT;
        END IF;
        v_from := p_ends[i] + 1;
    END LOOP;
END $$;

-- Each change names all before it: of two histories that are as long, a node tells its own.
ALTER TABLE fieldgate.change ADD COLUMN chain bytea; -- SHA-256 of the chain before it and the body
ALTER TABLE fieldgate.shared ADD COLUMN chain bytea NOT NULL DEFAULT ''; -- of the last change
DO $$
DECLARE
    v_chain bytea := '';
    c       record;
BEGIN
    FOR c IN SELECT number, body FROM fieldgate.change ORDER BY number LOOP
        v_chain := sha256(v_chain || convert_to(c.body, 'UTF8'));
        UPDATE fieldgate.change SET chain = v_chain WHERE number = c.number;
    END LOOP;
    UPDATE fieldgate.shared SET chain = v_chain;
END $$;
ALTER TABLE fieldgate.change ALTER COLUMN chain SET NOT NULL;

-- As before, and 'overtaken' also where the last change is another one than the node knows by that number.
DROP FUNCTION fieldgate.append(integer, bigint, bigint, bigint[], bytea[], bytea[]);
CREATE FUNCTION fieldgate.append(p_node integer, p_size bigint, p_known bigint, p_chain bytea, p_times bigint[],
    p_hashes bytea[], p_leaves bytea[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
    v_chain  bytea;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7013490002);
    SELECT s.number, s.chain INTO v_number, v_chain FROM fieldgate.shared s;
    IF v_number <> p_known OR v_chain <> p_chain THEN
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

-- As before, by a node that knows the last change or one before it.
DROP FUNCTION fieldgate.tell(integer, bigint, text, bytea[], text[]);
CREATE FUNCTION fieldgate.tell(p_node integer, p_known bigint, p_chain bytea, p_body text, p_receipts bytea[],
    p_events text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_number bigint;
    v_chain  bytea;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'transactions must be read committed';
    END IF;
    PERFORM pg_advisory_xact_lock(7013490002);
    SELECT s.number, s.chain INTO v_number, v_chain FROM fieldgate.shared s;
    IF v_number < p_known OR p_known > 0
        AND NOT EXISTS (SELECT FROM fieldgate.change c WHERE c.number = p_known AND c.chain = p_chain) THEN
        RAISE EXCEPTION 'an older copy of the database was put back';
    END IF;
    IF EXISTS (SELECT FROM fieldgate.receipt r WHERE r.id = ANY (p_receipts)) THEN
        RETURN false;
    END IF;
    INSERT INTO fieldgate.receipt SELECT DISTINCT r FROM unnest(p_receipts) r;
    v_chain := sha256(v_chain || convert_to(p_body, 'UTF8'));
    UPDATE fieldgate.shared SET number = number + 1, chain = v_chain RETURNING number INTO v_number;
    INSERT INTO fieldgate.change (number, node, body, chain) VALUES (v_number, p_node, p_body, v_chain);
    INSERT INTO fieldgate.pending (node, event) SELECT p_node, e FROM unnest(p_events) e;
    NOTIFY fieldgate_change;
    RETURN true;
END $$;

GRANT SELECT, INSERT, UPDATE ON fieldgate.bucket TO fieldgate_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON fieldgate.held TO fieldgate_gateway;
REVOKE ALL ON FUNCTION fieldgate.lease(text[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fieldgate.lease(text[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]),
    fieldgate.admit_all(integer[], text[], bigint[], integer[], bytea[]),
    fieldgate.append(integer, bigint, bigint, bytea, bigint[], bytea[], bytea[]),
    fieldgate.tell(integer, bigint, bytea, text, bytea[], text[]) TO fieldgate_gateway;

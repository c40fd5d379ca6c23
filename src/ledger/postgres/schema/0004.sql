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

GRANT SELECT, INSERT, UPDATE ON fieldgate.bucket TO fieldgate_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON fieldgate.held TO fieldgate_gateway;
REVOKE ALL ON FUNCTION fieldgate.lease(text[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[])
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fieldgate.lease(text[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[])
    TO fieldgate_gateway;

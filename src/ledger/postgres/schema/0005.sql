-- What its owner deleted: by it, who has gathered the entries of all nodes deletes the same. Only ever inserted.
CREATE TABLE fieldgate.pruned (
    number    bigint PRIMARY KEY,           -- from 1, without gaps
    node      integer NOT NULL REFERENCES fieldgate.node,
    positions bigint[] NOT NULL             -- of entries whose content is gone
);
GRANT SELECT ON fieldgate.pruned TO fieldgate_gateway, fieldgate_reader;

-- Deletes the content of a node's entries; their hashes stay. For the owner alone: a gateway changes no entry.
CREATE FUNCTION fieldgate.prune(p_node integer, p_positions bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7013490005);
    UPDATE fieldgate.entry SET leaf = NULL
        WHERE node = p_node AND position = ANY (p_positions) AND leaf IS NOT NULL;
    INSERT INTO fieldgate.pruned SELECT coalesce(max(p.number), 0) + 1, p_node, p_positions FROM fieldgate.pruned p;
END $$;
REVOKE ALL ON FUNCTION fieldgate.prune(integer, bigint[]) FROM PUBLIC;

-- As before, but each name is looked up: a plan that reads all customers of the day takes longer with each of them.
CREATE OR REPLACE FUNCTION fieldgate.admit(p_day integer, p_contractor text, p_names bytea[], p_most bigint)
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
    SELECT count(*) INTO v_fresh FROM (SELECT DISTINCT n FROM unnest(p_names) a (n)) u WHERE (SELECT true
        FROM fieldgate.customer k WHERE k.day = p_day AND k.contractor = p_contractor AND k.name = u.n) IS NULL;
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

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

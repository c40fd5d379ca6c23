-- The order in which nodes signed heads: by it, whoever gathers all trees puts their entries into one order, the same
-- everywhere. Only ever inserted.
CREATE TABLE fieldgate.sealed (
    number bigint PRIMARY KEY,              -- from 1, without gaps
    node   integer NOT NULL REFERENCES fieldgate.node,
    size   bigint NOT NULL                  -- entries of the node under that head
);
INSERT INTO fieldgate.sealed
    SELECT row_number() OVER (ORDER BY node), node, size FROM fieldgate.head WHERE size > 0;

-- Shows a signed head to who reads the database.
CREATE FUNCTION fieldgate.seal(p_node integer, p_size bigint, p_note text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- One after the other: numbers become visible in their order.
    PERFORM pg_advisory_xact_lock(7013490006);
    INSERT INTO fieldgate.head AS h (node, size, note) VALUES (p_node, p_size, p_note) ON CONFLICT (node) DO UPDATE
        SET size = excluded.size, note = excluded.note WHERE h.size < excluded.size;
    IF FOUND THEN
        INSERT INTO fieldgate.sealed SELECT coalesce(max(s.number), 0) + 1, p_node, p_size FROM fieldgate.sealed s;
    END IF;
END $$;

GRANT SELECT ON fieldgate.sealed TO fieldgate_gateway, fieldgate_reader;
GRANT INSERT ON fieldgate.sealed TO fieldgate_gateway;
GRANT EXECUTE ON FUNCTION fieldgate.seal(integer, bigint, text) TO fieldgate_gateway;

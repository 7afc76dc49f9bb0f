-- One row: whose node this is, how far its tables are, and which of its instances serves until when, by the database's clock in milliseconds.
-- Every transaction that writes locks the row.
CREATE TABLE node (
    one BIGINT PRIMARY KEY CHECK (one = 1), organisation TEXT NOT NULL, version BIGINT NOT NULL, epoch BIGINT NOT NULL, holder TEXT NOT NULL,
    until BIGINT NOT NULL, entries BIGINT NOT NULL
);
INSERT INTO node (one, organisation, version, epoch, holder, until, entries) VALUES (1, '', 0, 0, '', 0, 0);

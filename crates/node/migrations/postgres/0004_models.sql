CREATE TABLE models (name TEXT COLLATE "C" PRIMARY KEY, entry TEXT NOT NULL);
CREATE TABLE scored (
    manifest TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL, model TEXT COLLATE "C" NOT NULL, row_count BIGINT NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (manifest, number, model)
);
CREATE INDEX scored_by_model ON scored (model);

-- As in sqlite/, with texts in the order of their bytes, as SQLite has them.
CREATE TABLE projects (name TEXT COLLATE "C" PRIMARY KEY, root TEXT NOT NULL, statement TEXT NOT NULL);
CREATE TABLE names (name TEXT COLLATE "C" PRIMARY KEY, root TEXT NOT NULL UNIQUE);
CREATE TABLE invitations (
    id TEXT COLLATE "C" PRIMARY KEY, secret TEXT NOT NULL, project TEXT NOT NULL, organisation TEXT NOT NULL, helper BIGINT NOT NULL,
    expires BIGINT NOT NULL, state TEXT NOT NULL, joiner TEXT NOT NULL, words TEXT NOT NULL
);
CREATE TABLE tables (name TEXT COLLATE "C" PRIMARY KEY, entry TEXT NOT NULL);
CREATE TABLE jobs (
    digest TEXT COLLATE "C" PRIMARY KEY, id TEXT COLLATE "C" NOT NULL UNIQUE, project TEXT NOT NULL, manifest TEXT NOT NULL, state TEXT NOT NULL,
    attempt BIGINT NOT NULL, started BIGINT NOT NULL DEFAULT 0, code BIGINT NOT NULL, reason TEXT NOT NULL, report TEXT NOT NULL,
    created BIGINT NOT NULL, updated BIGINT NOT NULL, hindered TEXT NOT NULL DEFAULT ''
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE TABLE approvals (
    manifest TEXT COLLATE "C" NOT NULL, organisation TEXT COLLATE "C" NOT NULL, decision TEXT NOT NULL, statement TEXT NOT NULL,
    PRIMARY KEY (manifest, organisation)
);
CREATE TABLE votes (
    manifest TEXT COLLATE "C" NOT NULL, person TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (manifest, person)
);
CREATE TABLE events (
    manifest TEXT COLLATE "C" NOT NULL, seq BIGINT NOT NULL, at BIGINT NOT NULL, event TEXT NOT NULL, PRIMARY KEY (manifest, seq)
);
CREATE TABLE outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, project TEXT NOT NULL, organisation TEXT COLLATE "C" NOT NULL, path TEXT NOT NULL,
    body TEXT NOT NULL, tries BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX outbox_by_organisation ON outbox (organisation, seq);
CREATE TABLE revocations (root TEXT COLLATE "C" PRIMARY KEY, before BIGINT NOT NULL);
CREATE TABLE spending (manifest TEXT COLLATE "C" PRIMARY KEY, project TEXT NOT NULL, at BIGINT NOT NULL, epsilon_milli BIGINT NOT NULL);
CREATE INDEX spending_by_project ON spending (project);

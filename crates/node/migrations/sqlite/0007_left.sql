-- The highest version that its founder signed of a project's members: additions of that one may have been refused, removals never are.
ALTER TABLE projects ADD COLUMN heard BIGINT NOT NULL DEFAULT 0;
-- Members, by their roots, whom a version that was heard leaves out of the one that is kept.
CREATE TABLE removed (project TEXT NOT NULL, root TEXT NOT NULL, PRIMARY KEY (project, root));
-- Projects that were left or forgotten, with their founders' roots: nothing older than this counts if they come back.
CREATE TABLE left_projects (name TEXT NOT NULL, root TEXT NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (name, root));

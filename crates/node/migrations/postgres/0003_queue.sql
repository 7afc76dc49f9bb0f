-- No release had a database of version 2 here, so there are no jobs whose columns would have to be filled in.
ALTER TABLE jobs ADD COLUMN submitter TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN work TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 5;
ALTER TABLE jobs ADD COLUMN expires BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN participants TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_by_submitter ON jobs (submitter, project, state);
CREATE INDEX jobs_by_work ON jobs (work);

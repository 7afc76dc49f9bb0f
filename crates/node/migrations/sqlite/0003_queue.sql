ALTER TABLE jobs ADD COLUMN submitter TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN work TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 5;
ALTER TABLE jobs ADD COLUMN expires BIGINT NOT NULL DEFAULT 0;
UPDATE jobs SET submitter = json_extract(manifest, '$.body.submitter'), expires = json_extract(manifest, '$.body.expires');
CREATE INDEX jobs_by_submitter ON jobs (submitter, project, state);
CREATE INDEX jobs_by_work ON jobs (work);

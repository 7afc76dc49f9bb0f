ALTER TABLE jobs ADD COLUMN submitter TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN work TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN priority BIGINT NOT NULL DEFAULT 5;
ALTER TABLE jobs ADD COLUMN expires BIGINT NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN participants TEXT NOT NULL DEFAULT '';
UPDATE jobs SET participants = (SELECT group_concat(json_extract(p.value, '$.name'), ' ') FROM json_each(manifest, '$.body.job.participants') AS p),
    submitter = json_extract(manifest, '$.body.submitter'), expires = json_extract(manifest, '$.body.expires');
CREATE INDEX jobs_by_submitter ON jobs (submitter, project, state);
CREATE INDEX jobs_by_work ON jobs (work);

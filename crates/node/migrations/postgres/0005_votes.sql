-- How it was known who voted: by a password, the identity provider, or a tool's word. Votes count only as long as their persons may approve that way.
ALTER TABLE votes ADD COLUMN how TEXT NOT NULL DEFAULT 'password';
-- Votes of before, of persons of the identity provider: they have no password.
UPDATE votes SET how = 'provider' WHERE person IN (SELECT name FROM people WHERE password LIKE 'oidc:%');

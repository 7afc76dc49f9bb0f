-- What its organisation signed, for those that join later; empty where it was heard before this column was there.
ALTER TABLE revocations ADD COLUMN statement TEXT NOT NULL DEFAULT '';

-- Merges are undone newest first. A survivor is locked while somebody is merged into it, so these are in the order of its
-- merges, which neither ids (clocks of several gateways) nor times (of the beginning of a transaction) are.
alter table merge_records add column position bigserial;

-- What an undo could not give back: `[{ kind, name, reason }]`.
alter table merge_records add column left_behind jsonb;

-- Where people who are to be erased are mentioned by an identifier, other than in rows of their own.
create index notifications_target_users_idx on notifications using gin ((target -> 'users') jsonb_path_ops);
-- Most records are of leads without a name, who are in no such index.
create index merge_records_moved_identifiers_idx on merge_records using gin ((moved -> 'identifiers') jsonb_path_ops)
where moved -> 'identifiers' <> '[]';

-- Whose rights have become less: an installation that left its user, a key that is no longer in force. Gateways
-- follow this table and ask anew for the open streams of that subject.
create table access_changes (
  position bigserial not null,
  subject_id uuid not null,
  at timestamptz(3) not null default now(),

  constraint access_changes_pkey primary key (position)
);

create index access_changes_subject_id_position_idx on access_changes (subject_id, position);
create index access_changes_at_idx on access_changes (at);

-- Positions are in commit order, as those of delivery_events are: a reader that has seen position n has seen all below it.
-- The triggers that write here are deferred, so that the lock is taken by the commit itself, after every other.
create function lock_access_changes() returns trigger
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(4027126016);
  return null;
end
$$;

create trigger access_changes_in_commit_order before insert on access_changes
for each statement execute function lock_access_changes();

create function record_access_change() returns trigger
language plpgsql
as $$
begin
  insert into access_changes (subject_id) values (old.id);
  return null;
end
$$;

-- An installation whose user became another one's tombstone has followed it, and still sees what it saw.
create function record_left_user() returns trigger
language plpgsql
as $$
begin
  if not exists (select from users where id = old.user_id and merged_into_id = new.user_id) then
    insert into access_changes (subject_id) values (old.id);
  end if;
  return null;
end
$$;

create constraint trigger installations_left_user after update of user_id on installations
deferrable initially deferred
for each row when (old.user_id <> new.user_id) execute function record_left_user();

create constraint trigger installations_deleted after delete on installations
deferrable initially deferred
for each row execute function record_access_change();

-- A token that is dropped for newer ones of the same installation is no such loss: that happens with many a launch of an
-- app, and the streams that were opened with it end when it would have expired.

create constraint trigger api_keys_revoked after update of revoked_at on api_keys
deferrable initially deferred
for each row when (old.revoked_at is distinct from new.revoked_at) execute function record_access_change();

create constraint trigger api_keys_deleted after delete on api_keys
deferrable initially deferred
for each row execute function record_access_change();

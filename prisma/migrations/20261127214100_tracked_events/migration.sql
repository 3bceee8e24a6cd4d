-- ── What people did (rules M5, A1) ──────────────────────────────────────────────────────────────────────────────────

create table tracked_events (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  installation_id uuid,
  name text not null,
  properties jsonb not null default '{}',
  at timestamptz(3) not null
);

-- One user's of a name …
create index tracked_events_user_id_name_at_idx on tracked_events (user_id, name, at);
-- … and everybody's.
create index tracked_events_name_at_user_id_idx on tracked_events (name, at, user_id);

-- Events are read through the tombstones of whom they were tracked for: who one is now, or was merged into.
create index users_living_idx on users ((coalesce(merged_into_id, id)));

-- What people did that the notification is sent because of: { name, properties }.
alter table notifications add column event jsonb;

-- What stands in the inboxes: one item for each delivery that was put there.
create table inbox_items (
  -- The delivery's.
  id uuid primary key,
  notification_id uuid not null,
  -- For whom the delivery was made: after a merge it is read through the tombstone.
  user_id uuid not null references users (id) on delete cascade,
  content jsonb not null,
  created_at timestamptz(3) not null default now(),
  read_at timestamptz(3)
);
create index inbox_items_user_id_id_idx on inbox_items (user_id, id);
create index inbox_items_unread_idx on inbox_items (user_id) where read_at is null;

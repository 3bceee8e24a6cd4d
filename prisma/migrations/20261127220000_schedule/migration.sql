-- Sends that wait for their time, and sends that are called off.
alter table notifications
  add column send_at timestamptz(3),
  add column starts_at timestamptz(3) not null default now(),
  add column ttl_seconds integer not null default 172800,
  add column cancelled_at timestamptz(3);
update notifications set starts_at = created_at, ttl_seconds = extract(epoch from expires_at - created_at)::integer;

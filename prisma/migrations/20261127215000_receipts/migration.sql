-- What providers tell after they have taken a message, and links that lead back to us.
alter table deliveries add column provider_message_id text;
-- Where a provider gives ids of its own, its receipts are looked up by them.
create index deliveries_by_provider_message on deliveries (provider_message_id) where provider_message_id is not null;

alter table recipients add column retired_at timestamptz(3);

alter table notifications
  add column track_links boolean not null default false,
  add column track_opens boolean not null default false;

create table early_receipts (
  id uuid primary key,
  provider_message_id text not null,
  status delivery_status not null,
  reason delivery_reason,
  provider_code text,
  is_address_gone boolean not null default false,
  at timestamptz(3),
  created_at timestamptz(3) not null default now()
);
create index early_receipts_created_at_idx on early_receipts (created_at);

-- Where delivery events are told to.
create table webhooks (
  id uuid primary key,
  url text not null,
  secret_cipher bytea not null,
  events delivery_status[],
  app_id uuid references apps (id) on update cascade on delete cascade,
  cursor_epoch uuid not null,
  cursor_position bigint not null,
  cursor_tag integer not null,
  end_position bigint,
  end_tag integer,
  has_gap boolean not null default false,
  failures integer not null default 0,
  failing_since timestamptz(3),
  last_failure text,
  next_attempt_at timestamptz(3) not null default now(),
  disabled_at timestamptz(3),
  claim_token uuid,
  claim_expires_at timestamptz(3),
  created_at timestamptz(3) not null default now(),
  constraint webhooks_end_whole check ((end_position is null) = (end_tag is null))
);

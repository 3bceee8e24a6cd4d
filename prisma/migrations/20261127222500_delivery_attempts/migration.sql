-- Attempts that were put off: what the events do not tell. One that ends a delivery is in the delivery itself.
create table delivery_attempts (
  delivery_id uuid not null,
  at timestamptz(3) not null default now(),
  attempt integer not null,
  provider_code text,
  constraint delivery_attempts_pkey primary key (delivery_id, at)
);
create index delivery_attempts_at_idx on delivery_attempts (at);

-- How many messages a user gets within a time. They are counted by `deliveries (user_id, id)`, whose ids tell when they were made.
alter table notifications add column frequency_cap jsonb;
alter table deliveries add column begun_at timestamptz(3);

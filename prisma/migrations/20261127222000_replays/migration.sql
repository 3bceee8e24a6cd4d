-- Deliveries that have ended may be sent again.
alter table deliveries add column replays integer not null default 0;

-- Which pause has put a delivery off: when that ends, it is due at once.
alter table channel_pauses add column id uuid not null default gen_random_uuid();
alter table channel_pauses add constraint channel_pauses_id_key unique (id);

alter table deliveries add column pause_id uuid;

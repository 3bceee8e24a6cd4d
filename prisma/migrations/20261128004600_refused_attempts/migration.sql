-- Null: one that the provider refused with all others, which does not count.
alter table delivery_attempts alter column attempt drop not null;

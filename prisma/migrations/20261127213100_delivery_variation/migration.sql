-- Which variation of the content went out, by its place; null: what is said to everybody, or nothing went out.
alter table deliveries add column variation integer;

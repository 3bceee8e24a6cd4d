-- When an installation last registered the address that it has: a provider that knows for longer that nobody has it is out of
-- date. Null: nobody knows, as the address was imported, or registered before this column was there.
alter table installations add column address_registered_at timestamptz(3);

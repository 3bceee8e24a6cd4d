-- Since when an installation can be pushed to: set with its first address, by whatever statement, and kept. An import says
-- it itself.
create function note_subscription() returns trigger
language plpgsql
as $$
begin
  new.subscribed_at := now();
  return new;
end
$$;

create trigger installations_subscribed before insert or update of address_hash on installations
for each row when (new.address_hash is not null and new.subscribed_at is null) execute function note_subscription();

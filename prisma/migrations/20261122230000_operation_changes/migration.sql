-- Who runs a partner's operation has less right to, when it is removed or registered with other pins or another scope:
-- gateways ask anew for the open streams of that partner's keys.
create function record_operation_change() returns trigger
language plpgsql
as $$
begin
  insert into access_changes (subject_id)
  select id from api_keys where kind = 'PARTNER' and partner = old.partner and revoked_at is null;
  return null;
end
$$;

create constraint trigger registered_operations_changed
after update of pinned_variables, scope_app_id, scope_segment_id on registered_operations
deferrable initially deferred
for each row when (
  (old.pinned_variables, old.scope_app_id, old.scope_segment_id)
  is distinct from (new.pinned_variables, new.scope_app_id, new.scope_segment_id)
) execute function record_operation_change();

create constraint trigger registered_operations_deleted after delete on registered_operations
deferrable initially deferred
for each row execute function record_operation_change();

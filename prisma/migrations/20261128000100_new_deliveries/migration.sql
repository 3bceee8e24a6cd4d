-- As before, faster for many rows: a status that new deliveries have is not told by way of its name.
create or replace function record_new_deliveries() returns trigger
language plpgsql
as $$
begin
  insert into delivery_events (delivery_id, notification_id, user_id, status, reason, at)
  select
    id, notification_id, user_id,
    case status
      when 'QUEUED' then 'QUEUED'::delivery_event_status
      when 'DISCARDED' then 'DISCARDED'::delivery_event_status
      else status::text::delivery_event_status
    end,
    reason, status_at
  from added
  order by id;

  insert into notification_counts as counts (notification_id, status, current)
  select notification_id, status, count(*)
  from added
  group by notification_id, status
  order by notification_id, status
  on conflict (notification_id, status) do update set current = counts.current + excluded.current;
  return null;
end
$$;

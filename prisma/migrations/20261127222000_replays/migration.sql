-- Deliveries that have ended may be sent again.
alter table deliveries add column replays integer not null default 0;

-- SENDING is a claim, not an event: neither taking it nor giving it back to the queue is told. That an end is taken back, is. What
-- had been sent before such an end is then as if it had not: it is counted again when it is sent again.
create or replace function record_changed_deliveries() returns trigger
language plpgsql
as $$
begin
  if not exists (
    select from after_change a join before_change b using (id) where a.status <> b.status
  ) then
    return null;
  end if;

  if exists (
    select from after_change a join before_change b using (id) where a.status <> b.status and a.status <> 'SENDING' and (a.status, b.status) <> ('QUEUED', 'SENDING')
  ) then
    insert into delivery_events (delivery_id, notification_id, user_id, status, reason, at)
    select a.id, a.notification_id, a.user_id, a.status::text::delivery_event_status, a.reason, a.status_at
    from after_change a join before_change b using (id)
    where a.status <> b.status and a.status <> 'SENDING' and (a.status, b.status) <> ('QUEUED', 'SENDING')
    order by a.id;
  end if;

  insert into notification_counts as counts (notification_id, status, current, reached)
  select change.notification_id, change.status, sum(change.current), sum(change.reached)
  from after_change a
  join before_change b using (id)
  cross join lateral (
    select b.notification_id, b.status, -1 as current, 0 as reached
    union all
    select a.notification_id, a.status, 1, 0
    union all
    select a.notification_id, milestone, 0, 1
    from unnest(delivery_milestones(a.status)) milestone
    where milestone <> all (delivery_milestones(b.status))
    union all
    select a.notification_id, 'SENT', 0, -1
    where a.status = 'QUEUED' and b.status in ('FAILED', 'BOUNCED') and (
      -- The last but one: the last is that it was queued again, just now.
      select e.status from delivery_events e
      where e.delivery_id = a.id and e.status in ('QUEUED', 'SENT')
      order by e.position desc
      offset 1 limit 1
    ) = 'SENT'
  ) change
  where a.status <> b.status
  group by change.notification_id, change.status
  order by change.notification_id, change.status
  on conflict (notification_id, status) do update
  set current = counts.current + excluded.current, reached = counts.reached + excluded.reached;
  return null;
end
$$;

-- As before, and that an end is taken back is told and counted, too. The rows are joined no more often than needed: those that
-- went the same way are counted first. The plans of a trigger's statements are made once a connection, for as many rows as its
-- first statement has changed: after a single one, a nested loop would compare each of a batch with each.
create or replace function record_changed_deliveries() returns trigger
language plpgsql
set enable_nestloop = off
set jit = off
as $$
declare
  is_replay boolean := exists (select from after_change where status = 'QUEUED')
    and exists (select from before_change where status in ('FAILED', 'BOUNCED', 'DISCARDED', 'EXPIRED'));
begin
  -- SENDING is a claim, not an event: neither taking it nor giving it back to the queue is told.
  if is_replay or exists (select from after_change where status not in ('SENDING', 'QUEUED')) then
    insert into delivery_events (delivery_id, notification_id, user_id, status, reason, at)
    select a.id, a.notification_id, a.user_id, a.status::text::delivery_event_status, a.reason, a.status_at
    from after_change a join before_change b using (id)
    where a.status <> b.status and a.status <> 'SENDING' and (a.status <> 'QUEUED' or b.status <> 'SENDING')
    order by a.id;
  end if;

  insert into notification_counts as counts (notification_id, status, current, reached)
  select moved.notification_id, change.status, sum(change.current * moved.count), sum(change.reached * moved.count)
  from (
    select a.notification_id, b.status as before, a.status as after, count(*) as count
    from after_change a join before_change b using (id)
    where a.status <> b.status
    group by a.notification_id, b.status, a.status
  ) moved
  cross join lateral (
    select moved.before as status, -1 as current, 0 as reached
    union all
    select moved.after, 1, 0
    union all
    select milestone, 0, 1
    from unnest(delivery_milestones(moved.after)) milestone
    where milestone <> all (delivery_milestones(moved.before))
  ) change
  group by moved.notification_id, change.status
  order by moved.notification_id, change.status
  on conflict (notification_id, status) do update
  set current = counts.current + excluded.current, reached = counts.reached + excluded.reached;

  -- What had been sent before such an end is then as if it had not: it is counted again when it is sent again.
  if is_replay then
    update notification_counts counts set reached = counts.reached - taken_back.count
    from (
      select a.notification_id, count(*) as count
      from after_change a join before_change b using (id)
      where a.status = 'QUEUED' and b.status in ('FAILED', 'BOUNCED') and (
        -- The last but one: the last is that it was queued again, just now.
        select e.status from delivery_events e
        where e.delivery_id = a.id and e.status in ('QUEUED', 'SENT')
        order by e.position desc
        offset 1 limit 1
      ) = 'SENT'
      group by a.notification_id
    ) taken_back
    where counts.notification_id = taken_back.notification_id and counts.status = 'SENT';
  end if;
  return null;
end
$$;

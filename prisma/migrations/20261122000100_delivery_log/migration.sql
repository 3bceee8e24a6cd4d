-- What keeps deliveries, their event log and their counts in step: whoever changes a delivery's status, by whatever
-- statement, appends its event and moves its counts in the same transaction.

-- Time-ordered ids (RFC 9562, version 7) for rows that a statement makes by itself. PostgreSQL has uuidv7() from 18 on.
create function uuid_v7() returns uuid
language sql volatile parallel safe
as $$
  select encode(
    set_bit(
      set_bit(
        overlay(
          uuid_send(gen_random_uuid())
          placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
          from 1 for 6
        ),
        52, 1
      ),
      53, 1
    ),
    'hex'
  )::uuid
$$;

insert into delivery_log default values;
alter table delivery_log add constraint delivery_log_has_one_row check (id);

-- Rows that cannot be: a recipient of the wrong shape, a claim without a lease, a tombstone of itself, half an address, a
-- publishable key of no app.
alter table recipients add constraint recipients_address_fits_channel check (
  case channel
    when 'PUSH' then installation_id is not null and address is null
    when 'IN_APP' then installation_id is null and address is null
    else installation_id is null and address is not null
  end
);
alter table deliveries add constraint deliveries_claim_while_sending check (
  (status = 'SENDING') = (claim_token is not null and claim_expires_at is not null)
);

alter table users add constraint users_merged_into_another check (merged_into_id <> id);
alter table installations add constraint installations_address_whole check ((address_hash is null) = (address_cipher is null));
alter table api_keys add constraint api_keys_app_of_publishable check ((kind = 'APP') = (app_id is not null));

-- One in-app inbox per user.
create unique index recipients_one_inbox_per_user on recipients (user_id) where channel = 'IN_APP';
-- At most one primary installation per user and app.
create unique index installations_one_primary_per_user_and_app on installations (user_id, app_id) where is_primary_device;
-- A user shows one external user id; the others are aliases.
create unique index identifiers_one_external_user_id on identifiers (user_id) where kind = 'EXTERNAL_USER_ID' and not is_alias;
-- What a deliver job claims.
create index deliveries_due on deliveries (notification_id, next_attempt_at) where status = 'QUEUED';
-- What a depersonalize calls off.
create index deliveries_queued_by_recipient on deliveries (recipient_id) where status = 'QUEUED';
-- What the sweeper looks for.
create index deliveries_claimed on deliveries (claim_expires_at) where status = 'SENDING';
create index notification_counts_waiting on notification_counts (notification_id) where status = 'QUEUED' and current > 0;
create index notifications_unfinished on notifications (fan_out_claim_expires_at) where fan_out_finished_at is null;

-- How far a delivery has come: whatever is opened was delivered, whatever is delivered was sent.
create function delivery_milestones(status delivery_status) returns delivery_status[]
language sql immutable parallel safe
as $$
  select case status
    when 'SENT' then '{SENT}'
    when 'DELIVERED' then '{SENT,DELIVERED}'
    when 'OPENED' then '{SENT,DELIVERED,OPENED}'
    when 'CLICKED' then '{SENT,DELIVERED,OPENED,CLICKED}'
    else '{}'
  end::delivery_status[]
$$;

-- Positions are given in commit order: the lock is held from before the first nextval until the transaction is visible,
-- so a reader that has seen position n will never see a lower one appear. It is the last lock that a transaction takes
-- (but for the counts of its notifications, whose holders never wait for it): change deliveries in the final statement,
-- and lock nothing after it.
create function lock_delivery_events() returns trigger
language plpgsql
as $$
begin
  perform pg_advisory_xact_lock(4027126015);
  return null;
end
$$;

create trigger delivery_events_in_commit_order before insert on delivery_events
for each statement execute function lock_delivery_events();

create function record_new_deliveries() returns trigger
language plpgsql
as $$
begin
  insert into delivery_events (delivery_id, notification_id, user_id, status, reason, at)
  select id, notification_id, user_id, status::text::delivery_event_status, reason, status_at
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

create trigger deliveries_added after insert on deliveries
referencing new table as added
for each statement execute function record_new_deliveries();

-- SENDING is a claim, not an event: neither taking it nor giving it back to the queue is told.
create function record_changed_deliveries() returns trigger
language plpgsql
as $$
begin
  if not exists (
    select from after_change a join before_change b using (id) where a.status <> b.status
  ) then
    return null;
  end if;

  if exists (
    select from after_change a join before_change b using (id) where a.status <> b.status and a.status not in ('SENDING', 'QUEUED')
  ) then
    insert into delivery_events (delivery_id, notification_id, user_id, status, reason, at)
    select a.id, a.notification_id, a.user_id, a.status::text::delivery_event_status, a.reason, a.status_at
    from after_change a join before_change b using (id)
    where a.status <> b.status and a.status not in ('SENDING', 'QUEUED')
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
  ) change
  where a.status <> b.status
  group by change.notification_id, change.status
  order by change.notification_id, change.status
  on conflict (notification_id, status) do update
  set current = counts.current + excluded.current, reached = counts.reached + excluded.reached;
  return null;
end
$$;

create trigger deliveries_changed after update on deliveries
referencing old table as before_change new table as after_change
for each statement execute function record_changed_deliveries();

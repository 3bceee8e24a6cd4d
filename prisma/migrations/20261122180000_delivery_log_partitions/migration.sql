-- The delivery log in partitions, so that retention drops a table instead of deleting rows.
--
-- A partition is begun on a day, counted since 1970-01-01 (UTC), and holds the positions from `day << 40` to below
-- `(day + 1) << 40`: a million million events. So one key says when and in which order. It is written to until the next
-- one is begun, which may be days later; positions go up whatever the clock does.

-- What was written so far becomes the partition of day 0.
alter table delivery_events rename to delivery_events_19700101;
alter index delivery_events_pkey rename to delivery_events_19700101_pkey;
alter index delivery_events_notification_id_position_idx rename to delivery_events_19700101_notification_id_position_idx;
alter index delivery_events_user_id_position_idx rename to delivery_events_19700101_user_id_position_idx;
alter index delivery_events_delivery_id_position_idx rename to delivery_events_19700101_delivery_id_position_idx;
drop trigger delivery_events_in_commit_order on delivery_events_19700101;

create table delivery_events (like delivery_events_19700101 including all) partition by range (position);
alter sequence delivery_events_position_seq owned by delivery_events.position;
create trigger delivery_events_in_commit_order before insert on delivery_events
for each statement execute function lock_delivery_events();
alter table delivery_events attach partition delivery_events_19700101 for values from (0) to (1099511627776);

-- Here and not first: whoever reads locks the events before this.
alter table delivery_log add column tag_before_oldest integer not null default 0;

-- The partitions, oldest first, each with the day on which it was begun.
create function delivery_events_partitions() returns table (name text, day integer)
language sql stable
as $$
  select
    relname::text,
    (substring(pg_get_expr(relpartbound, pg_class.oid) from $bound$FROM \('(\d+)'\)$bound$)::bigint >> 40)::integer as day
  from pg_inherits
  join pg_class on pg_class.oid = inhrelid
  where inhparent = 'delivery_events'::regclass
  order by day
$$;

-- Begins the partition of `first_day`, which is today; false if there is one that is as new. It waits for the writers that
-- are under way and holds up those that come, for as long as it takes to make a table: a statement that has begun knows the
-- partitions of then, and would have no place for a position in a newer one. Readers are not held up. The sequence is
-- restarted and not set, since only that is undone with the transaction. While somebody works with the log for longer it
-- fails (55P03), having done nothing.
create function begin_delivery_events_partition(first_day integer) returns boolean
language plpgsql
set lock_timeout = '500ms'
as $$
declare
  partition text := to_char(date '1970-01-01' + first_day, '"delivery_events_"YYYYMMDD');
  first_position bigint := first_day::bigint << 40;
begin
  lock table only delivery_events in share row exclusive mode;
  if first_day <= (select max(day) from delivery_events_partitions()) then
    return false;
  end if;
  execute format('create table %I (like delivery_events including all)', partition);
  execute format(
    'alter table delivery_events attach partition %I for values from (%s) to (%s)',
    partition, first_position, first_position + (1::bigint << 40)
  );
  execute format('alter sequence delivery_events_position_seq restart with %s', first_position);
  return true;
end
$$;

-- Drops the partitions that were begun before `first_day_kept`, never the newest, and in the same transaction remembers
-- the last event that went: behind it the log begins from then on. Returns their names. Readers and writers that come wait
-- for it, and it for those under way; while one of them works for longer it fails (55P03), having done nothing. It locks the
-- log before its partitions, as they do.
create function drop_delivery_events_partitions(first_day_kept integer) returns text[]
language plpgsql
set lock_timeout = '500ms'
as $$
declare
  dropped text[];
begin
  lock table only delivery_events in access exclusive mode;
  first_day_kept := least(first_day_kept, (select max(day) from delivery_events_partitions()));
  select array_agg(name) into dropped from delivery_events_partitions() where day < first_day_kept;
  if dropped is null then
    return '{}';
  end if;
  update delivery_log
  set oldest_position = last.position + 1, tag_before_oldest = last.tag
  from (
    select position, tag from delivery_events
    where position < first_day_kept::bigint << 40
    order by position desc
    limit 1
  ) last;
  execute (select 'drop table ' || string_agg(format('%I', name), ', ') from unnest(dropped) name);
  return dropped;
end
$$;

-- A log that was emptied is another log: cursors of before are none in it. Its positions stay in the newest partition,
-- also after `restart identity`.
create function begin_delivery_log_anew() returns trigger
language plpgsql
as $$
begin
  update delivery_log set epoch = gen_random_uuid();
  perform setval('delivery_events_position_seq', newest.position, false)
  from (select max(day)::bigint << 40 as position from delivery_events_partitions()) newest, delivery_events_position_seq
  where last_value < newest.position;
  return null;
end
$$;

create trigger delivery_log_begun_anew after truncate on delivery_events
for each statement execute function begin_delivery_log_anew();

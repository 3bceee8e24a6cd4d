-- Sends at a time of day of each user's own, and none in the hours in which a user wants to be left alone.
alter table notifications add column local_time boolean not null default false, add column quiet_hours jsonb;

-- When it is this time on the clocks of a zone; UTC where there is none, or none that is known. An hour that a change of clocks
-- leaves out comes after it, one that comes twice is the second.
create function at_wall_clock(wall_clock timestamp, zone text) returns timestamptz
language plpgsql stable cost 1000
as $$
begin
  return wall_clock at time zone coalesce(zone, 'UTC');
exception when invalid_parameter_value then
  return wall_clock at time zone 'UTC';
end
$$;

-- When the quiet hours of a zone end in which a moment is; null: it is in none. They may go past midnight.
create function quiet_until(moment timestamptz, zone text, begin_at time, end_at time) returns timestamptz
language plpgsql stable cost 1000
as $$
declare
  wall_clock timestamp;
  is_quiet boolean;
begin
  begin
    wall_clock := moment at time zone coalesce(zone, 'UTC');
  exception when invalid_parameter_value then
    zone := 'UTC';
    wall_clock := moment at time zone zone;
  end;
  if begin_at < end_at then
    is_quiet := wall_clock::time >= begin_at and wall_clock::time < end_at;
  else
    is_quiet := wall_clock::time >= begin_at or wall_clock::time < end_at;
  end if;
  if not is_quiet then
    return null;
  end if;
  return at_wall_clock(wall_clock::date + (case when wall_clock::time >= end_at then 1 else 0 end) + end_at, zone);
end
$$;

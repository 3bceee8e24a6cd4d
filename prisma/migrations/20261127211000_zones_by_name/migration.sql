-- As before, but for four zones of the IANA database that PostgreSQL takes for abbreviations, which have no summer time. They
-- are what that database has them stand for.
create or replace function day_in_zone(moment timestamptz, zone text) returns date
language plpgsql stable cost 1000
as $$
begin
  return (moment at time zone case upper(coalesce(zone, 'UTC'))
    when 'CET' then 'Europe/Brussels'
    when 'MET' then 'Europe/Brussels'
    when 'EET' then 'Europe/Athens'
    when 'WET' then 'Europe/Lisbon'
    else coalesce(zone, 'UTC')
  end)::date;
exception when invalid_parameter_value then
  return (moment at time zone 'UTC')::date;
end
$$;

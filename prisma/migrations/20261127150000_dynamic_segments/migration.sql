-- ── Dynamic segments: a filter in normal form (segments/filter.ts); null: a static one ──────────────────────────────

alter table segments add column filter jsonb;

-- ── What filters compare by ─────────────────────────────────────────────────────────────────────────────────────────

-- A custom attribute's value, null where it has none of that form. Immutable and plain, so that the planner sees through
-- them: an index on `attribute_number(custom_attributes, 'points')` serves whoever compares by it.
create function attribute_text(attributes jsonb, name text) returns text
language sql immutable parallel safe
as $$ select case when jsonb_typeof(attributes -> name) = 'string' then attributes ->> name end $$;

create function attribute_number(attributes jsonb, name text) returns numeric
language sql immutable parallel safe
as $$ select case when attributes ->> name ~ '^-?[0-9]+([.][0-9]+)?$' then (attributes ->> name)::numeric end $$;

-- The day that it is somewhere; in UTC where the zone is unknown, or known to nobody here.
create function day_in_zone(moment timestamptz, zone text) returns date
language plpgsql stable cost 1000
as $$
begin
  return (moment at time zone coalesce(zone, 'UTC'))::date;
exception when invalid_parameter_value then
  return (moment at time zone 'UTC')::date;
end
$$;

-- A text that sorts (by code point) as versions do by Semantic Versioning 2.0.0, 11. "1.2" is "1.2.0" and "v1.2.0" too;
-- null for what is no version.
create function version_key(version text) returns text
language plpgsql immutable strict parallel safe
as $$
declare
  parts constant text[] := regexp_match(
    version,
    '^v?([0-9]{1,18})(?:[.]([0-9]{1,18}))?(?:[.]([0-9]{1,18}))?(?:-([0-9A-Za-z-]+(?:[.][0-9A-Za-z-]+)*))?(?:[+][0-9A-Za-z.-]+)?$'
  );
  core constant text := lpad(parts[1], 18, '0') || lpad(coalesce(parts[2], ''), 18, '0') || lpad(coalesce(parts[3], ''), 18, '0');
begin
  -- A release comes after each of its pre-releases.
  if parts[4] is null then return core || '~'; end if;
  -- Numbers come before words, a shorter number before a longer one, and the end before what goes on.
  return core || (
    select string_agg(
      case when part ~ '^[0-9]+$' then '0' || lpad(length(ltrim(part, '0'))::text, 3, '0') || ltrim(part, '0') else '1' || part end || ' ',
      '' order by place
    )
    from unnest(string_to_array(parts[4], '.')) with ordinality as given (part, place)
  );
end
$$;

-- ── Who can be reached by push ──────────────────────────────────────────────────────────────────────────────────────

alter table users add column is_push_reachable boolean not null default false;

-- Whether a push may go to an installation: where `ineligibility` (deliveries/eligibility.ts) has no objection. A test holds
-- the two together.
create function may_receive_push(installation installations, is_subscribed boolean) returns boolean
language sql immutable parallel safe
as $$
  select is_subscribed and installation.is_push_registration_enabled and installation.push_status = 'ALLOWED'
    and installation.address_cipher is not null
$$;

-- The user is locked first, even if nothing changes: of two that each take away one of the last two ways to reach a user,
-- the second then sees what the first did.
create function keep_push_reachability(of_user uuid) returns void
language plpgsql
as $$
begin
  perform from users where id = of_user for no key update;
  update users u set is_push_reachable = not u.is_push_reachable
  where u.id = of_user and u.is_push_reachable <> exists (
    select from installations i join recipients r on r.installation_id = i.id
    where i.user_id = of_user and may_receive_push(i, r.is_subscribed)
  );
end
$$;

create function installation_keeps_push_reachability() returns trigger
language plpgsql
as $$
begin
  -- In id order, as all who lock several users.
  perform keep_push_reachability(id) from (
    select distinct id from unnest(array[
      case when tg_op <> 'INSERT' then old.user_id end, case when tg_op <> 'DELETE' then new.user_id end
    ]) as given (id) where id is not null order by id
  ) concerned;
  return null;
end
$$;

-- A new installation has no recipient yet; the recipient's trigger speaks for it.
create trigger installations_change_push_reachability after update on installations
for each row when (
  old.user_id <> new.user_id and (may_receive_push(old, true) or may_receive_push(new, true))
  or may_receive_push(old, true) <> may_receive_push(new, true)
) execute function installation_keeps_push_reachability();

create trigger deleted_installations_change_push_reachability after delete on installations
for each row when (may_receive_push(old, true)) execute function installation_keeps_push_reachability();

create function recipient_keeps_push_reachability() returns trigger
language plpgsql
as $$
begin
  perform keep_push_reachability(i.user_id) from installations i
  where i.id = case when tg_op = 'DELETE' then old.installation_id else new.installation_id end
    and may_receive_push(i, true);
  return null;
end
$$;

create trigger new_recipients_change_push_reachability after insert on recipients
for each row when (new.installation_id is not null and new.is_subscribed)
execute function recipient_keeps_push_reachability();

create trigger recipients_change_push_reachability after update of is_subscribed on recipients
for each row when (new.installation_id is not null and old.is_subscribed <> new.is_subscribed)
execute function recipient_keeps_push_reachability();

create trigger deleted_recipients_change_push_reachability after delete on recipients
for each row when (old.installation_id is not null and old.is_subscribed)
execute function recipient_keeps_push_reachability();

update users set is_push_reachable = true where id in (
  select i.user_id from installations i join recipients r on r.installation_id = i.id where may_receive_push(i, r.is_subscribed)
);

-- ── What filters look for ───────────────────────────────────────────────────────────────────────────────────────────

-- Most users are leads, of whom nothing is known: they are left out, and cost nothing.
create index users_tags_idx on users using gin (tags) where tags <> '{}';
create index users_custom_attributes_idx on users using gin (custom_attributes jsonb_path_ops) where custom_attributes <> '{}';

-- ── What messages are about, and who wants that (rule M8) ───────────────────────────────────────────────────────────

create table topics (
  id uuid primary key,
  name text not null,
  description text,
  is_subscribed_by_default boolean not null default true,
  position integer not null default 0,
  created_at timestamptz(3) not null default now()
);

create unique index topics_name_key on topics (name);

-- A row without a channel is for all channels that have no row of their own.
create table topic_preferences (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  topic_id uuid not null references topics (id) on delete cascade,
  channel channel,
  is_subscribed boolean not null,
  said_at timestamptz(3) not null,
  said_by text not null
);

create unique index topic_preferences_user_id_topic_id_channel_key
on topic_preferences (user_id, topic_id, channel) nulls not distinct;
create index topic_preferences_topic_id_user_id_idx on topic_preferences (topic_id, user_id);

-- Without a reference: what was sent stays when its topic goes.
alter table notifications add column topic_id uuid;
create index notifications_topic_id_idx on notifications (topic_id) where topic_id is not null;

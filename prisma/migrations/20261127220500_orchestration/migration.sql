-- One channel after the other, instead of all at once.
create type orchestration as enum ('ALL', 'PREFERRED', 'FALLBACK');
alter table notifications
  add column orchestration orchestration not null default 'ALL',
  add column fallback_after_seconds integer;

-- Who may still be sent to by another channel of a notification. The row goes when none follows any more.
create table fallbacks (
  notification_id uuid not null,
  user_id uuid not null,
  channel channel not null,
  due_at timestamptz(3),
  constraint fallbacks_pkey primary key (notification_id, user_id),
  constraint fallbacks_notification_id_fkey foreign key (notification_id) references notifications (id) on delete cascade on update cascade
);
create index fallbacks_notification_id_due_at_idx on fallbacks (notification_id, due_at);

-- Whether the next channel waits for what becomes of a delivery.
alter table deliveries add column falls_back boolean not null default false;
create index deliveries_falling_back on deliveries (notification_id, status, user_id) where falls_back;
create index notifications_in_steps on notifications (id) where orchestration = 'FALLBACK';

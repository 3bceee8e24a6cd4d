-- Which provider of which app is down, for all workers: nothing is sent there, but for one try after the other.
create type channel_pause_cause as enum ('REFUSED', 'UNAVAILABLE');

create table channel_pauses (
  app_id uuid not null,
  channel channel not null,
  -- Name of the provider, such as `smtp`.
  provider text not null,
  cause channel_pause_cause not null,
  -- The provider's own word, or why it was not reached.
  provider_code text,
  paused_at timestamptz(3) not null default now(),
  -- When one send may be tried.
  probe_at timestamptz(3) not null,

  constraint channel_pauses_pkey primary key (app_id, channel, provider),
  constraint channel_pauses_app_id_fkey foreign key (app_id) references apps (id) on delete cascade
);

-- A WhatsApp goes to the phone of an SMS recipient.
alter table recipients add constraint recipients_no_whatsapp check (channel <> 'WHATSAPP');

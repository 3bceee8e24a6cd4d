create type app_channel_provider as enum ('FCM', 'APNS', 'WEB_PUSH', 'SMTP', 'INFOBIP');

-- By what an app sends that does not send by what the environment says.
create table app_channels (
  app_id uuid not null,
  provider app_channel_provider not null,
  account text not null,
  credentials_cipher bytea not null,
  updated_at timestamptz(3) not null default current_timestamp,

  constraint app_channels_pkey primary key (app_id, provider),
  constraint app_channels_app_id_fkey foreign key (app_id) references apps (id) on delete cascade on update cascade
);

-- ── Keys of partners and dashboards; when a key was used last; two secrets while a key is rotated ────────────────────

alter type api_key_kind add value 'PARTNER';
alter type api_key_kind add value 'DASHBOARD';

alter table api_keys
  add column partner text,
  add column last_used_at timestamptz(3),
  add column previous_secret_hash bytea,
  add column previous_expires_at timestamptz(3),
  -- As text: a value that this transaction has added cannot be used in it.
  add constraint api_keys_app_of_app_key check (kind::text <> 'APP' or app_id is not null),
  add constraint api_keys_partner_of_partner_key check ((kind::text = 'PARTNER') = (partner is not null)),
  add constraint api_keys_previous_secret check ((previous_secret_hash is null) = (previous_expires_at is null));

create unique index api_keys_previous_secret_hash_key on api_keys (previous_secret_hash);

-- A stream goes on only as long as the secret that it was opened with.
drop trigger api_keys_revoked on api_keys;
create constraint trigger api_keys_changed after update of revoked_at, secret_hash, previous_secret_hash on api_keys
deferrable initially deferred
for each row when (
  (old.revoked_at, old.secret_hash, old.previous_secret_hash)
  is distinct from (new.revoked_at, new.secret_hash, new.previous_secret_hash)
) execute function record_access_change();

-- ── What an app lets its clients do ──────────────────────────────────────────────────────────────────────────────────

alter table apps
  add column allowed_origins text[] default '{}',
  add column is_limited_to_operations boolean not null default false;

create type user_token_algorithm as enum ('ES256', 'RS256', 'HS256');

create table user_token_keys (
  id uuid not null,
  app_id uuid not null,
  key_id text not null,
  algorithm user_token_algorithm not null,
  key_cipher bytea not null,
  created_at timestamptz(3) not null default current_timestamp,

  constraint user_token_keys_pkey primary key (id),
  constraint user_token_keys_app_id_fkey foreign key (app_id) references apps (id) on delete cascade on update cascade
);

create unique index user_token_keys_app_id_key_id_key on user_token_keys (app_id, key_id);

-- What a client of an OPEN app says its person is called. Names nobody for others: two may claim the same.
create table identifier_claims (
  kind identifier_kind not null,
  value text not null,
  user_id uuid not null,
  created_at timestamptz(3) not null default current_timestamp,

  constraint identifier_claims_pkey primary key (kind, value, user_id),
  constraint identifier_claims_user_id_fkey foreign key (user_id) references users (id) on delete cascade on update cascade
);

create index identifier_claims_user_id_idx on identifier_claims (user_id);

-- ── Registered operations ────────────────────────────────────────────────────────────────────────────────────────────

-- Of a partner, or of an app's clients.
create table registered_operations (
  id uuid not null,
  partner text,
  app_id uuid,
  document_id text not null,
  name text not null,
  document text not null,
  pinned_variables jsonb not null default '{}',
  is_mutation_granted boolean not null default false,
  scope_app_id uuid,
  scope_segment_id uuid,
  cost integer not null,
  created_at timestamptz(3) not null default current_timestamp,

  constraint registered_operations_pkey primary key (id),
  constraint registered_operations_of_one_owner check ((partner is null) <> (app_id is null)),
  constraint registered_operations_app_id_fkey foreign key (app_id) references apps (id) on delete cascade on update cascade,
  constraint registered_operations_scope_app_id_fkey
    foreign key (scope_app_id) references apps (id) on delete restrict on update cascade,
  constraint registered_operations_scope_segment_id_fkey
    foreign key (scope_segment_id) references segments (id) on delete restrict on update cascade
);

create unique index registered_operations_partner_document_id_key on registered_operations (partner, document_id);
create unique index registered_operations_app_id_document_id_key on registered_operations (app_id, document_id);

-- ── Who did what with a key ──────────────────────────────────────────────────────────────────────────────────────────

create table audit_entries (
  id uuid not null,
  at timestamptz(3) not null default current_timestamp,
  api_key_id uuid not null,
  action text not null,
  subject jsonb,

  constraint audit_entries_pkey primary key (id)
);

create index audit_entries_api_key_id_id_idx on audit_entries (api_key_id, id);

create function refuse_change_of_audit() returns trigger
language plpgsql
as $$
begin
  raise exception 'The audit log is only added to.';
end
$$;

create trigger audit_entries_are_kept before update or delete or truncate on audit_entries
for each statement execute function refuse_change_of_audit();

-- ── Custom attributes ────────────────────────────────────────────────────────────────────────────────────────────────

create type attribute_owner as enum ('USER', 'INSTALLATION');
create type attribute_type as enum ('STRING', 'NUMBER', 'BOOLEAN', 'DATE', 'DATETIME', 'OBJECT_LIST');

create table attribute_definitions (
  id uuid not null,
  owner attribute_owner not null,
  name text not null,
  type attribute_type not null,
  fields jsonb,
  created_at timestamptz(3) not null default current_timestamp,
  removed_at timestamptz(3),

  constraint attribute_definitions_pkey primary key (id),
  constraint attribute_definitions_fields_of_object_list check ((type = 'OBJECT_LIST') = (fields is not null))
);

create unique index attribute_definitions_owner_name_key on attribute_definitions (owner, name);

alter table users add column custom_attributes jsonb not null default '{}';

-- ── Installations: since when they are subscribed to pushes, and when the soft prompt was declined ───────────────────

alter table installations
  add column custom_attributes jsonb not null default '{}',
  add column subscribed_at timestamptz(3),
  add column soft_prompt_declined_at timestamptz(3);

update installations set subscribed_at = created_at where address_hash is not null;

-- ── Consent: when it was given or withdrawn, and by whom ─────────────────────────────────────────────────────────────

alter table recipients
  add column consent_at timestamptz(3),
  add column consent_by text,
  add constraint recipients_consent_whole check ((consent_at is null) = (consent_by is null));

-- Addresses that nothing may be sent to, should they come back: keyed hashes of what was removed with its opt-out.
create table suppressions (
  channel channel not null,
  address_hash bytea not null,
  created_at timestamptz(3) not null default current_timestamp,

  constraint suppressions_pkey primary key (channel, address_hash)
);

-- ── Merges that were undone ──────────────────────────────────────────────────────────────────────────────────────────

alter table merge_records
  add column undone_at timestamptz(3),
  add column undone_by text,
  add constraint merge_records_undone_whole check ((undone_at is null) = (undone_by is null));

create index merge_records_merged_id_idx on merge_records (merged_id);

-- ── What an erase ends ───────────────────────────────────────────────────────────────────────────────────────────────

alter type delivery_reason add value 'ERASED';

-- ── What is said: templates and labels ──────────────────────────────────────────────────────────────────────────────

create table templates (
  id uuid not null,
  name text not null,
  -- content/content.ts
  content jsonb not null,
  -- Labels that its texts name: none of them can be deleted.
  label_names text[] default array[]::text[],
  created_at timestamptz(3) not null default current_timestamp,
  updated_at timestamptz(3) not null default current_timestamp,

  constraint templates_pkey primary key (id)
);

create unique index templates_name_key on templates (name);

create table labels (
  id uuid not null,
  name text not null,
  -- [{ filter, value }]: the first whose filter (segments/filter.ts) holds for the user says the value.
  cases jsonb not null,
  default_value text not null,
  created_at timestamptz(3) not null default current_timestamp,
  updated_at timestamptz(3) not null default current_timestamp,

  constraint labels_pkey primary key (id)
);

create unique index labels_name_key on labels (name);

-- What the caller gives for placeholders, `{{ data.x }}`.
alter table notifications add column data jsonb;

-- ── Imports of users from files ─────────────────────────────────────────────────────────────────────────────────────

create table imports (
  id uuid not null,
  file_name text not null,
  -- Keyed hash of the file: tells whether it is the same.
  file_hash bytea not null,
  options jsonb not null,
  -- Bytes of the file, as it is when it is unpacked, that are done; and lines of it.
  byte_offset bigint not null default 0,
  line_number integer not null default 0,
  made_count integer not null default 0,
  saved_count integer not null default 0,
  refused_count integer not null default 0,
  nameless_count integer not null default 0,
  created_at timestamptz(3) not null default current_timestamp,
  finished_at timestamptz(3),
  undo_started_at timestamptz(3),
  undone_at timestamptz(3),
  -- How many users an undo has removed, restored and left, by reason.
  undo_counts jsonb not null default '{}',

  constraint imports_pkey primary key (id)
);

create index imports_file_hash_idx on imports (file_hash);

-- Why a line was not imported: nothing of what was in it.
create table import_refusals (
  import_id uuid not null,
  line_number integer not null,
  code text not null,
  message text not null,
  path text[] default array[]::text[],

  constraint import_refusals_pkey primary key (import_id, line_number),
  constraint import_refusals_import_id_fkey foreign key (import_id) references imports (id) on delete cascade
);

-- What an undo needs of one user. By user first: whoever erases one removes its rows too. An import is never removed, so
-- nothing has to be asked for each row whether it is there.
create table import_changes (
  import_id uuid not null,
  user_id uuid not null,
  is_made boolean not null,
  -- Keyed hash of the user as the import left it.
  fingerprint bytea not null,
  -- Of a user that was there: values before and after by attribute, and identifiers that were added.
  before jsonb,
  after jsonb,
  added jsonb,

  constraint import_changes_pkey primary key (user_id, import_id),
  constraint import_changes_user_id_fkey foreign key (user_id) references users (id) on delete cascade,
  constraint import_changes_values_of_known check (is_made = (before is null) and is_made = (after is null) and is_made = (added is null))
);

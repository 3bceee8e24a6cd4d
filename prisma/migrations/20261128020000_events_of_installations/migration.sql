-- Whoever is erased may have one of the installations by which a notification names whose event it tells.
create index notifications_telling_of_installations on notifications using gin ((target -> 'installations') jsonb_path_ops)
  where event is not null;

-- Tells an installation that has left its user and come back from one that never left.
alter table installations add column departures integer not null default 0;

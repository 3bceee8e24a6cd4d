-- What was queued again counts by when it was sent, whenever it was made.
create index deliveries_replayed_by_user on deliveries (user_id, begun_at) where replays > 0;

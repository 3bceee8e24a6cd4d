-- By itself: nobody who reads waits for it. Few at a time: what nobody has begun while its channel is paused is not put off.
create index deliveries_put_off on deliveries (pause_id, id) where status = 'QUEUED' and pause_id is not null;

-- What a depersonalize calls off, and what it has to wait for.
create index deliveries_unsent_by_recipient on deliveries (recipient_id) where status in ('QUEUED', 'SENDING');
drop index deliveries_queued_by_recipient;

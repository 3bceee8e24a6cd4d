-- The rest of the reasons that a delivery may end for.
alter type delivery_reason add value 'TOPIC_OPTED_OUT' after 'OPTED_OUT';
alter type delivery_reason add value 'SOFT_BOUNCE' after 'HARD_BOUNCE';
alter type delivery_reason add value 'CALLER_CANCELLED' after 'TTL_PASSED';
alter type delivery_reason add value 'FREQUENCY_CAPPED' after 'RENDER_FAILED';

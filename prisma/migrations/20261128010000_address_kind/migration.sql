-- Tells which provider an address is of without opening it: 'webPush', 'fcm' or 'apns'. Null: it is known once it is registered again.
alter table installations add column address_kind text check (address_kind in ('webPush', 'fcm', 'apns'));

-- Tells which provider an address is of without opening it: 'webPush', 'fcm' or 'apns'.
alter table installations add column address_kind text check (address_kind in ('webPush', 'fcm', 'apns'));
-- Of the others it is known once they register again.
update installations set address_kind = 'fcm' where platform = 'ANDROID' and address_cipher is not null;

-- Of which notifications a further channel may follow is read from those who wait for it.
drop index notifications_in_steps;

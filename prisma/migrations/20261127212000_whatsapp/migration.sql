-- A message to the phone of an SMS recipient, by another way. No recipient has it as its own channel.
alter type channel add value 'WHATSAPP' after 'SMS';

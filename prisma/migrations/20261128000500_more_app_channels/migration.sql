alter type app_channel_provider add value 'TWILIO';
alter type app_channel_provider add value 'SMPP';
alter type app_channel_provider add value 'INFOBIP_WHATSAPP';
alter type app_channel_provider add value 'TWILIO_WHATSAPP';
